/** The suite's report as text. */
import { GENERAL_REGISTERS } from '../../emulator/cpu-state.ts';
import { SEGMENT_NAMES } from '../../emulator/segmentation.ts';
import { disassemble } from '../../src/report/disassemble.ts';
import type { OracleCase } from './case.ts';
import { differences } from './compare.ts';
import { type CaseResult, isOutcome } from './result.ts';
import type { CaseRun, Summary, Tally } from './summary.ts';

const hex = (value: number): string => `0x${value.toString(16)}`;
const bytesText = (bytes: Uint8Array): string =>
  [...bytes].map(value => value.toString(16).padStart(2, '0')).join(' ');

/** Writes are code, and everything else. */
function listingOf(oracleCase: OracleCase): string[] {
  const { writes } = oracleCase;
  // The builder writes the code last.
  const code = writes.at(-1);
  const lines = writes
    .filter(write => write !== code)
    .map(({ address, bytes }) => `    ${hex(address)}: ${bytesText(bytes)}`);
  if (!code) return lines;
  return [
    ...lines,
    ...disassemble(code.bytes, code.address, 'att')
      .filter(({ text }) => text !== 'nop')
      .map(line => `    ${hex(line.address)}: ${bytesText(line.bytes).padEnd(30)} ${line.text}`),
  ];
}

function stateOf(oracleCase: OracleCase): string {
  const { mode, ring, eflags, eip, registers, selectors, cr0, cr4, efer, paging, ldtr } = oracleCase;
  const general = GENERAL_REGISTERS.map(name => `${name}=${hex(registers[name])}`).join(' ');
  const segments = SEGMENT_NAMES.map(name => `${name}=${hex(selectors[name])}`).join(' ');
  return `${mode} ring ${ring} iopl ${(eflags >>> 12) & 3} eflags ${hex(eflags)} eip ${hex(eip)} cr0 ${hex(cr0)} cr4 ${hex(cr4)} efer ${hex(efer)} paging ${paging} ldtr ${hex(ldtr)} ${general} ${segments}`;
}

/** Each field in which any two results differ, side by side. */
function sideBySide({ oracleCase, engines, oracles }: CaseRun): string[] {
  const columns = [...engines, ...oracles] as [string, CaseResult][];
  const fields = new Set<string>();
  for (const [, left] of columns) {
    for (const [, right] of columns) {
      for (const { field } of differences(oracleCase, left, right)) fields.add(field);
    }
  }
  for (const field of ['vector', 'error code', 'eip']) fields.add(field);
  const rows = [['', ...columns.map(([name]) => name)]];
  for (const field of fields) rows.push([field, ...columns.map(([, result]) => fieldText(result, field))]);
  return table(rows).map(line => `    ${line}`);
}

function fieldText(result: CaseResult, field: string): string {
  if (!isOutcome(result))
    return field === 'vector' || field === 'end' ? `${result.failure}: ${result.detail}` : '';
  const flat: Record<string, unknown> = {
    ...result,
    'error code': result.errorCode,
    ...result.registers,
    ...result.selectors,
    'gdtr.base': result.gdtr.base,
    'gdtr.limit': result.gdtr.limit,
    'idtr.base': result.idtr.base,
    'idtr.limit': result.idtr.limit,
  };
  const value = flat[field];
  return typeof value === 'number' ? (field === 'vector' ? String(value) : hex(value)) : '-';
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0))) ?? [];
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** The command that runs one case again and shows everything about it. */
export const command = (seed: number, index: number): string =>
  `npm run oracle -- --seed ${seed} --case ${index}`;

export const caseText = (seed: number, run: CaseRun): string =>
  [
    `  ${command(seed, run.index)}`,
    `    ${stateOf(run.oracleCase)}`,
    ...listingOf(run.oracleCase),
    ...sideBySide(run),
  ].join('\n');

const tallyRow = (name: string, { cases, agree, listed, open }: Tally): string[] => [
  name,
  String(cases),
  String(agree),
  String(listed),
  String(open),
];

const TITLES = ['', 'cases', 'agree', 'listed', 'open'];

/** All disagreements with an example each, then the numbers. */
export function summaryText(seed: number, summary: Summary, seconds: number): string {
  const open = [...summary.open].sort(([, a], [, b]) => b.count - a.count);
  const lines: string[] = [];
  for (const [name, { count, example }] of open) {
    lines.push(`${count} x ${name}`, caseText(seed, example), '');
  }
  lines.push(
    ...table([TITLES, ...[...summary.topics].sort().map(([name, tally]) => tallyRow(name, tally))]),
    '',
  );
  lines.push(...table([TITLES, ...[...summary.pairs].map(([name, tally]) => tallyRow(name, tally))]), '');
  for (const [id, count] of [...summary.known].sort()) lines.push(`listed: ${id}: ${count}`);
  lines.push(
    `${summary.cases} cases in ${seconds.toFixed(1)} s: ${summary.agreeing} agree in all CPUs, ${summary.sound} are without an open disagreement; ${open.length} kinds of disagreement are open`,
  );
  return lines.join('\n');
}
