/** What a builder puts into the domain besides the image, its page tables and its stack. */
import type { EntryState } from '../../emulator/entry-state.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import type { Knobs } from '../knobs.ts';
import { writtenRegion } from '../regions.ts';
import type { DomainBuilder } from './builder.ts';
import type { StartOfDay } from './layout.ts';
import { startInfo, vgaInfo } from './start-info.ts';
import { encodeWords, VGA_INFO_OFFSET } from './structures.ts';

/**
 * @param byPfn start_info has the frame of the initrd, which is not mapped
 * @param sharedInfo machine address
 */
export function handOver(
  builder: DomainBuilder,
  day: StartOfDay,
  knobs: Knobs,
  byPfn: boolean,
  sharedInfo: number,
): Pick<EntryState, 'regions' | 'structures'> {
  const nrPages = knobs.memory / PAGE_SIZE;
  const firstMfn = day.virtBase / PAGE_SIZE;
  const { initrd, rings } = day;
  const info = startInfo(builder, {
    nrPages,
    sharedInfo,
    rings,
    pageTables: day.pageTables.start,
    tables: day.tables.length,
    p2m: day.p2m.start,
    initrd,
    initrdPfn: initrd && byPfn ? (initrd.start - day.virtBase) / PAGE_SIZE : undefined,
    cmdline: knobs.cmdline,
    firstPages: day.firstPages,
  });
  const page = new Uint8Array(PAGE_SIZE);
  page.set(info.bytes);
  const structures = [info.describe(day.startInfo)];
  if (builder.domain === 'dom0') {
    const vga = vgaInfo(builder.host);
    const offset = VGA_INFO_OFFSET[builder.host];
    page.set(vga.bytes, offset);
    structures.push(vga.describe(day.startInfo + offset));
  }
  const empty = new Uint8Array(0);
  const p2m = encodeWords(nrPages, pfn => pfn + firstMfn);
  return {
    regions: [
      ...(initrd && knobs.initrd
        ? [writtenRegion('initrd', initrd.start, 'boot-data', knobs.initrd, initrd.size)]
        : []),
      writtenRegion('phys-to-machine list', day.p2m.start, 'boot-data', p2m),
      writtenRegion('start_info', day.startInfo, 'boot-data', page),
      ...(rings
        ? [
            writtenRegion('xenstore page', rings.store, 'boot-data', empty, PAGE_SIZE),
            writtenRegion('console page', rings.console, 'boot-data', empty, PAGE_SIZE),
          ]
        : []),
    ],
    structures,
  };
}
