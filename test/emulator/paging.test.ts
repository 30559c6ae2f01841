import { describe, expect, it } from 'vitest';
import type { ControlRegisters } from '../../emulator/cpu-state.ts';
import { accessProblem, mappedRanges, walk } from '../../emulator/paging.ts';

const PG_PE = 0x80000001;
const WP = 0x10000;

function memoryOf(words: Record<number, number>): (physical: number) => number | undefined {
  return physical => words[physical] ?? 0;
}
const control = (more: Partial<ControlRegisters>): ControlRegisters => ({
  cr0: PG_PE,
  cr2: 0,
  cr3: 0x1000,
  cr4: 0,
  efer: 0,
  ...more,
});

describe('32-bit paging (SDM vol. 3, 4.3)', () => {
  const read = memoryOf({
    4096: 0x2067, // PDE 0 → page table at 0x2000, P RW US
    4100: 0x00800083, // PDE 1: 4 MiB page at 0x800000, P RW, supervisor
    8200: 0x5065, // PTE 2 → 0x5000, P US, read-only
  });

  it('walks directory and table', () => {
    const result = walk(0x2abc, control({}), read);
    expect(result.physical).toBe(0x5abc);
    expect(result.steps).toEqual([
      { level: 'PD', entryAddress: 0x1000, low: 0x2067, high: 0 },
      { level: 'PT', entryAddress: 0x2008, low: 0x5065, high: 0 },
    ]);
  });

  it('takes a large page only with CR4.PSE', () => {
    expect(walk(0x412345, control({ cr4: 0x10 }), read).physical).toBe(0x812345);
    expect(walk(0x412345, control({}), read).physical).toBeUndefined();
  });

  it('stops at an entry that is not present', () => {
    const result = walk(0x3000, control({}), read);
    expect(result.physical).toBeUndefined();
    expect(result.steps).toHaveLength(2);
    expect(accessProblem(result, 'read', 0, control({}))).toBe('not-present');
  });

  it('lets ring 0 to 2 write a read-only page unless CR0.WP is set', () => {
    const result = walk(0x2000, control({}), read);
    expect(accessProblem(result, 'write', 1, control({}))).toBeUndefined();
    expect(accessProblem(result, 'write', 1, control({ cr0: PG_PE | WP }))).toBe('read-only');
    expect(accessProblem(result, 'write', 3, control({}))).toBe('read-only');
  });

  it('keeps ring 3 out of supervisor pages', () => {
    const large = walk(0x400000, control({ cr4: 0x10 }), read);
    expect(accessProblem(large, 'read', 3, control({}))).toBe('supervisor');
    expect(accessProblem(large, 'read', 2, control({}))).toBeUndefined();
  });

  it('lists what is mapped', () => {
    const { ranges, tablePages } = mappedRanges(control({ cr4: 0x10 }), read);
    expect(ranges).toEqual([
      { linear: 0x2000, physical: 0x5000, size: 0x1000 },
      { linear: 0x400000, physical: 0x800000, size: 0x400000 },
    ]);
    expect([...tablePages].sort((a, b) => a - b)).toEqual([0x1000, 0x2000]);
  });
});

describe('PAE paging (SDM vol. 3, 4.4)', () => {
  const read = memoryOf({
    4120: 0x2001, // PDPTE 3
    8192: 0x3067, // PDE 0 of the fourth gigabyte
    8200: 0x00a000e7, // PDE 1: 2 MiB page at 0xa00000
    12296: 0x7063, // PTE 1
    12300: 0x80000000, // its NX bit
  });
  const pae = control({ cr4: 0x20 });

  it('walks three levels', () => {
    const result = walk(0xc0001004, { ...pae, efer: 0x800 }, read);
    expect(result.physical).toBe(0x7004);
    expect(result.steps.map(s => [s.level, s.entryAddress])).toEqual([
      ['PDPT', 0x1018],
      ['PD', 0x2000],
      ['PT', 0x3008],
    ]);
    expect(accessProblem(result, 'fetch', 0, pae)).toBe('no-execute');
    expect(accessProblem(result, 'read', 0, pae)).toBeUndefined();
  });

  it('calls the NX bit reserved without EFER.NXE', () => {
    const result = walk(0xc0001004, pae, read);
    expect(accessProblem(result, 'read', 0, pae)).toBe('reserved-bit');
  });

  it('takes 2 MiB pages', () => {
    expect(walk(0xc0212345, pae, read).physical).toBe(0xa12345);
  });
});
