/** Structures of a state's text: a line for each field that someone wrote, and one for each entry of an array. */
import { printable } from '../../printable.ts';
import { count } from '../hex.ts';
import { TEXT_COLUMNS, wrap } from '../lines.ts';
import type { Style } from '../style.ts';
import { type Row, table } from '../table.ts';
import type { StateField, StateStructure } from './report.ts';

/** Bytes that are shown of a field that is nothing but bytes. */
const BYTES_SHOWN = 32;
const BYTE_COLUMNS = 3;
/** Columns of the field's name; what is longer goes on in the next line. */
const NAME_COLUMNS = 30;

/** A field whose bytes are zero. */
export const isZero = ({ as, value }: Pick<StateField, 'as' | 'value'>): boolean =>
  as === 'text' ? value === '' : !/[1-9a-f]/.test(value.replace('0x', ''));

/** A field that no one wrote, and that holds what memory began with. */
const isFolded = (field: StateField): boolean => field.by === 'zero' && isZero(field);

/** A field's value as it is shown. */
export function valueInWords({ as, value }: Pick<StateField, 'as' | 'value'>): string {
  if (as === 'text') return `"${printable(value)}"`;
  if (as === 'number' || value.length <= BYTES_SHOWN * BYTE_COLUMNS) return value;
  const bytes = (value.length + 1) / BYTE_COLUMNS;
  return `${value.slice(0, BYTES_SHOWN * BYTE_COLUMNS - 1)} … ${count(bytes, 'byte')}`;
}

/** `0x0009fc00` as `0x9fc00`: where a line holds several. */
export const shortValue = (field: Pick<StateField, 'as' | 'value'>): string =>
  field.as === 'number' ? field.value.replace(/^0x0+(?=.)/, '0x') : valueInWords(field);

export function structureText(structure: StateStructure, all: boolean, style: Style): string[] {
  const { name, address, size, citation, fields } = structure;
  const shown = all ? fields : fields.filter(field => !isFolded(field));
  const folded = fields.length - shown.length;
  const sources = distinct(shown.flatMap(field => field.citation ?? []));
  return [
    style.strong(`${printable(name)} at ${address}, ${count(size, 'byte')}`),
    ...wrap(citation, TEXT_COLUMNS - 2).map(line => style.faint(`  ${line}`)),
    ...table(
      entriesOf(shown, field => field.name).map(entry => entryRow(entry, sources)),
      { widest: [undefined, NAME_COLUMNS], flexible: 2, style },
    ),
    ...(folded === 0
      ? []
      : [style.faint(`  … ${folded === 1 ? '1 field is' : `${folded} fields are`} zero`)]),
    ...table(
      sources.map((source, index) => ({ cells: [`[${index + 1}]`, printable(source)], faint: true })),
      { style },
    ),
  ];
}

/** `e820_table[0].addr`: the entry, and the field in it. */
const ENTRY_OF_ARRAY = /^(.+\[\d+\])\.(.+)$/;

interface Entry<T> {
  readonly name: string;
  readonly items: T[];
}

/** Fields that follow each other and belong to the same entry of an array stand together. */
export function entriesOf<T>(items: readonly T[], nameOf: (item: T) => string): readonly Entry<T>[] {
  const entries: Entry<T>[] = [];
  for (const item of items) {
    const whole = nameOf(item);
    const [, name] = ENTRY_OF_ARRAY.exec(whole) ?? [];
    const last = entries.at(-1);
    if (name !== undefined && last?.name === name) last.items.push(item);
    else entries.push({ name: name ?? whole, items: [item] });
  }
  return entries;
}

function entryRow({ name, items: fields }: Entry<StateField>, sources: readonly string[]): Row {
  const [first] = fields;
  const isArray = first !== undefined && first.name !== name;
  const value = fields
    .map(field =>
      isArray ? `${field.name.slice(name.length + 1)} ${shortValue(field)}` : valueInWords(field),
    )
    .join(', ');
  const notes = distinct(fields.flatMap(field => field.citation ?? [])).map(
    source => `[${sources.indexOf(source) + 1}]`,
  );
  return {
    cells: [
      first?.offset ?? '',
      printable(name),
      value,
      distinct(fields.map(field => field.by)).join(', '),
      [...distinct(fields.flatMap(field => field.meaning ?? [])).map(text => printable(text)), ...notes].join(
        ' ',
      ),
    ],
    faint: fields.every(isFolded),
  };
}

const distinct = (texts: readonly string[]): string[] => [...new Set(texts)];
