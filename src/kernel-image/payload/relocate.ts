/**
 * The kernel proper at another physical address: what the decompressor does after it has put the segments in place
 * (Linux 6.1 arch/x86/boot/compressed/misc.c, parse_elf and handle_relocations; head_32.S up to 3.10).
 */
import { hex } from '../bytes.ts';
import { type ElfImage, KernelImageError, type Note, type Segment } from '../kernel-image.ts';

const FOUR_GIB = 0x1_0000_0000;
const WORD = 4;

/**
 * Moves a relocatable kernel proper: its segments, entry, symbols and section addresses, and every word of its
 * relocation list, by the same displacement. On i386 virtual addresses move with the physical ones: PAGE_OFFSET stays.
 *
 * @param physical where its lowest segment comes to stand; `image.relocations.linkedAt` gives the image itself
 * @throws {KernelImageError} `not-relocatable` without a relocation list; `load-address-alignment` when the address is no
 *   multiple of kernel_alignment; `segment-wraps` when the kernel would end past 4 GiB; `relocation-outside-kernel` when
 *   the list names a word that is in no segment
 */
export function relocate(image: ElfImage, physical: number): ElfImage {
  const { name, relocations } = image;
  if (relocations === undefined) {
    throw new KernelImageError(
      'not-relocatable',
      `${name}: the kernel has no relocation list, so it cannot be loaded at ${hex(physical)}; expected one, as the kernel proper of a relocatable bzImage has`,
    );
  }
  const displacement = physical - relocations.linkedAt;
  if (displacement === 0) return image;
  checkAddress(image, physical, displacement);

  const move = (address: number): number => (address + displacement) >>> 0;
  const segments = image.segments.map(segment => ({
    ...segment,
    physical: move(segment.physical),
    virtual: move(segment.virtual),
    contents: segment.contents.slice(),
  }));
  addToWords(image, segments, relocations.words, displacement);
  const words = relocations.words.map(move);
  return {
    ...image,
    entry: move(image.entry),
    segments,
    symbols: image.symbols.map(symbol => ({ ...symbol, address: move(symbol.address) })),
    programHeaders: image.programHeaders.map(header => ({
      ...header,
      virtual: header.memorySize === 0 ? header.virtual : move(header.virtual),
      physical: header.memorySize === 0 ? header.physical : move(header.physical),
    })),
    // A section that is not loaded has address 0.
    sections: image.sections.map(section =>
      section.address === 0 ? section : { ...section, address: move(section.address) },
    ),
    notes: image.notes.map(note => movedNote(note, image.segments, segments)),
    relocations: { words, linkedAt: physical },
  };
}

function checkAddress(image: ElfImage, physical: number, displacement: number): void {
  const { name, container } = image;
  const alignment = container?.setup.kernelAlignment ?? 0;
  if (alignment > 0 && physical % alignment !== 0) {
    throw new KernelImageError(
      'load-address-alignment',
      `${name}: the load address is ${hex(physical)}; expected a multiple of kernel_alignment, ${hex(alignment)}`,
    );
  }
  const end = Math.max(
    ...image.segments.map(segment => segment.physical + segment.memorySize + displacement),
  );
  const start = Math.min(...image.segments.map(segment => segment.physical + displacement));
  if (start < 0 || end > FOUR_GIB) {
    throw new KernelImageError(
      'segment-wraps',
      `${name}: loaded at ${hex(physical)} the kernel ends at ${hex(end)}; expected an end of at most ${hex(FOUR_GIB)}`,
    );
  }
}

/** The list names words by the virtual address they were linked at. */
function addToWords(
  image: ElfImage,
  moved: readonly Segment[],
  words: Uint32Array,
  displacement: number,
): void {
  const targets = image.segments.map((segment, index) => {
    const { virtual, contents } = segment;
    const bytes = moved[index]?.contents ?? contents;
    return {
      first: virtual,
      last: virtual + contents.length - WORD,
      view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    };
  });
  let target = targets[0];
  for (const address of words) {
    if (target === undefined || address < target.first || address > target.last) {
      target = targets.find(({ first, last }) => address >= first && address <= last);
      if (target === undefined) {
        throw new KernelImageError(
          'relocation-outside-kernel',
          `${image.name}: the relocation list names the word at ${hex(address)}; expected one in the contents of a segment`,
        );
      }
    }
    const at = address - target.first;
    target.view.setUint32(at, target.view.getUint32(at, true) + displacement, true);
  }
}

/** A note that lies in a segment is a view of the same file, and addresses in it are words of the list like any other. */
function movedNote(note: Note, from: readonly Segment[], to: readonly Segment[]): Note {
  const { buffer, byteOffset, byteLength } = note.description;
  const index = from.findIndex(
    ({ contents }) =>
      contents.buffer === buffer &&
      byteOffset >= contents.byteOffset &&
      byteOffset + byteLength <= contents.byteOffset + contents.byteLength,
  );
  const start = byteOffset - (from[index]?.contents.byteOffset ?? 0);
  const description = to[index]?.contents.subarray(start, start + byteLength);
  return description === undefined ? note : { ...note, description };
}
