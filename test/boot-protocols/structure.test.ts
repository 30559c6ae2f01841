import { describe, expect, it } from 'vitest';
import {
  fillStructure,
  loadNumber,
  type StructureLayout,
  storeNumber,
} from '../../boot-protocols/structure.ts';

const LAYOUT: StructureLayout = {
  name: 'example',
  size: 24,
  citation: 'example.h',
  fields: [
    { name: 'byte', offset: 0, size: 1 },
    { name: 'half', offset: 2, size: 2 },
    { name: 'word', offset: 4, size: 4 },
    { name: 'long', offset: 8, size: 8 },
    { name: 'text', offset: 16, size: 4, as: 'text' },
    { name: 'code', offset: 20, size: 4, as: 'bytes' },
  ],
};

describe('fillStructure', () => {
  it('writes numbers little-endian in the size of their fields, and cuts text and bytes', () => {
    const { bytes } = fillStructure(LAYOUT, {
      byte: { value: 0x12 },
      half: { value: 0x3456 },
      word: { value: 0x89abcdef },
      long: { value: 0x1_0000_0002 },
      text: { value: 'abcdef' },
      code: { value: Uint8Array.of(0xcd, 0x82) },
    });
    expect(Buffer.from(bytes).toString('hex')).toBe(
      '1200' + '5634' + 'efcdab89' + '0200000001000000' + '61626364' + 'cd820000',
    );
  });

  it('says who wrote what: a field that is not named is zero, and its own citation wins', () => {
    const { describe: at } = fillStructure(
      LAYOUT,
      { byte: { value: 0, meaning: 'nothing' }, word: { value: 1, citation: 'word.c' } },
      'loader.c',
    );
    const { address, fields } = at(0x9000);
    expect(address).toBe(0x9000);
    expect(fields.slice(0, 3)).toEqual([
      {
        name: 'byte',
        offset: 0,
        size: 1,
        as: 'number',
        by: 'loader',
        meaning: 'nothing',
        citation: 'loader.c',
      },
      { name: 'half', offset: 2, size: 2, as: 'number', by: 'zero' },
      { name: 'word', offset: 4, size: 4, as: 'number', by: 'loader', citation: 'word.c' },
    ]);
  });

  it('has no field that the layout does not have', () => {
    expect(() => fillStructure(LAYOUT, { other: { value: 1 } })).toThrow(RangeError);
  });
});

describe('numbers of a field', () => {
  it.each([
    [1, 0xff],
    [2, 0xfffe],
    [4, 0xffffffff],
    [8, Number.MAX_SAFE_INTEGER],
  ])('are read as they were written: %i bytes', (size, value) => {
    const view = new DataView(new ArrayBuffer(9));
    const field = { name: 'field', offset: 1, size };
    storeNumber(view, field, value);
    expect(loadNumber(view, field)).toBe(value);
    expect(view.getUint8(0)).toBe(0);
  });

  it('are the two’s complement of a negative one', () => {
    const view = new DataView(new ArrayBuffer(4));
    storeNumber(view, { name: 'field', offset: 0, size: 4 }, -2);
    expect(view.getUint32(0, true)).toBe(0xfffffffe);
  });
});
