/** Descriptors and selectors in words. Types: SDM vol. 3, tables 3-1 and 3-2. */
import {
  type Descriptor,
  isCode,
  isConforming,
  isExpandDown,
  isReadable,
  isWritable,
  selectorIndex,
  selectorRpl,
  selectorUsesLdt,
} from '../../../emulator/segmentation.ts';
import { hex16, hex32, hexShort } from '../hex.ts';

const SYSTEM_TYPES = [
  'reserved',
  '16-bit TSS, available',
  'LDT',
  '16-bit TSS, busy',
  '16-bit call gate',
  'task gate',
  '16-bit interrupt gate',
  '16-bit trap gate',
  'reserved',
  '32-bit TSS, available',
  'reserved',
  '32-bit TSS, busy',
  '32-bit call gate',
  'reserved',
  '32-bit interrupt gate',
  '32-bit trap gate',
] as const;

const TYPE_ACCESSED = 1;

/** `code, readable, accessed`, `data, writable`, `32-bit TSS, available`. */
export function typeInWords(d: Descriptor): string {
  if (!d.codeOrData) return SYSTEM_TYPES[d.type] ?? 'reserved';
  const words = isCode(d)
    ? ['code', isConforming(d) ? 'conforming' : '', isReadable(d) ? 'readable' : 'execute-only']
    : ['data', isExpandDown(d) ? 'expand-down' : '', isWritable(d) ? 'writable' : 'read-only'];
  return [...words, (d.type & TYPE_ACCESSED) !== 0 ? 'accessed' : ''].filter(Boolean).join(', ');
}

const size = (d: Descriptor): string => (d.codeOrData ? `${d.big ? '32' : '16'}-bit, ` : '');

/** What is in a descriptor, without saying where it is. */
export const descriptorInWords = (d: Descriptor): string =>
  `base ${hex32(d.base)}, limit ${hex32(d.limit)}, type ${hexShort(d.type)} (${typeInWords(d)}), ` +
  `${size(d)}DPL ${d.dpl}, ${d.present ? 'present' : 'not present'}`;

export const tableOf = (selector: number): string => (selectorUsesLdt(selector) ? 'LDT' : 'GDT');

/** `selector 0x0018: GDT entry 0x3, RPL 0`. */
export const selectorInWords = (selector: number): string =>
  `selector ${hex16(selector)}: ${tableOf(selector)} entry ${hexShort(selectorIndex(selector))}, RPL ${selectorRpl(selector)}`;
