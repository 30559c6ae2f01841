/** `docs/differences.md`, made from the list of known differences. */

import { DIFFERENCES, type KnownDifference, type Party } from './differences.ts';
import { DATE, FIGURES } from './figures.ts';
import { LEFT_OUT, type SuiteLimit, WITHOUT } from './limits.ts';

const NAMES: Readonly<Record<Party, string>> = {
  startup32: 'startup32',
  qemu: 'QEMU 7.2 (TCG)',
  bochs: 'Bochs 2.7',
  kvm: 'silicon, through KVM',
};
const PARTIES: readonly Party[] = ['startup32', 'qemu', 'bochs', 'kvm'];

const HEAD = `# Where CPUs differ

\`npm run oracle\` runs generated cases in startup32, on each of its engines, and in QEMU 7.2 and Bochs 2.7 (with
\`--accel kvm\` on the silicon under this machine as well), and compares vector, error code, EIP, EFLAGS, registers,
selectors, control and table registers, CR2 and memory. This page lists every difference that is known: what the manual
(SDM: Intel 64 and IA-32 Architectures Software Developer's Manual, by the section numbers of May 2020, 325462-072US)
says, what each CPU does, and who is wrong. It is made from \`test/oracle/differences.ts\` by \`npm run docs\`; a
difference that is not in there fails the suite.

A case in which a listed difference shows counts as listed, not as agreeing.
`;

const number = (value: number): string => value.toLocaleString('en-US');

const figuresTable = (): string =>
  [
    `## Figures`,
    '',
    `Of the last full runs, ${DATE}, on unicorn.js and libunicorn alike. No difference was open.`,
    '',
    '| seed | cases | agree in all that run them | with QEMU | with Bochs | only with listed differences |',
    '|---|---|---|---|---|---|',
    ...FIGURES.map(
      ({ seed, cases, agree, agreeWithQemu, onQemu, agreeWithBochs, onBochs }) =>
        `| ${seed} | ${number(cases)} | ${number(agree)} | ${number(agreeWithQemu)} of ${number(onQemu)} | ${number(agreeWithBochs)} of ${number(onBochs)} | ${number(cases - agree)} |`,
    ),
    '',
  ].join('\n');

const limits = (title: string, items: readonly SuiteLimit[]): string =>
  [`## ${title}`, '', ...items.map(({ what, why }) => `* **${what}.** ${why}`), ''].join('\n');

function entry({ id, title, manual, does, wrong }: KnownDifference): string {
  const rows = PARTIES.flatMap(party => {
    const what = does[party];
    return what === undefined ? [] : [`| ${NAMES[party]} | ${what} |`];
  });
  const verdict =
    wrong.length === 0
      ? 'Nobody is wrong: the manual allows all of it.'
      : `Wrong: ${wrong.map(party => NAMES[party]).join(', ')}.`;
  return [
    `## ${title}`,
    '',
    `\`${id}\``,
    '',
    manual,
    '',
    '| CPU | what it does |',
    '|---|---|',
    ...rows,
    '',
    verdict,
    '',
  ].join('\n');
}

export const differencesPage = (): string =>
  [
    HEAD,
    ...(FIGURES.length === 0 ? [] : [figuresTable()]),
    limits('Cases that one of them does not run', WITHOUT),
    limits('What no case is about', LEFT_OUT),
    ...DIFFERENCES.map(entry),
  ].join('\n');
