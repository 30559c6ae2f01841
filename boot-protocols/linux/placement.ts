/** Where a loader of the 32-bit boot protocol puts an image: boot.rst, "Loading the rest of the kernel". */
import type { MemoryBank, MemoryRegion } from '../../emulator/entry-state.ts';
import { physicalEntry } from '../../src/kernel-image/entry.ts';
import type { BzImage, ElfImage, KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { ProtocolError } from '../protocol.ts';
import { endOf, hex, type NamedRange, overlaps, roundUp, spellRange, subtract } from '../regions.ts';
import { VERSION_2_10 } from './layout.ts';

export interface PlacedImage {
  /** Physical address of the first instruction. */
  readonly entry: number;
  /** The image and the space that its header reserves. */
  readonly regions: readonly MemoryRegion[];
  /** What a loader that maps only the image maps; the ranges may overlap. */
  readonly ranges: readonly NamedRange[];
  /** Set when code32_start has to say that the image is not where its header has it. */
  readonly code32Start?: number;
  /** Set when the loader lowers kernel_alignment to what its load address has. */
  readonly kernelAlignment?: number;
}

/** Each PT_LOAD at its p_paddr, filled with zeros up to p_memsz; entry at e_entry as a physical address. */
export function placeElf(image: ElfImage): PlacedImage {
  const regions = image.segments.map(
    (segment): MemoryRegion => ({
      name: segment.name,
      start: segment.physical,
      size: segment.memorySize,
      owner: 'kernel',
      contents: segment.contents,
      defined: true,
    }),
  );
  return { entry: physicalEntry(image), regions, ranges: regions };
}

/** The name of the pseudo-segment of a bzImage. */
const PROTECTED_MODE_CODE = 'protected-mode code';

/** The first segment's bytes and place: a bzImage has exactly one. */
function protectedModeCode(image: BzImage): { readonly contents: Uint8Array; readonly physical: number } {
  const [segment] = image.segments;
  if (!segment) throw new ProtocolError('no-code', `${image.name} has no protected-mode code`);
  return segment;
}

/**
 * The protected-mode code at one address and nothing else.
 *
 * @param entry physical address of the first instruction
 */
export function placeCode(image: BzImage, start: number, entry: number): PlacedImage {
  const { contents } = protectedModeCode(image);
  const region: MemoryRegion = {
    name: PROTECTED_MODE_CODE,
    start,
    size: contents.length,
    owner: 'kernel',
    contents,
    defined: true,
  };
  return { entry, regions: [region], ranges: [region] };
}

/**
 * The protected-mode code and, from protocol 2.10 on, init_size bytes from the load address and from the address
 * that the kernel runs at (boot.rst, "init_size": the decompressor may write anywhere in them).
 *
 * @param loadAddress absent: where the image's header wants to be
 * @throws {ProtocolError} (usage) `not-relocatable`, `bad-alignment`
 */
export function placeBzImage(image: BzImage, loadAddress: number | undefined): PlacedImage {
  const { setup } = image;
  const code = protectedModeCode(image);
  const own = code.physical;
  const start = loadAddress ?? own;
  const kernelAlignment = start === own ? undefined : alignmentAt(image, start);
  const placed = placeCode(image, start, start);
  const atLoad = { name: 'init_size area', start, size: Math.max(setup.initSize, code.contents.length) };
  const atRuntime = {
    name: 'init_size area',
    start: runtimeStart(image, start, kernelAlignment),
    size: setup.initSize,
  };
  const afterCode = subtract(atLoad, { start, size: code.contents.length });
  const rest = afterCode.flatMap(part => subtract(part, atRuntime));
  const runtime = subtract(atRuntime, { start, size: code.contents.length });
  const reserved = (part: { readonly start: number; readonly size: number }, name: string): MemoryRegion => ({
    ...part,
    name,
    owner: 'kernel',
    defined: false,
  });
  return {
    ...placed,
    regions: [
      ...placed.regions,
      ...rest.map(part => reserved(part, 'init_size area of the load address')),
      ...runtime.map(part => reserved(part, 'init_size area')),
    ].sort((a, b) => a.start - b.start),
    ranges: [atLoad, atRuntime].filter(range => range.size > 0),
    ...(start === setup.code32Start ? {} : { code32Start: start }),
    ...(kernelAlignment === undefined ? {} : { kernelAlignment }),
  };
}

/**
 * boot.rst, "kernel_alignment" and "pref_address"; a kernel loaded below pref_address moves up to it.
 *
 * @param alignment kernel_alignment as the loader wrote it; absent: as the image has it
 */
function runtimeStart(image: BzImage, loadAddress: number, alignment?: number): number {
  const { version, relocatable, kernelAlignment, prefAddress } = image.setup;
  const preferred = version >= VERSION_2_10 ? prefAddress : 0;
  if (!relocatable) return preferred || loadAddress;
  return Math.max(roundUp(loadAddress, (alignment ?? kernelAlignment) || 1), preferred);
}

/** The largest power of two that divides an address other than 0. */
const alignmentOf = (address: number): number => (address & -address) >>> 0;

/**
 * Whether a relocatable image may be loaded at `start`; kernel_alignment, where the loader has to lower it for that
 * (boot.rst, "kernel_alignment" and "min_alignment": from protocol 2.10 on it may, as GRUB 2 does).
 */
function alignmentAt(image: BzImage, start: number): number | undefined {
  const { relocatable, kernelAlignment, version } = image.setup;
  if (!relocatable) {
    throw new ProtocolError(
      'not-relocatable',
      `--load-address is ${hex(start)}; ${image.name} is not relocatable and loads at ${hex(protectedModeCode(image).physical)}`,
      true,
    );
  }
  if (kernelAlignment === 0 || start % kernelAlignment === 0) return undefined;
  const minAlignment = version >= VERSION_2_10 ? minAlignmentOf(image) : 0;
  if (minAlignment > 0 && start % 2 ** minAlignment === 0) return alignmentOf(start);
  throw new ProtocolError(
    'bad-alignment',
    `--load-address is ${hex(start)}; kernel_alignment of ${image.name} is ${hex(kernelAlignment)}${minAlignment > 0 ? ` and its min_alignment ${hex(2 ** minAlignment)}` : ''}`,
    true,
  );
}

/** log2 of bytes; 0 when the header has no such field. */
const minAlignmentOf = (image: BzImage): number =>
  Number(image.setup.fields.find(({ name }) => name === 'min_alignment')?.value ?? 0);

/**
 * @throws {ProtocolError} `image-too-big` when an image reaches past the end of RAM
 */
export function checkFits(image: KernelImage, placed: PlacedImage, memory: number): void {
  const end = Math.max(...placed.regions.map(endOf));
  if (end > memory) {
    throw new ProtocolError(
      'image-too-big',
      `${image.name} needs memory up to ${hex(end)} (${end} bytes); --memory gives ${hex(memory)} (${memory} bytes)`,
    );
  }
}

/** @throws {ProtocolError} `entry-outside-image` when the first instruction is in no part of the placed image */
export function checkEntry(image: KernelImage, placed: PlacedImage): void {
  const { entry } = placed;
  if (placed.regions.some(region => region.start <= entry && entry < endOf(region))) return;
  throw new ProtocolError(
    'entry-outside-image',
    `${image.name} starts at ${hex(entry)}, which is in no part of it as loaded (${placed.regions.map(spellRange).join(', ')})`,
  );
}

/** @throws {ProtocolError} `outside-memory` when a part of the image is where this machine has no RAM */
export function checkInRam(image: KernelImage, placed: PlacedImage, banks: readonly MemoryBank[]): void {
  for (const region of placed.regions) {
    if (banks.some(b => b.kind === 'ram' && b.start <= region.start && endOf(region) <= endOf(b))) continue;
    throw new ProtocolError(
      'outside-memory',
      `${region.name} of ${image.name} (${spellRange(region)}) is not in RAM: ${banks
        .filter(b => b.kind === 'ram')
        .map(b => `${b.name} ${spellRange(b)}`)
        .join(', ')}`,
    );
  }
}

/** @throws {ProtocolError} `region-overlap` when an image loads over what this machine, or its loader, has there */
export function checkClash(
  image: KernelImage,
  placed: PlacedImage,
  others: readonly MemoryRegion[],
  whose: string,
): void {
  const clash = others.find(region => placed.regions.some(part => overlaps(region, part)));
  if (clash) {
    throw new ProtocolError(
      'region-overlap',
      `${image.name} loads over the ${clash.name} of ${whose} (${spellRange(clash)})`,
    );
  }
}
