/** What a Xen domain builder reads from an image: Xen 4.14 xen/common/libelf/libelf-dominfo.c. */
import type { MemoryRegion } from '../../emulator/entry-state.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import type { ElfImage, KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { readXenGuest, type XenGuest } from '../../src/kernel-image/xen-notes.ts';
import { ProtocolError, type Startable } from '../protocol.ts';
import { endOf, hex, spellRange, subtract } from '../regions.ts';
import { hypercallPage } from './hypercalls.ts';
import { M2P } from './layout.ts';

export const HYPERCALL_PAGE = 'hypercall page';

const no = (code: string, reason: string): Startable => ({ ok: false, code, reason });

/** The checks of elf_xen_note_check, in its order of meaning; each names the note that is missing or wrong. */
export function checkNotes(image: KernelImage): Startable {
  if (image.format !== 'elf') {
    return no(
      'needs-elf',
      'a Xen PV domain builder unpacks the vmlinux from a bzImage and reads its notes; startup32 does not unpack payloads, so give it the vmlinux',
    );
  }
  const guest = readXenGuest(image);
  if (!guest) return no('no-xen-notes', 'it has neither Xen ELF notes nor a section __xen_guest');
  if (guest.xenVersion === undefined) return no('no-xen-note', 'it has no note XEN_VERSION');
  if (guest.xenVersion !== 'xen-3.0') {
    return no('bad-xen-note', `its note XEN_VERSION is "${guest.xenVersion}"; expected "xen-3.0"`);
  }
  if (guest.loader === undefined && guest.guestOs === undefined) {
    return no('no-xen-note', 'it has neither a note LOADER nor a note GUEST_OS');
  }
  if (guest.loader !== 'generic' && !guest.guestOs?.startsWith('linux')) {
    return no(
      'bad-xen-note',
      `its note LOADER is "${guest.loader ?? ''}" and GUEST_OS "${guest.guestOs ?? ''}"; expected LOADER "generic" or GUEST_OS "linux"`,
    );
  }
  if (guest.paeMode === undefined) {
    return no('no-xen-note', 'it has no note PAE_MODE, and Xen has no 32-bit guests without PAE any more');
  }
  if (!/yes|bimodal/.test(guest.paeMode)) {
    return no('bad-xen-note', `its note PAE_MODE is "${guest.paeMode}"; expected "yes" or "bimodal"`);
  }
  return { ok: true };
}

export interface XenImage {
  readonly guest: XenGuest;
  readonly virtBase: number;
  readonly entry: number;
  /** At virtual addresses, the hypercall page filled in. */
  readonly regions: readonly MemoryRegion[];
  readonly end: number;
  readonly hypercallPage: number | undefined;
}

/** @throws {ProtocolError} with the code of {@link checkNotes}, `bad-xen-note`, `outside-memory` */
export function readXenImage(image: KernelImage): XenImage {
  const startable = checkNotes(image);
  if (!startable.ok)
    throw new ProtocolError(startable.code, `${image.name} cannot be started by xen: ${startable.reason}`);
  const guest = readXenGuest(image);
  if (image.format !== 'elf' || !guest)
    throw new ProtocolError('no-xen-notes', `${image.name} has no Xen notes`);

  const virtBase = guest.virtBase ?? 0;
  if (virtBase % PAGE_SIZE !== 0 || virtBase >= M2P) {
    throw new ProtocolError(
      'bad-xen-note',
      `the note VIRT_BASE of ${image.name} is ${hex(virtBase)}; expected the start of a page below ${hex(M2P)}`,
    );
  }
  const regions = kernelRegions(image, virtBase - (guest.paddrOffset ?? 0), virtBase);
  const end = Math.max(...regions.map(endOf));
  const entry = guest.entry ?? image.entry;
  if (!regions.some(region => region.start <= entry && entry < endOf(region))) {
    throw new ProtocolError(
      'bad-xen-note',
      `the entry of ${image.name} (${guest.entry === undefined ? 'e_entry' : 'note ENTRY'}) is ${hex(entry)}, which is in no segment as loaded (${regions.map(spellRange).join(', ')})`,
    );
  }
  const { hypercallPage: page } = guest;
  return {
    guest,
    virtBase,
    entry,
    end,
    hypercallPage: page,
    regions: page === undefined ? regions : fillHypercallPage(image, regions, page),
  };
}

/** libelf: a segment is loaded at p_paddr - PADDR_OFFSET + VIRT_BASE. */
function kernelRegions(image: ElfImage, displacement: number, virtBase: number): readonly MemoryRegion[] {
  return image.segments.map((segment): MemoryRegion => {
    const start = segment.physical + displacement;
    if (start < virtBase || start + segment.memorySize > M2P) {
      throw new ProtocolError(
        'outside-memory',
        `${segment.name} of ${image.name} would load at ${start < 0 ? `-${hex(-start)}` : hex(start)} (p_paddr - PADDR_OFFSET + VIRT_BASE); expected it between ${hex(virtBase)} and ${hex(M2P)}`,
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

/** Cuts the page out of its segment and puts the stubs in its place. */
function fillHypercallPage(
  image: ElfImage,
  regions: readonly MemoryRegion[],
  start: number,
): readonly MemoryRegion[] {
  const page = { start, size: PAGE_SIZE };
  const home = regions.find(region => region.start <= start && start + PAGE_SIZE <= endOf(region));
  if (start % PAGE_SIZE !== 0 || !home) {
    throw new ProtocolError(
      'bad-xen-note',
      `the note HYPERCALL_PAGE of ${image.name} is ${hex(start)}; expected a page inside one of its segments (${regions.map(spellRange).join(', ')})`,
    );
  }
  const contents = home.contents ?? new Uint8Array(0);
  const parts = subtract(home, page).map(
    (part): MemoryRegion => ({
      ...home,
      ...part,
      contents: contents.subarray(part.start - home.start, part.start - home.start + part.size),
    }),
  );
  return regions.flatMap(region =>
    region === home
      ? [...parts, { ...home, ...page, name: HYPERCALL_PAGE, contents: hypercallPage() }].sort(
          (a, b) => a.start - b.start,
        )
      : [region],
  );
}
