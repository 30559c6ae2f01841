/** The text of `startup32 state --diff`, from its JSON alone: the two states side by side, where they differ. */
import { printable } from '../../printable.ts';
import { count } from '../hex.ts';
import { paragraph, TEXT_COLUMNS } from '../lines.ts';
import { entriesOf, isZero, shortValue } from '../state/structure-text.ts';
import type { StateTextOptions } from '../state/text.ts';
import { COLOURED, PLAIN, type Style } from '../style.ts';
import { type Row, table } from '../table.ts';
import type {
  ComparedPart,
  ComparedState,
  DifferenceIn,
  StateDifference,
  StateDiffReport,
} from './report.ts';
import { inWords } from './words.ts';

/** Parts that are shown under one heading. */
const HEADINGS: Readonly<Record<ComparedPart, string>> = {
  ring: 'CPU',
  register: 'CPU',
  eip: 'CPU',
  eflags: 'CPU',
  segment: 'CPU',
  table: 'CPU',
  control: 'CPU',
  paging: 'paging',
  mapping: 'paging',
  memory: 'memory',
  bank: 'memory',
  region: 'memory',
  structure: 'structures',
  field: 'structures',
  platform: 'platform',
};

const INDENT = 2;
const GAP = 2;
const NAME_COLUMNS = 28;
const SIDE_COLUMNS = Math.floor((TEXT_COLUMNS - INDENT - NAME_COLUMNS - 2 * GAP) / 2);
/** What a state does not have. */
const NOTHING = '–';

/** @returns the text, ending in a newline. */
export function stateDiffText(
  report: StateDiffReport,
  { color = false, all = false }: StateTextOptions = {},
): string {
  const style = color ? COLOURED : PLAIN;
  const shown = all ? report.differences : report.differences.filter(difference => !isZeroField(difference));
  const folded = report.differences.length - shown.length;
  const headings = [...new Set(shown.map(difference => HEADINGS[difference.part]))];
  return `${[
    head(report, style),
    ...headings.map(heading =>
      block(
        heading,
        shown.filter(difference => HEADINGS[difference.part] === heading),
        report,
        style,
      ),
    ),
    ...(folded === 0
      ? []
      : [[style.faint(`… and ${folded === 1 ? '1 field that is' : `${folded} fields that are`} zero`)]]),
  ]
    .map(lines => lines.join('\n'))
    .join('\n\n')}\n`;
}

/** Zero in each state that has it: who left it so is of no interest. */
const isZeroField = (difference: StateDifference): boolean =>
  difference.part === 'field' &&
  [difference.a, difference.b].every(field => field === undefined || isZero(field));

function head({ a, b, differences }: StateDiffReport, style: Style): string[] {
  const same = differences.length === 0;
  const found = same ? 'the same' : count(differences.length, 'difference');
  return [
    style.strong(printable(`${a.image.name} as ${a.protocol} and as ${b.protocol}: ${found}`)),
    ...paragraph('a', settings(a), style),
    ...paragraph('b', settings(b), style),
    ...(a.image.sha256 === b.image.sha256
      ? []
      : paragraph('image', printable(`a is ${imageInWords(a)}, b is ${imageInWords(b)}`), style)),
  ];
}

const settings = ({ protocol, knobs }: ComparedState): string =>
  [protocol, ...Object.entries(knobs).map(([name, value]) => `${name}=${printable(value)}`)].join(' ');

const imageInWords = ({ image }: ComparedState): string =>
  `${image.name} (${image.format}, ${count(image.size, 'byte')})`;

function block(
  heading: string,
  differences: readonly StateDifference[],
  { a, b }: StateDiffReport,
  style: Style,
): string[] {
  return [
    style.strong(heading),
    ...table([...differences.filter(stands).flatMap(rowsOf), ...structureRows(differences)], {
      heading: ['', `a: ${a.protocol}`, `b: ${b.protocol}`],
      widest: [NAME_COLUMNS, SIDE_COLUMNS, SIDE_COLUMNS],
      indent: INDENT,
      style,
    }),
  ];
}

type FieldDifference = DifferenceIn<'field'>;
type OtherDifference = Exclude<StateDifference, DifferenceIn<'field'> | DifferenceIn<'structure'>>;

/** It has a line of its own; a structure is the heading of its fields. */
const stands = (difference: StateDifference): difference is OtherDifference =>
  difference.part !== 'field' && difference.part !== 'structure';

const row = (label: string, a: string | undefined, b: string | undefined): Row => ({
  cells: [printable(label), a ?? NOTHING, b ?? NOTHING],
});

function rowsOf(difference: OtherDifference): readonly Row[] {
  if (difference.part === 'platform') {
    const { a, b, differ } = difference;
    return differ.map(leaf => row(inWordsOf(leaf), member(a, leaf), member(b, leaf)));
  }
  const { part, name } = difference;
  const { a, b } = inWords(difference);
  return [row(part === 'mapping' || part === 'bank' ? `${part} ${name}` : name, a, b)];
}

/** `hypercallVectors` as `hypercall vectors`. */
const inWordsOf = (name: string): string =>
  name
    .replaceAll(/[A-Z]/g, letter => ` ${letter.toLowerCase()}`)
    .replace('cpu', 'CPU')
    .replace('.', ' of ');

/** @param name dotted. */
function member(value: object | undefined, name: string): string | undefined {
  let found: unknown = value;
  for (const part of name.split('.'))
    found =
      typeof found === 'object' && found !== null
        ? Object.entries(found).find(([key]) => key === part)?.[1]
        : undefined;
  if (found === undefined) return undefined;
  return Array.isArray(found) ? found.map(plain).join(' ') || 'none' : plain(found);
}

const plain = (value: unknown): string =>
  printable(
    typeof value === 'object' && value !== null ? Object.values(value).flat().join(' ') : String(value),
  );

/** Each structure, where it is if that differs, and a line for each field or entry of an array in it. */
function structureRows(differences: readonly StateDifference[]): Row[] {
  const fields = differences.filter(difference => difference.part === 'field');
  const structures = differences.filter(difference => difference.part === 'structure');
  const names = new Set([...structures.map(({ name }) => name), ...fields.map(structureOf)]);
  return [...names].flatMap(name => {
    const found = structures.find(structure => structure.name === name);
    const { a, b } = found ? inWords(found) : { a: '', b: '' };
    const entries = entriesOf(
      fields.filter(field => structureOf(field) === name),
      field => field.name.slice(name.length + 1),
    );
    return [row(name, a, b), ...entries.map(entry => entryRow(name, entry.name, entry.items))];
  });
}

const structureOf = ({ name }: FieldDifference): string => name.slice(0, name.indexOf('.'));

function entryRow(structure: string, name: string, fields: readonly FieldDifference[]): Row {
  const [first] = fields;
  if (first && first.name === `${structure}.${name}`) {
    const { a, b } = inWords(first);
    return row(`  ${name}`, a, b);
  }
  const side = (which: 'a' | 'b'): string | undefined => {
    const words = fields.flatMap(field => {
      const value = field[which];
      return value ? [`${field.name.slice(structure.length + name.length + 2)} ${shortValue(value)}`] : [];
    });
    return words.length === 0 ? undefined : printable(words.join(', '));
  };
  return row(`  ${name}`, side('a'), side('b'));
}
