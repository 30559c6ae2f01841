/** The text report of all traps, from its JSON and nothing else: a table, the answers in words, and the last stop. */
import { count } from '../hex.ts';
import { TEXT_COLUMNS, wrap } from '../lines.ts';
import { type TextOptions, textReport } from '../stop/text.ts';
import { COLOURED, PLAIN, type Style } from '../style.ts';
import type { TrapReport, TrapsReport } from './report.ts';

const ELLIPSIS = '…';
/** A place or an instruction is cut no wider than this. */
const PLACE_WIDTH = 30;
const INSTRUCTION_WIDTH = 32;
const INDENT = 6;

/** @returns the report, ending in a newline. */
export function trapsText(report: TrapsReport, { color = false }: TextOptions = {}): string {
  const style = color ? COLOURED : PLAIN;
  const blocks = [
    [style.strong(title(report))],
    table(report, style),
    answers(report, style),
    labelled('end', report.end.text, style),
  ];
  const head = blocks
    .filter(block => block.length > 0)
    .map(block => block.join('\n'))
    .join('\n\n');
  return `${head}\n\n${textReport(report.stop, { color })}`;
}

function title({ met, traps, host, era, stop }: TrapsReport): string {
  const places = traps.length === met ? '' : ` at ${count(traps.length, 'place')}`;
  const who = era === undefined ? host : `${host} of Linux ${era}`;
  return `${count(met, 'trap')}${places}, answered as ${who} does; ${count(stop.instructions, 'instruction')} retired`;
}

const cutMiddle = (text: string, width: number): string => {
  if (text.length <= width) return text;
  const tail = Math.floor((width - 1) / 3);
  return text.slice(0, width - 1 - tail) + ELLIPSIS + text.slice(text.length - tail);
};
const cutEnd = (text: string, width: number): string =>
  text.length <= width ? text : text.slice(0, width - 1) + ELLIPSIS;

const placeOf = ({ at }: TrapReport): string => cutMiddle(at.symbol ?? at.address, PLACE_WIDTH);
const instructionOf = ({ instruction, kind }: TrapReport): string =>
  cutEnd(instruction?.text ?? `(${kind})`, INSTRUCTION_WIDTH);
const timesOf = ({ count: times }: TrapReport): string => (times === 1 ? '' : `x ${times}`);

/** Left-aligned but for the numbers; under each row what the instruction wanted, where that is known. */
function table({ traps }: TrapsReport, style: Style): string[] {
  if (traps.length === 0) return [];
  const rows = traps.map(trap => [
    String(trap.ordinal),
    String(trap.instructions + 1),
    placeOf(trap),
    instructionOf(trap),
    trap.answer.does,
    timesOf(trap),
  ]);
  const header = ['#', 'instruction', 'place', 'what traps', 'answer', ''];
  const widths = header.map((name, i) => Math.max(name.length, ...rows.map(row => row[i]?.length ?? 0)));
  const format = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (i < 2 ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('  ')
      .trimEnd();
  return [
    style.faint(format(header)),
    ...traps.flatMap((trap, i) => [format(rows[i] ?? []), ...wants(trap, style)]),
  ];
}

function wants({ wants: lines }: TrapReport, style: Style): string[] {
  const [first] = lines;
  return first === undefined
    ? []
    : [style.faint(`${' '.repeat(INDENT)}${cutEnd(first, TEXT_COLUMNS - INDENT)}`)];
}

/** Each answer once, with the instructions that got it. */
function answers({ traps }: TrapsReport, style: Style): string[] {
  const groups = new Map<string, { names: Set<string>; trap: TrapReport }>();
  for (const trap of traps) {
    const { does, text } = trap.answer;
    const name = trap.instruction?.text.split(' ')[0] ?? trap.kind;
    const group = groups.get(`${does}|${text}`) ?? { names: new Set(), trap };
    group.names.add(name);
    groups.set(`${does}|${text}`, group);
  }
  return [...groups.values()].flatMap(({ names, trap }) => {
    const { does, text, citation } = trap.answer;
    const source = citation === undefined ? '' : ` (${citation})`;
    return labelled(does, `${[...names].join(', ')}: ${text}${source}`, style);
  });
}

/** Wide enough for `unanswered`. */
const LABEL_WIDTH = 12;

const labelled = (label: string, text: string, style: Style): string[] =>
  wrap(text, TEXT_COLUMNS - LABEL_WIDTH).map((line, index) =>
    index === 0 ? `${style.faint(label.padEnd(LABEL_WIDTH))}${line}` : `${' '.repeat(LABEL_WIDTH)}${line}`,
  );
