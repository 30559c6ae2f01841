/** What the stub has to be told of a kernel: where its parts go, and how much memory that takes. */
import { PAGE_SIZE } from '../../emulator/paging.ts';
import { physicalEntry } from '../kernel-image/entry.ts';
import { type ElfImage, KernelImageError, type Segment } from '../kernel-image/kernel-image.ts';
import { HIGH_LOAD_ADDRESS, PARAGRAPH } from '../kernel-image/setup-header.ts';
import { BSS_SIZE } from './layout.ts';
import { relocationWords } from './relocations.ts';

const WORD = 4;

/** @param unit a positive integer */
export const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

export interface Plan {
  /** In file order; addresses as linked. */
  readonly segments: readonly Segment[];
  /** Physical, as linked. */
  readonly entry: number;
  /** The lowest physical address, which is pref_address. */
  readonly linkStart: number;
  /** From `linkStart` to the place that the stub moves to; a multiple of 16. */
  readonly workspace: number;
  readonly relocatable: boolean;
  /** Of the load address of a relocatable kernel: a power of 2, at least a page. */
  readonly alignment: number;
  /** Virtual addresses of words; empty unless relocatable. */
  readonly relocations: readonly number[];
  /** p_vaddr - p_paddr, the same for every segment of a relocatable kernel. */
  readonly virtualOffset: number;
}

/**
 * @param file the bytes of the ELF file
 * @param fixed the kernel is to stay where it is linked even if it could be moved
 * @throws {KernelImageError} `below-1-mib`, `relocation-kind`, `relocation-outside-file`
 */
export function planKernel(image: ElfImage, file: Uint8Array, fixed: boolean): Plan {
  const { segments } = image;
  const low = segments.find(({ physical }) => physical < HIGH_LOAD_ADDRESS);
  if (low !== undefined) {
    throw new KernelImageError(
      'below-1-mib',
      `${image.name}: ${low.name} has p_paddr 0x${low.physical.toString(16)}; expected 0x100000 (1 MiB) or more, because what is below belongs to the loader`,
    );
  }
  const linkStart = Math.min(...segments.map(({ physical }) => physical));
  const end = Math.max(...segments.map(({ physical, memorySize }) => physical + memorySize));
  const offsets = new Set(segments.map(({ physical, virtual }) => (virtual - physical) >>> 0));
  const alignment = Math.max(
    PAGE_SIZE,
    ...image.programHeaders.filter(({ typeName }) => typeName === 'LOAD').map(({ align }) => align),
  );
  const relocatable =
    image.type === 'ET_DYN' &&
    !fixed &&
    offsets.size === 1 &&
    Number.isInteger(Math.log2(alignment)) &&
    linkStart % alignment === 0;
  return {
    segments,
    entry: physicalEntry(image),
    linkStart,
    workspace: roundUp(end - linkStart, PARAGRAPH) + BSS_SIZE,
    relocatable,
    alignment: relocatable ? alignment : PAGE_SIZE,
    relocations: relocatable ? relocationWords(image, file) : [],
    virtualOffset: [...offsets][0] ?? 0,
  };
}

/** The list of a relocatable payload: a zero word and the words (arch/x86/boot/compressed/misc.c reads it backwards). */
export function relocationList(words: readonly number[]): Uint8Array {
  if (words.length === 0) return new Uint8Array(0);
  const list = new DataView(new ArrayBuffer((words.length + 1) * WORD));
  words.forEach((word, index) => {
    list.setUint32((index + 1) * WORD, word, true);
  });
  return new Uint8Array(list.buffer);
}
