/** Bits of control, debug and model-specific registers, by the names of the SDM. */
import type { BitChange } from './types.ts';

export type BitNames = Readonly<Record<number, string>>;

/** SDM vol. 3, 2.5. */
export const CR0_BITS: BitNames = {
  0: 'PE',
  1: 'MP',
  2: 'EM',
  3: 'TS',
  4: 'ET',
  5: 'NE',
  16: 'WP',
  18: 'AM',
  29: 'NW',
  30: 'CD',
  31: 'PG',
};

/** SDM vol. 3, 2.5. */
export const CR4_BITS: BitNames = {
  0: 'VME',
  1: 'PVI',
  2: 'TSD',
  3: 'DE',
  4: 'PSE',
  5: 'PAE',
  6: 'MCE',
  7: 'PGE',
  8: 'PCE',
  9: 'OSFXSR',
  10: 'OSXMMEXCPT',
  11: 'UMIP',
  12: 'LA57',
  13: 'VMXE',
  14: 'SMXE',
  16: 'FSGSBASE',
  17: 'PCIDE',
  18: 'OSXSAVE',
  19: 'KL',
  20: 'SMEP',
  21: 'SMAP',
  22: 'PKE',
  23: 'CET',
  24: 'PKS',
  25: 'UINTR',
};

/** SDM vol. 3, 17.2.3 "Debug Status Register (DR6)". */
const DR6_BITS: BitNames = { 0: 'B0', 1: 'B1', 2: 'B2', 3: 'B3', 13: 'BD', 14: 'BS', 15: 'BT' };
/** SDM vol. 3, 17.2.4 "Debug Control Register (DR7)". */
const DR7_BITS: BitNames = {
  0: 'L0',
  1: 'G0',
  2: 'L1',
  3: 'G1',
  4: 'L2',
  5: 'G2',
  6: 'L3',
  7: 'G3',
  8: 'LE',
  9: 'GE',
  13: 'GD',
};
/** R/Wn: SDM vol. 3, 17.2.4; 10B is an I/O breakpoint with CR4.DE and undefined without. */
const DR7_CONDITIONS = ['execute', 'write', 'I/O', 'read or write'] as const;
/** LENn: SDM vol. 3, 17.2.4; 10B is 8 bytes in 64-bit mode and undefined else. */
const DR7_LENGTHS = [1, 2, 8, 4] as const;

/** XCR0: SDM vol. 3, 2.6. */
export const XCR0_BITS: BitNames = {
  0: 'x87',
  1: 'SSE',
  2: 'AVX',
  3: 'BNDREG',
  4: 'BNDCSR',
  5: 'opmask',
  6: 'ZMM_Hi256',
  7: 'Hi16_ZMM',
  9: 'PKRU',
};

/** @returns names of the bits that are set, lowest first; `bit N` for one without a name */
export function setBits(value: number, names: BitNames, first = 0): string[] {
  const set: string[] = [];
  for (let bit = 0; bit < 32; bit++) {
    if (((value >>> bit) & 1) === 1) set.push(names[bit + first] ?? `bit ${bit + first}`);
  }
  return set;
}

/** @returns the bits that differ, lowest first */
export function changedBits(current: number, requested: number, names: BitNames, first = 0): BitChange[] {
  const bit = (value: number, index: number): 0 | 1 => (((value >>> index) & 1) === 1 ? 1 : 0);
  const changes: BitChange[] = [];
  for (let i = 0; i < 32; i++) {
    const from = bit(current, i);
    const to = bit(requested, i);
    if (from !== to) changes.push({ bit: names[i + first] ?? `bit ${i + first}`, from, to });
  }
  return changes;
}

/** Only bits that have a name: the rest of DR6 and DR7 is fixed or reserved. */
const named = (value: number, names: BitNames): string[] =>
  setBits(value, names).filter(name => !name.startsWith('bit '));

/**
 * What is set in a value of DR6 or DR7, by name; for a breakpoint that DR7 enables its condition and length too.
 *
 * @param number 0 to 7; DR4 and DR5 are DR6 and DR7 while CR4.DE is clear (SDM vol. 3, 17.2.2)
 */
export function debugBits(number: number, value: number): string[] | undefined {
  if (number === 4 || number === 6) return named(value, DR6_BITS);
  if (number !== 5 && number !== 7) return undefined;
  const set = named(value, DR7_BITS);
  for (let i = 0; i < 4; i++) {
    if (((value >>> (2 * i)) & 3) === 0) continue;
    const condition = DR7_CONDITIONS[(value >>> (16 + 4 * i)) & 3];
    const length = DR7_LENGTHS[(value >>> (18 + 4 * i)) & 3];
    set.push(`R/W${i}=${condition}`, `LEN${i}=${length}`);
  }
  return set;
}
