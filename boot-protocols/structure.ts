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

const WIDEST_NUMBER = 8;

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
