/** Where the 32-bit entry stands, and which of its two addresses a number is. */
import type { ElfImage, KernelImage, Segment } from './kernel-image.ts';

export function holdsPhysical(segment: Segment, address: number): boolean {
  return address >= segment.physical && address - segment.physical < segment.memorySize;
}

/** Virtual ranges may wrap at 4 GiB, so the distance is taken modulo 2^32. */
export function holdsVirtual(segment: Segment, address: number): boolean {
  return (address - segment.virtual) >>> 0 < segment.memorySize;
}

export function toVirtual(segment: Segment, physical: number): number {
  return (physical - segment.physical + segment.virtual) >>> 0;
}

export function toPhysical(segment: Segment, virtual: number): number {
  return ((virtual - segment.virtual) >>> 0) + segment.physical;
}

/**
 * The segment that holds e_entry, and the entry's physical address: e_entry as it is when a segment holds it physically
 * (Linux since 2.6.13), else translated by p_paddr - p_vaddr (older Linux, other kernels). Undefined: it is in no segment.
 */
export function findEntry(
  image: Pick<ElfImage, 'entry' | 'segments'>,
): { readonly segment: Segment; readonly physical: number } | undefined {
  const { entry, segments } = image;
  const direct = segments.find(segment => holdsPhysical(segment, entry));
  if (direct !== undefined) return { segment: direct, physical: entry };
  const aliased = segments.find(segment => holdsVirtual(segment, entry));
  return aliased && { segment: aliased, physical: toPhysical(aliased, entry) };
}

/**
 * Physical address of the 32-bit entry: for ELF by {@link findEntry}, for a bzImage the first byte of the protected-mode
 * code at its default load address.
 */
export function physicalEntry(image: KernelImage): number {
  if (image.format === 'elf') return findEntry(image)?.physical ?? image.entry;
  return image.segments[0]?.physical ?? 0;
}
