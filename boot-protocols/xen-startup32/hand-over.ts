/** What Xen's builder puts into a domain beside what the boot protocol has: as for any domU. */
import type { EntryState } from '../../emulator/entry-state.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import type { Knobs } from '../knobs.ts';
import { type Range, writtenRegion } from '../regions.ts';
import { startInfo } from '../xen/start-info.ts';
import { encodeWords } from '../xen/structures.ts';
import type { StartOfDay } from './layout.ts';

/**
 * @param sharedInfo machine address
 * @param tables pages of page tables; 0 without paging
 */
export function handOver(
  { memory, cmdline, xenHost }: Knobs,
  day: StartOfDay,
  initrd: Range | undefined,
  sharedInfo: number,
  tables: number,
): Pick<EntryState, 'regions' | 'structures'> {
  const nrPages = memory / PAGE_SIZE;
  const info = startInfo(
    { domain: 'domU', host: xenHost, supervisor: false },
    {
      nrPages,
      sharedInfo,
      rings: day.rings,
      pageTables: tables === 0 ? 0 : day.pageTables.start,
      tables,
      p2m: day.p2m.start,
      initrd,
      initrdPfn: undefined,
      cmdline,
      firstPages: undefined,
    },
  );
  const p2m = encodeWords(nrPages, pfn => pfn);
  const empty = new Uint8Array(0);
  return {
    regions: [
      writtenRegion('phys-to-machine list', day.p2m.start, 'boot-data', p2m),
      writtenRegion('start_info', day.startInfo, 'boot-data', info.bytes, PAGE_SIZE),
      writtenRegion('xenstore page', day.rings.store, 'boot-data', empty, PAGE_SIZE),
      writtenRegion('console page', day.rings.console, 'boot-data', empty, PAGE_SIZE),
    ],
    structures: [info.describe(day.startInfo)],
  };
}
