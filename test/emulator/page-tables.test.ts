import { describe, expect, it } from 'vitest';
import type { PageMapping } from '../../emulator/entry-state.ts';
import { buildPageTables, placePageTables, planPageTables } from '../../emulator/page-tables.ts';
import { walk } from '../../emulator/paging.ts';

const mapping = (linear: number, size: number, more: Partial<PageMapping> = {}): PageMapping => ({
  linear,
  physical: linear,
  size,
  writable: true,
  user: true,
  name: 'test',
  ...more,
});

const u32 = (bytes: Uint8Array, offset: number): number => new DataView(bytes.buffer).getUint32(offset, true);

describe('32-bit page tables (SDM vol. 3, 4.3)', () => {
  const { cr3, tables, pages } = buildPageTables({
    mode: '32-bit',
    mappings: [
      mapping(0x100000, 0x2000),
      mapping(0xc0000000, 0x1000, { physical: 0x300000, writable: false, user: false }),
    ],
    base: 0x80000,
  });

  it('puts the page directory at the base, and the tables after it in address order', () => {
    expect(cr3).toBe(0x80000);
    expect(pages.map(page => [page.level, page.linear, page.physical])).toEqual([
      ['PD', 0, 0x80000],
      ['PT', 0, 0x81000],
      ['PT', 0xc0000000, 0x82000],
    ]);
    expect(tables).toHaveLength(0x3000);
  });

  it('writes a directory entry P, R/W, U/S, A at bits 31:22 of the linear address', () => {
    expect(u32(tables, 0)).toBe(0x81000 | 0x27);
    expect(u32(tables, 0x300 * 4)).toBe(0x82000 | 0x27);
  });

  it('writes a table entry P, A, D with R/W and U/S as the mapping has them at bits 21:12', () => {
    expect(u32(tables, 0x1000 + 0x100 * 4)).toBe(0x100067);
    expect(u32(tables, 0x1000 + 0x101 * 4)).toBe(0x101067);
    expect(u32(tables, 0x2000)).toBe(0x300061);
  });

  it('leaves every other entry zero', () => {
    const entries = Array.from({ length: tables.length / 4 }, (_, i) => u32(tables, i * 4));
    expect(entries.filter(entry => entry !== 0)).toHaveLength(5);
  });
});

describe('PAE page tables (SDM vol. 3, 4.4)', () => {
  const { cr3, tables, pages } = buildPageTables({
    mode: 'pae',
    mappings: [mapping(0x1ff000, 0x2000), mapping(0xffc00000, 0x1000)],
    base: 0x40000000,
  });

  it('has a PDPT, one directory for each gigabyte and one table for each 2 MiB in use', () => {
    expect(cr3).toBe(0x40000000);
    expect(pages.map(page => [page.level, page.linear, page.physical])).toEqual([
      ['PDPT', 0, 0x40000000],
      ['PD', 0, 0x40001000],
      ['PD', 0xc0000000, 0x40002000],
      ['PT', 0, 0x40003000],
      ['PT', 0x200000, 0x40004000],
      ['PT', 0xffc00000, 0x40005000],
    ]);
  });

  it('sets only P in a PDPT entry: its other low bits are reserved (table 4-8)', () => {
    expect(u32(tables, 0)).toBe(0x40001001);
    expect(u32(tables, 3 * 8)).toBe(0x40002001);
    expect(u32(tables, 3 * 8 + 4)).toBe(0);
  });

  it('writes 8-byte entries', () => {
    expect(u32(tables, 0x1000)).toBe(0x40003027);
    expect(u32(tables, 0x1008)).toBe(0x40004027);
    expect(u32(tables, 0x2000 + 0x1fe * 8)).toBe(0x40005027);
    expect(u32(tables, 0x3000 + 0x1ff * 8)).toBe(0x1ff067);
    expect(u32(tables, 0x4000)).toBe(0x200067);
    expect(u32(tables, 0x5000)).toBe(0xffc00067);
  });
});

it.each(['32-bit', 'pae'] as const)('%s tables translate every page of a mapping and no other', mode => {
  const mappings = [
    mapping(0x3ff000, 0x3000, { physical: 0x900000 }),
    mapping(0x800000, 0x1000, { writable: false, user: false }),
  ];
  const base = 0x10000;
  const { cr3, tables } = buildPageTables({ mode, mappings, base });
  const control = { cr0: 0x80000001, cr2: 0, cr3, cr4: mode === 'pae' ? 0x20 : 0, efer: 0 };
  const at = (linear: number) => walk(linear, control, physical => u32(tables, physical - base));
  expect(at(0x3fefff).physical).toBeUndefined();
  expect(at(0x3ff123)).toMatchObject({ physical: 0x900123, writable: true, user: true, reserved: false });
  expect(at(0x400fff)).toMatchObject({ physical: 0x901fff });
  expect(at(0x401000)).toMatchObject({ physical: 0x902000 });
  expect(at(0x402000).physical).toBeUndefined();
  expect(at(0x800800)).toMatchObject({ physical: 0x800800, writable: false, user: false });
});

it('places each table page where it is told to', () => {
  const { cr3, pages } = placePageTables('32-bit', [mapping(0, 0x1000)], (page, index) =>
    page.level === 'PD' ? 0x5000 : 0x9000 + index,
  );
  expect(cr3).toBe(0x5000);
  expect(pages.map(page => page.physical)).toEqual([0x5000, 0x9001]);
});

it('plans the same pages whatever the order of the mappings', () => {
  const a = mapping(0, 0x1000);
  const b = mapping(0xfffff000, 0x1000);
  expect(planPageTables('pae', [b, a])).toEqual(planPageTables('pae', [a, b]));
});

it.each([
  ['half a page', [mapping(0x800, 0x1000)]],
  ['nothing', [mapping(0, 0)]],
  ['past 4 GiB', [mapping(0xfffff000, 0x2000)]],
  ['one page twice', [mapping(0, 0x2000), mapping(0x1000, 0x1000)]],
])('refuses to map %s', (_, mappings) => {
  expect(() => planPageTables('32-bit', mappings)).toThrow(RangeError);
});
