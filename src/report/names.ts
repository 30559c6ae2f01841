/** Addresses with the names of the image's symbols. */
import type { EntryState } from '../../emulator/entry-state.ts';
import type { KernelImage } from '../kernel-image/kernel-image.ts';
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

/** @param entry how the kernel was started: a bzImage that was loaded elsewhere takes its entry's name with it. */
export function createNames(image: KernelImage, entry: Pick<EntryState, 'eip'>): Names {
  const symbolizer = createSymbolizer(image, image.format === 'bzimage' ? { entry: entry.eip } : {});
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
