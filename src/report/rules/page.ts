/** docs/privilege.md, made from the rules and from what the hosts make of them. */
import { findHost, HOST_NAMES, type HostName } from '../../../boot-protocols/hosts/index.ts';
import { PRIVILEGE_RULES, type RuleClass } from '../../../emulator/privilege/index.ts';
import { ruleReport } from './json.ts';
import type { HostReport, RuleReport } from './report.ts';

const INTRODUCTION = `# Privilege

Every instruction of 32-bit protected mode that asks for privilege, or that shows or changes what belongs to the owner of
the machine. \`startup32 explain INSTRUCTION\` prints one of these rules, by name (\`cli\`, \`"mov %eax,%cr0"\`) or by its bytes
(\`0f0115\`); \`startup32 explain --all\` prints them all, and \`--format json\` gives them to a program.

SDM is the Intel 64 and IA-32 Architectures Software Developer's Manual in the edition of May 2020 (325462-072US), whose
section numbers are used here; AMD APM is the AMD64 Architecture Programmer's Manual.

This page is generated from \`emulator/privilege/\` and \`boot-protocols/hosts/\` by \`npm run docs\`.

* **Forms** are opcodes as the SDM writes them: \`/2\` is the reg field of the ModR/M byte, \`/r\` a register and an r/m
  operand, \`ib\`, \`iw\` and \`cp\` an immediate of 1, 2 and 6 bytes.
* **When** lists conditions; the first that holds decides. CPL is the current privilege level, IOPL is in EFLAGS, VM86 is
  EFLAGS.VM. "as asked" means: as in ring 0 of a bare machine.
* Operands can raise further exceptions whatever the privilege; they are named where they belong to the rule.
`;

const CLASSES: readonly (readonly [RuleClass, title: string, text: string])[] = [
  [
    'privileged',
    'Privileged instructions',
    'They need CPL 0, or a mode that only the owner of ring 0 enters, and raise an exception elsewhere: most of them #GP(0), some #UD.',
  ],
  [
    'iopl-sensitive',
    'IOPL-sensitive instructions',
    'They need CPL <= IOPL; for ports the I/O permission bitmap of the TSS can stand in for it.',
  ],
  [
    'silent',
    'Silent instructions',
    'They raise no exception for privilege in protected mode, and do or show something else outside ring 0. No monitor that waits for traps hears of them.',
  ],
];

/** What stands in a cell of a table: a bar would end it. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const row = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(head), `|${head.map(() => '---|').join('')}`, ...rows.map(row)].join('\n');

const ruleRow = (rule: RuleReport): readonly string[] => [
  `\`${rule.id}\``,
  rule.instruction,
  rule.forms.map(({ opcode, syntax }) => `\`${opcode}\` ${syntax}`).join('<br>'),
  rule.conditions.map(({ when, effect }) => `${when}: ${effect}`).join('<br>'),
  [rule.reason, ...(rule.operands === undefined ? [] : [rule.operands])].join(' '),
  rule.citation,
];

const era = ({ since, until }: HostReport): string =>
  since === undefined || until === undefined ? '' : ` (Linux ${since} to ${until})`;

/** Rules with the same answer share a row. */
function hostRows(host: HostName, rules: readonly RuleReport[]): readonly (readonly string[])[] {
  const rows = new Map<string, { readonly answer: HostReport; readonly ids: string[] }>();
  for (const rule of rules) {
    for (const answer of rule.hosts.filter(each => each.host === host)) {
      const key = JSON.stringify(answer);
      const known = rows.get(key);
      if (known) known.ids.push(rule.id);
      else rows.set(key, { answer, ids: [rule.id] });
    }
  }
  return [...rows.values()].map(({ answer, ids }) => [
    `${ids.map(id => `\`${id}\``).join(' ')}${era(answer)}`,
    answer.does,
    answer.text,
    answer.citation,
  ]);
}

const HOSTS = `## Hosts

Who owns ring 0 answers a trap: it does the instruction for the guest (**emulate**), steps over it (**skip**), enters the
guest's own handler (**reflect**), or ends the guest (**kill**). What is **unseen** does not trap, so that the host never
knows. A guest that has set no handler yet does not survive a reflected exception. A silent instruction whose operands the
CPU refuses raises an exception like any other, which Xen, lguest and the monitor reflect.
`;

export function privilegePage(): string {
  const rules = PRIVILEGE_RULES.map(ruleReport);
  const classes = CLASSES.map(([kind, title, text]) =>
    [
      `## ${title}`,
      text,
      table(
        ['rule', 'instruction', 'forms', 'when', 'why', 'source'],
        rules.filter(rule => rule.class === kind).map(ruleRow),
      ),
    ].join('\n\n'),
  );
  const hosts = HOST_NAMES.map(name =>
    [
      `### ${name}: ${findHost(name).summary}`,
      table(['rules', 'does', 'how', 'source'], hostRows(name, rules)),
    ].join('\n\n'),
  );
  return `${[INTRODUCTION, ...classes, HOSTS, ...hosts].map(part => part.trimEnd()).join('\n\n')}\n`;
}
