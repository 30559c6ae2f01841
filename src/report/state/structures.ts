/** Structures that the kernel is handed: their fields with the values that stand in memory. */
import { readEntryMemory } from '../../../emulator/entry-memory.ts';
import type { EntryState, EntryStructure, StructureField } from '../../../emulator/entry-state.ts';
import { hex32, hexBytes, hexShort } from '../hex.ts';
import type { StateStructure } from './report.ts';

export function structureReport(structure: EntryStructure, entry: EntryState): StateStructure {
  const { name, address, size, citation, fields } = structure;
  const bytes = readEntryMemory(entry, address, size);
  return {
    name,
    address: hex32(address),
    size,
    citation,
    fields: fields.map(field => ({
      name: field.name,
      offset: hexShort(field.offset),
      size: field.size,
      as: field.as,
      value: fieldValue(field, bytes.subarray(field.offset, field.offset + field.size)),
      by: field.by,
      ...(field.meaning !== undefined && { meaning: field.meaning }),
      ...(field.citation !== undefined && { citation: field.citation }),
    })),
  };
}

/** Numbers are little-endian, texts Latin-1, so that no byte is lost. */
function fieldValue({ as, size }: StructureField, bytes: Uint8Array): string {
  if (as === 'bytes') return hexBytes(bytes);
  if (as === 'text') {
    const end = bytes.indexOf(0);
    return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
  }
  const digits = Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).reverse();
  return `0x${digits.join('').padStart(size * 2, '0')}`;
}
