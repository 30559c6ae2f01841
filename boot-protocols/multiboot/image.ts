/** What a Multiboot loader reads from an image: Multiboot Specification 0.6.96, 3.1; GRUB 2.06 multiboot_mbi.c, multiboot_elfxx.c. */
import type { MemoryRegion } from '../../emulator/entry-state.ts';
import { holdsPhysical, holdsVirtual, toPhysical } from '../../src/kernel-image/entry.ts';
import type { ElfImage, KernelImage, MultibootHeader } from '../../src/kernel-image/kernel-image.ts';
import { type PlacedImage, placeElf } from '../linux/placement.ts';
import { ProtocolError } from '../protocol.ts';
import { hex, spellRange } from '../regions.ts';

/** Bits 0 to 15 are requirements: a loader that does not know one must not start the image. */
const REQUIREMENTS = 0xffff;
const PAGE_ALIGN = 1 << 0;
const MEMORY_INFO = 1 << 1;
/** GRUB sets a mode where it can, and starts the image where it cannot. */
const VIDEO_MODE = 1 << 2;
const KNOWN = PAGE_ALIGN | MEMORY_INFO | VIDEO_MODE;
/** Bit 16. */
const HAS_ADDRESSES = 1 << 16;

const SEARCHED = 8192;

/** @throws {ProtocolError} `no-multiboot-header`, `multiboot-flags` */
function headerOf(image: KernelImage): { readonly elf: ElfImage; readonly header: MultibootHeader } {
  const header = image.format === 'elf' ? image.multiboot : undefined;
  if (image.format !== 'elf' || !header) {
    throw new ProtocolError(
      'no-multiboot-header',
      image.format === 'elf'
        ? `${image.name} has no Multiboot header: no 0x1badb002 with its checksum at a multiple of 4 in the first ${SEARCHED} bytes`
        : `${image.name} is a bzImage, which has no Multiboot header`,
    );
  }
  const unknown = header.flags & REQUIREMENTS & ~KNOWN;
  if (unknown !== 0) {
    throw new ProtocolError(
      'multiboot-flags',
      `the Multiboot header of ${image.name} at offset ${hex(header.offset)} requires ${hex(unknown)} in flags ${hex(header.flags)}; known are bits 0, 1, 2 and 16`,
    );
  }
  return { elf: image, header };
}

/** @throws {ProtocolError} `no-multiboot-header`, `multiboot-flags`, `multiboot-addresses`, `entry-outside-image` */
export function placeMultiboot(image: KernelImage): PlacedImage {
  const { elf, header } = headerOf(image);
  return (header.flags & HAS_ADDRESSES) === 0
    ? { ...placeElf(elf), entry: entryOf(elf) }
    : placeByAddresses(elf, header);
}

/**
 * multiboot_elfxx.c: e_entry is a virtual address, and p_paddr - p_vaddr of its segment makes it a physical one. An entry
 * that no segment holds virtually GRUB refuses; GRUB Legacy and QEMU, which take e_entry as it is, do not.
 */
function entryOf(image: ElfImage): number {
  const { entry, segments } = image;
  const virtual = segments.find(segment => holdsVirtual(segment, entry));
  if (virtual) return toPhysical(virtual, entry);
  if (segments.some(segment => holdsPhysical(segment, entry))) return entry;
  throw new ProtocolError('entry-outside-image', `e_entry of ${image.name} is ${hex(entry)}, in no segment`);
}

/** Bit 16: the header's own addresses count, even in an ELF file (load_kernel of multiboot_mbi.c). */
function placeByAddresses(image: ElfImage, { addresses, offset }: MultibootHeader): PlacedImage {
  const { contents } = addresses ?? {};
  if (!addresses || !contents) {
    throw new ProtocolError(
      'multiboot-addresses',
      `the address fields of the Multiboot header of ${image.name} at offset ${hex(offset)} name bytes that are not in the file`,
    );
  }
  const { load, bssEnd, entry } = addresses;
  const region: MemoryRegion = {
    name: 'Multiboot image',
    start: load,
    size: Math.max(contents.length, bssEnd === 0 ? 0 : bssEnd - load),
    owner: 'kernel',
    contents,
    defined: true,
  };
  if (entry < load || entry >= load + region.size) {
    throw new ProtocolError(
      'entry-outside-image',
      `entry_addr of ${image.name} is ${hex(entry)}, outside what is loaded (${spellRange(region)})`,
    );
  }
  return { entry, regions: [region], ranges: [region] };
}
