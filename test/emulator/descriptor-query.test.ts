/** LAR, LSL, VERR, VERW by privilege level: SDM vol. 2, under each. */
import { describe, expect, it } from 'vitest';
import { queryDescriptor } from '../../emulator/observe/descriptor-query.ts';
import { type Descriptor, flatCode, flatData } from '../../emulator/segmentation.ts';

const QUERIES = ['lar', 'lsl', 'verr', 'verw'] as const;
const system = (type: number, dpl = 0): Descriptor => ({
  ...flatData(dpl),
  type,
  codeOrData: false,
  big: false,
  limit: 0x67,
  granular: false,
});
const zf = (d: Descriptor, cpl: number, rpl = 0): number[] =>
  QUERIES.map(query => queryDescriptor(query, 0x18 | rpl, d, cpl).zf);

describe('data of DPL 1', () => {
  it.each([
    [0, 0, 1],
    [1, 1, 1],
    [1, 2, 0],
    [2, 0, 0],
    [3, 3, 0],
  ])('at CPL %i with RPL %i: ZF %i', (cpl, rpl, expected) => {
    expect(zf(flatData(1), cpl, rpl)).toEqual([expected, expected, expected, expected]);
  });

  it('cannot be written where it is read-only', () => {
    // Type 1: data, read-only, accessed.
    expect(zf({ ...flatData(1), type: 1 }, 1)).toEqual([1, 1, 1, 0]);
  });
});

describe('code of DPL 0', () => {
  it('is seen from ring 3 when it conforms, and never written', () => {
    // Types 0xb and 0xf: code, readable, accessed; 0xf conforms.
    expect(zf(flatCode(0), 3)).toEqual([0, 0, 0, 0]);
    expect(zf({ ...flatCode(0), type: 0xf }, 3, 3)).toEqual([1, 1, 1, 0]);
  });

  it('cannot be read where it is execute-only', () => {
    expect(zf({ ...flatCode(0), type: 0x9 }, 0)).toEqual([1, 1, 0, 0]);
  });
});

describe('system descriptors', () => {
  /** SDM vol. 2, the tables of valid types under LAR and LSL. */
  it.each([
    ['16-bit TSS', 0x1, 1, 1],
    ['LDT', 0x2, 1, 1],
    ['busy 16-bit TSS', 0x3, 1, 1],
    ['16-bit call gate', 0x4, 1, 0],
    ['task gate', 0x5, 1, 0],
    ['16-bit interrupt gate', 0x6, 0, 0],
    ['16-bit trap gate', 0x7, 0, 0],
    ['TSS', 0x9, 1, 1],
    ['busy TSS', 0xb, 1, 1],
    ['call gate', 0xc, 1, 0],
    ['interrupt gate', 0xe, 0, 0],
    ['trap gate', 0xf, 0, 0],
    ['reserved', 0x8, 0, 0],
  ])('%s, type %i: ZF %i of LAR, %i of LSL', (_, type, lar, lsl) => {
    expect(zf(system(type), 0)).toEqual([lar, lsl, 0, 0]);
  });
});

it('gives the access rights and the limit in bytes', () => {
  // Flat data of DPL 1, accessed: 00cfb300 in its high dword; limit and base are masked out.
  expect(queryDescriptor('lar', 0x18, flatData(1), 0)).toEqual({ zf: 1, value: 0x00c0b300 });
  expect(queryDescriptor('lsl', 0x18, flatData(1), 0)).toEqual({ zf: 1, value: 0xffffffff });
  expect(queryDescriptor('lsl', 0x18, system(0x9), 0)).toEqual({ zf: 1, value: 0x67 });
});

it('clears ZF for what names nothing', () => {
  for (const query of QUERIES) expect(queryDescriptor(query, 0, undefined, 0)).toEqual({ zf: 0 });
});
