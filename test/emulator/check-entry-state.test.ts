/** An EntryState that contradicts itself is refused before any engine sees it, and the error names what is at fault. */
import { expect, it } from 'vitest';
import { checkEntryState, EntryStateError } from '../../emulator/check-entry-state.ts';
import type { EntryState, MemoryBank, MemoryRegion, PageMapping } from '../../emulator/entry-state.ts';
import { Machine } from '../../emulator/machine.ts';
import { describeEachEngine } from '../support/engines.ts';
import { guestEntry } from '../support/guest.ts';

const sound = guestEntry({ code: 'f4' });
const region = (name: string, start: number, size: number): MemoryRegion => ({
  name,
  start,
  size,
  owner: 'kernel',
  defined: true,
});
const bank = (name: string, start: number, size: number): MemoryBank => ({ name, start, size, kind: 'ram' });
const page = (name: string, linear: number, physical: number, size = 0x1000): PageMapping => ({
  name,
  linear,
  physical,
  size,
  writable: true,
  user: true,
});

const withRegions = (...regions: MemoryRegion[]): EntryState => ({ ...sound, regions });
const withBanks = (...banks: MemoryBank[]): EntryState => ({ ...sound, banks, regions: [] });
const withMappings = (...mappings: PageMapping[]): EntryState => ({
  ...sound,
  paging: { mode: 'pae', mappings },
});

it.each([
  [
    'region-overlap',
    withRegions(region('initrd', 0x3000, 0x100), region('boot_params', 0x2fff, 0x1000)),
    'region boot_params (0x00002fff to 0x00003ffe) and region initrd (0x00003000 to 0x000030ff) overlap',
  ],
  [
    'outside-memory',
    withRegions(region('initrd', 0xff000, 0x1001)),
    'region initrd (0x000ff000 to 0x00100000) is not inside one bank: RAM (0x00000000 to 0x000fffff), ROM (0x00200000 to 0x0020ffff)',
  ],
  [
    'bad-region',
    withRegions({ ...region('GDT', 0x1000, 4), contents: new Uint8Array(5) }),
    'region GDT (0x00001000 to 0x00001003) has 5 bytes of contents; expected at most its size, 4',
  ],
  [
    'bad-region',
    withRegions(region('high', 0xfffff000, 0x1001)),
    'region high starts at 0xfffff000 and has 4097 bytes; expected a range below 4 GiB',
  ],
  [
    'bank-overlap',
    withBanks(bank('low', 0, 0x2000), bank('high', 0x1000, 0x1000)),
    'bank low (0x00000000 to 0x00001fff) and bank high (0x00001000 to 0x00001fff) overlap',
  ],
  [
    'bad-bank',
    withBanks(bank('odd', 0, 0x1001)),
    'bank odd starts at 0x00000000 and has 4097 bytes; expected whole pages of 4096 bytes below 4 GiB',
  ],
  [
    'bad-mapping',
    withMappings(page('kernel', 0xc0000800, 0)),
    'mapping kernel takes 4096 bytes from linear 0xc0000800 to physical 0x00000000; expected whole pages of 4096 bytes below 4 GiB',
  ],
  [
    'mapping-overlap',
    withMappings(page('kernel', 0, 0, 0x2000), page('GDT', 0x1000, 0x8000)),
    'mapping kernel (0x00000000 to 0x00001fff) and mapping GDT (0x00001000 to 0x00001fff) overlap',
  ],
] as const)('%s', (code, entry, message) => {
  expect(() => checkEntryState(entry)).toThrow(EntryStateError);
  expect(() => checkEntryState(entry)).toThrow(expect.objectContaining({ code, message }));
});

it('takes neighbours, empty regions, and lists in any order', () => {
  expect(() =>
    checkEntryState({
      ...withRegions(region('b', 0x2000, 0x1000), region('a', 0x1000, 0x1000), region('empty', 0x1800, 0)),
      paging: { mode: 'pae', mappings: [page('b', 0x1000, 0), page('a', 0, 0)] },
    }),
  ).not.toThrow();
});

describeEachEngine('a machine', engine => {
  it('is not opened in a state whose regions overlap', async () => {
    const library = await engine.load();
    const overlapping = withRegions(region('kernel', 0x1000, 0x1000), region('stack', 0x1800, 0x1000));
    expect(() => Machine.open(library, overlapping)).toThrow(
      expect.objectContaining({ name: 'EntryStateError', code: 'region-overlap' }),
    );
  });
});
