/** Descriptors and selectors, as JSON and in words. Types: SDM vol. 3, tables 3-1 and 3-2. */
import {
  type Descriptor,
  encodeDescriptor,
  isCode,
  isConforming,
  isExpandDown,
  isReadable,
  isWritable,
  selectorIndex,
  selectorRpl,
  selectorUsesLdt,
} from '../../emulator/segmentation.ts';
import { hex16, hex32, hexShort } from './hex.ts';
import type { DescriptorReport } from './parts.ts';

const TYPE_ACCESSED = 1;
const TYPE_READ_WRITE = 2;
const TYPE_CONFORMING_DOWN = 4;

/** System descriptor types as QEMU spells them (target/i386/cpu-dump.c). */
const QEMU_SYSTEM_TYPES = [
  'Reserved',
  'TSS16-avl',
  'LDT',
  'TSS16-busy',
  'CallGate16',
  'TaskGate',
  'IntGate16',
  'TrapGate16',
  'Reserved',
  'TSS32-avl',
  'Reserved',
  'TSS32-busy',
  'CallGate32',
  'Reserved',
  'IntGate32',
  'TrapGate32',
] as const;

function descriptorKind(d: Descriptor): string {
  if (!d.codeOrData) return QEMU_SYSTEM_TYPES[d.type] ?? 'Reserved';
  if (isCode(d)) return d.long ? 'CS64' : d.big ? 'CS32' : 'CS16';
  return d.big ? 'DS' : 'DS16';
}

function descriptorAttributes(d: Descriptor): string {
  if (!d.codeOrData) return '';
  const letter = (bit: number, name: string): string => (d.type & bit ? name : '-');
  return isCode(d)
    ? letter(TYPE_CONFORMING_DOWN, 'C') + letter(TYPE_READ_WRITE, 'R') + letter(TYPE_ACCESSED, 'A')
    : letter(TYPE_CONFORMING_DOWN, 'E') + letter(TYPE_READ_WRITE, 'W') + letter(TYPE_ACCESSED, 'A');
}

export const descriptorReport = (d: Descriptor): DescriptorReport => ({
  base: hex32(d.base),
  limit: hex32(d.limit),
  flags: hex32(encodeDescriptor(d).high),
  dpl: d.dpl,
  present: d.present,
  kind: descriptorKind(d),
  attributes: descriptorAttributes(d),
});

const SYSTEM_TYPES_IN_WORDS = [
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

/** `code, readable, accessed`, `data, writable`, `32-bit TSS, available`. */
export function typeInWords(d: Descriptor): string {
  if (!d.codeOrData) return SYSTEM_TYPES_IN_WORDS[d.type] ?? 'reserved';
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
