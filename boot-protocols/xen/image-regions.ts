/** Where a Xen domain builder puts an image, and the hypercall page in it: Xen 4.14 xen/common/libelf/libelf-dominfo.c. */
import type { MemoryRegion } from '../../emulator/entry-state.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import type { ElfImage } from '../../src/kernel-image/kernel-image.ts';
import type { XenGuest } from '../../src/kernel-image/xen-notes.ts';
import { endOf, hex, type Range, roundDown, roundUp, spellRange, subtract } from '../regions.ts';
import { type DomainBuilder, M2P } from './builder.ts';
import { named, refuse } from './refusal.ts';

export interface PlacedGuest {
  readonly virtBase: number;
  readonly entry: number;
  /** At virtual addresses, as the file has them. */
  readonly regions: readonly MemoryRegion[];
  readonly end: number;
  readonly hypercallPage: number | undefined;
}

/**
 * elf_xen_addr_calc_check: where the image goes, and whether its entry is in it.
 *
 * @throws {ProtocolError} `no-xen-note`, `bad-xen-note`, `outside-memory`
 */
export function placeGuest(image: ElfImage, guest: XenGuest, builder: DomainBuilder): PlacedGuest {
  const { virtBase = 0, initP2m } = guest;
  // For the legacy string the default is VIRT_BASE, and has been filled in.
  if (guest.source === 'notes' && guest.paddrOffset !== undefined && guest.virtBase === undefined)
    throw refuse('no-xen-note', 'it has a note PADDR_OFFSET and no note VIRT_BASE');
  if (virtBase % PAGE_SIZE !== 0 || virtBase >= M2P) {
    throw refuse(
      'bad-xen-note',
      `its ${named(guest, 'VIRT_BASE')} is ${hex(virtBase)}; expected the start of a page below ${hex(M2P)}`,
    );
  }
  const regions = kernelRegions(image, virtBase - (guest.paddrOffset ?? 0), guest, virtBase);
  const start = Math.min(...regions.map(region => region.start));
  const end = Math.max(...regions.map(endOf));
  const whole = { start, size: roundUp(end, PAGE_SIZE) - start };
  if (start % PAGE_SIZE !== 0) {
    throw refuse(
      'outside-memory',
      `it would load at ${hex(start)} (p_paddr - PADDR_OFFSET + VIRT_BASE); expected the start of a page`,
    );
  }
  const entry = guest.entry ?? image.entry;
  // The end itself passes: libelf refuses what is greater.
  if (entry < start || entry > end) {
    const which =
      guest.entry === undefined
        ? 'entry is e_entry, for it has no note ENTRY:'
        : `${named(guest, 'ENTRY')} is`;
    const pvh =
      guest.entry === undefined && guest.phys32Entry !== undefined
        ? '; its note PHYS32_ENTRY is an entry for pvh alone'
        : '';
    throw refuse(
      'bad-xen-note',
      `its ${which} ${hex(entry)}, which is not in the image as loaded (${spellRange({ start, size: end - start })})${pvh}`,
    );
  }
  if (initP2m !== undefined && initP2m >= start && initP2m < end) {
    throw refuse(
      'bad-xen-note',
      `its ${named(guest, 'INIT_P2M')} is ${hex(initP2m)}, which is inside the image as loaded`,
    );
  }
  return {
    virtBase,
    entry,
    regions: fillGaps(regions, whole),
    end,
    hypercallPage: hypercallPageOf(guest, builder),
  };
}

/** Both builders take the memory of the image in one piece, and clear it: from its first segment to the end of a page. */
function fillGaps(segments: readonly MemoryRegion[], whole: Range): readonly MemoryRegion[] {
  const gaps = segments.reduce<readonly Range[]>(
    (rest, segment) => rest.flatMap(part => subtract(part, segment)),
    [whole],
  );
  const cleared = gaps.map(
    (gap): MemoryRegion => ({
      ...gap,
      name: 'memory of the image',
      owner: 'kernel',
      defined: true,
    }),
  );
  return [...segments, ...cleared].sort((a, b) => a.start - b.start);
}

/** libelf: a segment is loaded at p_paddr - PADDR_OFFSET + VIRT_BASE. */
function kernelRegions(
  image: ElfImage,
  displacement: number,
  guest: XenGuest,
  virtBase: number,
): readonly MemoryRegion[] {
  return image.segments.map((segment): MemoryRegion => {
    const start = segment.physical + displacement;
    if (start < virtBase || start + segment.memorySize > M2P) {
      throw refuse(
        'outside-memory',
        `its ${segment.name} would load at ${start < 0 ? `-${hex(-start)}` : hex(start)} (p_paddr - PADDR_OFFSET + VIRT_BASE, by ${guest.source === 'notes' ? 'its notes' : 'its section __xen_guest'}); expected it between ${hex(virtBase)} and ${hex(M2P)}`,
      );
    }
    return {
      name: segment.name,
      start,
      size: segment.memorySize,
      owner: 'kernel',
      contents: segment.contents,
      defined: true,
    };
  });
}

/** libxc passes a frame number to Xen, so that the address is rounded down; construct_dom0 writes where it says. */
function hypercallPageOf({ hypercallPage }: XenGuest, { domain }: DomainBuilder): number | undefined {
  if (hypercallPage === undefined || domain === 'dom0') return hypercallPage;
  return roundDown(hypercallPage, PAGE_SIZE);
}

/**
 * The image with the hypercall page in place of what it has there.
 *
 * @param mappedEnd of the start-of-day area
 * @throws {ProtocolError} `bad-xen-note`
 */
export function fillHypercallPage(
  image: PlacedGuest,
  guest: XenGuest,
  contents: Uint8Array,
  mappedEnd: number,
): readonly MemoryRegion[] {
  const { hypercallPage: start, regions, virtBase } = image;
  if (start === undefined) return regions;
  const page = { start, size: PAGE_SIZE };
  if (start < virtBase || start + PAGE_SIZE > mappedEnd) {
    throw refuse(
      'bad-xen-note',
      `its ${named(guest, 'HYPERCALL_PAGE')} is ${hex(start)}; expected a page of the start-of-day area (${spellRange({ start: virtBase, size: mappedEnd - virtBase })})`,
    );
  }
  const around = regions.flatMap(region =>
    subtract(region, page).map(
      (part): MemoryRegion => ({
        ...region,
        ...part,
        contents: (region.contents ?? new Uint8Array(0)).subarray(
          part.start - region.start,
          part.start - region.start + part.size,
        ),
      }),
    ),
  );
  const filled: MemoryRegion = { name: 'hypercall page', ...page, owner: 'kernel', contents, defined: true };
  return [...around, filled].sort((a, b) => a.start - b.start);
}
