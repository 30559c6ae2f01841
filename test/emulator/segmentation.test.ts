import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeDescriptor,
  encodeDescriptor,
  flatCode,
  flatData,
  isFlat,
  isNullSelector,
  selectorIndex,
  selectorRpl,
} from '../../emulator/segmentation.ts';

const quad = ({ low, high }: { low: number; high: number }): string =>
  ((BigInt(high) << 32n) | BigInt(low)).toString(16).padStart(16, '0');

describe('descriptors', () => {
  it('are those of Linux’s boot GDT (arch/x86/boot/pm.c) with the accessed bit', () => {
    expect(quad(encodeDescriptor(flatCode(0)))).toBe('00cf9b000000ffff');
    expect(quad(encodeDescriptor(flatData(0)))).toBe('00cf93000000ffff');
  });

  it('carry the ring of Xen’s and lguest’s kernels', () => {
    expect(quad(encodeDescriptor(flatCode(1)))).toBe('00cfbb000000ffff');
    expect(quad(encodeDescriptor(flatData(3)))).toBe('00cff3000000ffff');
  });

  it('decode a byte-granular TSS', () => {
    // arch/x86/boot/pm.c: base 0x1000, limit 103, type 0x89
    const tss = decodeDescriptor(0x10000067, 0x00008900);
    expect(tss).toMatchObject({
      base: 0x1000,
      limit: 103,
      type: 9,
      codeOrData: false,
      dpl: 0,
      present: true,
      granular: false,
    });
  });

  it('are flat only with base 0 and a 4 GiB limit', () => {
    expect(isFlat(flatData(1))).toBe(true);
    expect(isFlat({ ...flatData(1), base: 0x1000 })).toBe(false);
    expect(isFlat({ ...flatData(1), limit: 0xf67fffff })).toBe(false);
    expect(isFlat({ ...flatData(1), type: 7 })).toBe(false);
  });

  it('survive decoding and encoding', () => {
    fc.assert(
      fc.property(fc.nat({ max: 0xffffffff }), fc.nat({ max: 0xffffffff }), (low, high) => {
        expect(encodeDescriptor(decodeDescriptor(low, high))).toEqual({ low, high });
      }),
    );
  });
});

describe('selectors', () => {
  it('are index, table and RPL', () => {
    expect([selectorIndex(0xe019), selectorRpl(0xe019)]).toEqual([7171, 1]);
    expect([selectorIndex(0x69), selectorRpl(0x69)]).toEqual([13, 1]);
  });

  it('0 to 3 are null', () => {
    expect([0, 1, 2, 3, 4, 8].map(isNullSelector)).toEqual([true, true, true, true, false, false]);
  });
});
