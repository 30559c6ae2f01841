/** `docs/differences.md`, made from the list of known differences. */
import { DIFFERENCES, type KnownDifference, type Party } from './differences.ts';

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
(SDM: Intel 64 and IA-32 Architectures Software Developer's Manual) says, what each CPU does, and who is wrong. It is
made from \`test/oracle/differences.ts\`; a difference that is not in there fails the suite.

A case in which a listed difference shows counts as listed, not as agreeing.
`;

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

export const differencesPage = (): string => [HEAD, ...DIFFERENCES.map(entry)].join('\n');
