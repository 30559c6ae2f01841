/**
 * Structures that a kernel is handed, field by field: a layout from a public header, and who wrote which field of it.
 * Every protocol that hands over a structure describes it with this, so that one printout shows them all.
 */
import type { EntryStructure, FieldWriter, StructureField } from '../emulator/entry-state.ts';

/** One field of a layout. */
export interface LayoutField {
  readonly name: string;
  /** Bytes from the start of the structure. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  /** Default: `number` up to 8 bytes, `bytes` above. */
  readonly as?: StructureField['as'];
}

/** A structure as a public header lays it out. */
export interface StructureLayout {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** The header that it is known from. */
  readonly citation: string;
  /** In order of their offsets. */
  readonly fields: readonly LayoutField[];
}

/** Who wrote a field, what its value means, and where that is known from. */
export interface Written {
  readonly by: Exclude<FieldWriter, 'zero'>;
  readonly meaning?: string;
  readonly citation?: string;
}

/** The widest field that is a number. Bytes. */
export const WIDEST_NUMBER = 8;

/** A number in a field of up to 8 bytes, little-endian; of a negative one its two's complement. */
export function storeNumber(view: DataView, { offset, size }: LayoutField, value: number): void {
  let rest = BigInt(value);
  for (let index = 0; index < size; index++) {
    view.setUint8(offset + index, Number(rest & 0xffn));
    rest >>= 8n;
  }
}

/** The number in a field of up to 8 bytes. */
export function loadNumber(view: DataView, { offset, size }: LayoutField): number {
  let value = 0n;
  for (let index = size - 1; index >= 0; index--)
    value = (value << 8n) | BigInt(view.getUint8(offset + index));
  return Number(value);
}

/**
 * @param address physical
 * @param written by the field's name; a field that is not named there was left zero
 * @throws {RangeError} for a name that the layout does not have
 */
export function describeStructure(
  layout: StructureLayout,
  address: number,
  written: Readonly<Record<string, Written>>,
): EntryStructure {
  const unknown = Object.keys(written).find(name => layout.fields.every(field => field.name !== name));
  if (unknown !== undefined) throw new RangeError(`${layout.name} has no field ${unknown}`);
  return {
    name: layout.name,
    address,
    size: layout.size,
    citation: layout.citation,
    fields: layout.fields.map(({ name, offset, size, as }) => ({
      name,
      offset,
      size,
      as: as ?? (size <= WIDEST_NUMBER ? 'number' : 'bytes'),
      ...(Object.hasOwn(written, name) ? written[name] : undefined),
      by: (Object.hasOwn(written, name) && written[name]?.by) || 'zero',
    })),
  };
}

/** A field that a loader writes: its value, or its text. */
export interface Filled extends Omit<Written, 'by'> {
  readonly value: number | Uint8Array | string;
}

/** A structure's bytes, and who wrote what. */
export interface FilledStructure {
  readonly bytes: Uint8Array;
  /** @param address physical */
  describe(address: number): EntryStructure;
}

/**
 * Bytes and description from one table, so that an offset stands in the layout alone. Text and bytes end with their field.
 *
 * @param fields by the field's name; one that is not named there is left zero
 * @param citation where it is known from that this loader writes the fields so; one that a field has itself wins
 * @throws {RangeError} for a name that the layout does not have
 */
export function fillStructure(
  layout: StructureLayout,
  fields: Readonly<Record<string, Filled>>,
  citation?: string,
): FilledStructure {
  const bytes = new Uint8Array(layout.size);
  const view = new DataView(bytes.buffer);
  const written: Record<string, Written> = {};
  for (const [name, { value, ...words }] of Object.entries(fields)) {
    const field = layout.fields.find(each => each.name === name);
    if (!field) throw new RangeError(`${layout.name} has no field ${name}`);
    if (typeof value === 'number') storeNumber(view, field, value);
    else {
      const contents = typeof value === 'string' ? new TextEncoder().encode(value) : value;
      bytes.set(contents.subarray(0, field.size), field.offset);
    }
    written[name] = { by: 'loader', ...(citation === undefined ? {} : { citation }), ...words };
  }
  return { bytes, describe: address => describeStructure(layout, address, written) };
}
