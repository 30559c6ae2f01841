/**
 * Segment selectors and descriptors as the CPU holds them.
 * Intel SDM vol. 3, 3.4.2 (selectors) and 3.4.5 (descriptors); 3.5.1 (null selector).
 */

/** Bytes of an entry of the GDT, an LDT or the IDT: SDM vol. 3, figures 3-8 and 6-2. */
export const DESCRIPTOR_SIZE = 8;

/** A segment register's hidden part, decoded. `limit` is in bytes, inclusive, with granularity applied. */
export interface Descriptor {
  readonly base: number;
  readonly limit: number;
  /** Bits 3:0 of the access byte. For code and data: bit 3 code, 2 conforming/expand-down, 1 readable/writable, 0 accessed. */
  readonly type: number;
  /** S bit: true for code and data, false for a system descriptor. */
  readonly codeOrData: boolean;
  readonly dpl: number;
  readonly present: boolean;
  readonly available: boolean;
  /** L bit; always false in a 32-bit kernel's own segments. */
  readonly long: boolean;
  /** D/B bit: 32-bit operands, or for a stack segment a 32-bit stack pointer. */
  readonly big: boolean;
  /** G bit: the limit field counts 4 KiB units. */
  readonly granular: boolean;
}

/** A segment register: the visible selector and the hidden descriptor; `undefined` when the null selector is loaded. */
export interface SegmentRegister {
  readonly selector: number;
  readonly descriptor: Descriptor | undefined;
}

export const SEGMENT_NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;
export type SegmentName = (typeof SEGMENT_NAMES)[number];

/** Code, readable, accessed. SDM vol. 3, table 3-1. */
const TYPE_CODE = 0xb;
/** Data, writable, accessed. SDM vol. 3, table 3-1. */
export const TYPE_DATA = 0x3;
/** System types, SDM vol. 3, table 3-2. */
export const TYPE_TSS32_BUSY = 0xb;

const TYPE_BIT_CODE = 8;
const TYPE_BIT_EXPAND_DOWN = 4;
const TYPE_BIT_WRITABLE = 2;

export const isCode = (d: Descriptor): boolean => d.codeOrData && (d.type & TYPE_BIT_CODE) !== 0;
export const isData = (d: Descriptor): boolean => d.codeOrData && (d.type & TYPE_BIT_CODE) === 0;
export const isWritable = (d: Descriptor): boolean => isData(d) && (d.type & TYPE_BIT_WRITABLE) !== 0;
export const isReadable = (d: Descriptor): boolean => isData(d) || (d.type & TYPE_BIT_WRITABLE) !== 0;
export const isExpandDown = (d: Descriptor): boolean => isData(d) && (d.type & TYPE_BIT_EXPAND_DOWN) !== 0;
export const isConforming = (d: Descriptor): boolean => isCode(d) && (d.type & TYPE_BIT_EXPAND_DOWN) !== 0;

/** Base 0, limit 4 GiB - 1, expand-up: no access through it can fault for its offset. */
export const isFlat = (d: Descriptor): boolean =>
  d.present && d.base === 0 && d.limit === 0xffffffff && !isExpandDown(d);

export const flatCode = (dpl: number): Descriptor => flat(TYPE_CODE, dpl);
export const flatData = (dpl: number): Descriptor => flat(TYPE_DATA, dpl);

function flat(type: number, dpl: number): Descriptor {
  return {
    base: 0,
    limit: 0xffffffff,
    type,
    codeOrData: true,
    dpl,
    present: true,
    available: false,
    long: false,
    big: true,
    granular: true,
  };
}

export const selectorIndex = (selector: number): number => selector >>> 3;
export const selectorRpl = (selector: number): number => selector & 3;
export const selectorUsesLdt = (selector: number): boolean => (selector & 4) !== 0;
/** SDM vol. 3, 3.4.2: index 0 of the GDT with any RPL is the null selector. */
export const isNullSelector = (selector: number): boolean => (selector & 0xfffc) === 0;

/** The two dwords of a descriptor in a table (SDM vol. 3, figure 3-8). */
export function encodeDescriptor(d: Descriptor): { low: number; high: number } {
  const limit = d.granular ? d.limit >>> 12 : d.limit;
  const low = (((d.base & 0xffff) << 16) | (limit & 0xffff)) >>> 0;
  const high =
    ((d.base & 0xff000000) |
      (d.granular ? 1 << 23 : 0) |
      (d.big ? 1 << 22 : 0) |
      (d.long ? 1 << 21 : 0) |
      (d.available ? 1 << 20 : 0) |
      (limit & 0xf0000) |
      (d.present ? 1 << 15 : 0) |
      (d.dpl << 13) |
      (d.codeOrData ? 1 << 12 : 0) |
      (d.type << 8) |
      ((d.base >>> 16) & 0xff)) >>>
    0;
  return { low, high };
}

/** The inverse of {@link encodeDescriptor}; `high` is also what QEMU and Unicorn keep as a segment's flags. */
export function decodeDescriptor(low: number, high: number): Descriptor {
  const granular = (high & (1 << 23)) !== 0;
  const field = (high & 0xf0000) | (low & 0xffff);
  return {
    base: ((high & 0xff000000) | ((high & 0xff) << 16) | (low >>> 16)) >>> 0,
    limit: granular ? ((field << 12) | 0xfff) >>> 0 : field,
    type: (high >>> 8) & 0xf,
    codeOrData: (high & (1 << 12)) !== 0,
    dpl: (high >>> 13) & 3,
    present: (high & (1 << 15)) !== 0,
    available: (high & (1 << 20)) !== 0,
    long: (high & (1 << 21)) !== 0,
    big: (high & (1 << 22)) !== 0,
    granular,
  };
}
