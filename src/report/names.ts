/** Addresses with the names of the image's symbols. */
import type { EntryState } from '../../emulator/entry-state.ts';
import type { KernelImage } from '../kernel-image/kernel-image.ts';
import { relocate } from '../kernel-image/payload/relocate.ts';
import { createSymbolizer } from '../kernel-image/symbolizer.ts';
import { hex32, hexShort } from './hex.ts';

export interface Names {
  /** `startup_32`, `startup_32+0x1`; nothing where no symbol is near. */
  symbol(address: number): string | undefined;
  /** `startup_32+0x1 (0x00100001)`, or the bare address. */
  place(address: number): string;
  /** The linear addresses at which a symbol can stand: its physical one before paging, its virtual one after. */
  addresses(name: string): readonly number[] | undefined;
}

/** How a kernel was started, as far as its names depend on it. */
type Started = Pick<EntryState, 'eip'> & Partial<Pick<EntryState, 'knobs'>>;

/** The symbols of a kernel proper move with it; its words do not matter to its names. */
function asStarted(image: KernelImage, { knobs }: Started): KernelImage {
  const loadAddress = knobs?.['load-address'];
  if (image.format !== 'elf' || image.relocations === undefined || loadAddress === undefined) return image;
  const relocations = { ...image.relocations, words: new Uint32Array() };
  return relocate({ ...image, relocations }, Number(loadAddress));
}

/** @param entry how the kernel was started: one that was loaded elsewhere takes its names with it. */
export function createNames(image: KernelImage, entry: Started): Names {
  const symbolizer = createSymbolizer(
    asStarted(image, entry),
    image.format === 'bzimage' ? { entry: entry.eip } : {},
  );
  const symbol = (address: number): string | undefined => {
    const found = symbolizer.symbolAt(address);
    if (!found) return undefined;
    return found.offset === 0 ? found.name : `${found.name}+${hexShort(found.offset)}`;
  };
  return {
    symbol,
    place: address => {
      const name = symbol(address);
      return name === undefined ? hex32(address) : `${name} (${hex32(address)})`;
    },
    addresses: name => {
      const found = symbolizer.locate(name);
      if (!found) return undefined;
      return [...new Set([found.physical ?? found.virtual, found.virtual])];
    },
  };
}
