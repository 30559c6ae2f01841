/** From addresses to names and back, before and after the kernel turns paging on. */
import { findEntry, holdsPhysical, holdsVirtual, physicalEntry, toPhysical, toVirtual } from './entry.ts';
import type { ElfImage, KernelImage, KernelSymbol, Segment } from './kernel-image.ts';

/** What the 32-bit entry is called when the file does not say: Linux arch/x86/kernel/head_32.S and boot/compressed/head_32.S. */
export const ENTRY_NAME = 'startup_32';

/** How far past a label without a size its name is still used: 64 KiB, more than any function of a kernel's text. */
const LABEL_REACH = 0x1_0000;
/** How far past an entry that no symbol names: one page; code beyond it is rarely the entry's own. */
const ENTRY_REACH = 0x1000;

export type AddressKind = 'virtual' | 'physical';

export interface SymbolAt {
  readonly name: string;
  /** Bytes from the symbol to the address. */
  readonly offset: number;
}

export interface SymbolLocation {
  readonly name: string;
  readonly virtual: number;
  /** Absent when no segment holds the symbol. */
  readonly physical?: number;
}

export interface Symbolizer {
  /**
   * The symbol at or before an address.
   * @param kind which address space it is from; by default a virtual address when a segment holds it virtually, else physical.
   */
  symbolAt(address: number, kind?: AddressKind): SymbolAt | undefined;
  /** The address of a name; `startup_32` is always known. */
  locate(name: string): SymbolLocation | undefined;
}

export interface SymbolizerOptions {
  /** Physical address of the 32-bit entry when the image was not loaded at its default address (a relocatable bzImage). */
  readonly entry?: number;
}

export function createSymbolizer(image: KernelImage, options: SymbolizerOptions = {}): Symbolizer {
  return image.format === 'elf'
    ? elfSymbolizer(image)
    : bzImageSymbolizer(image.symbols, options.entry ?? physicalEntry(image));
}

function elfSymbolizer(image: ElfImage): Symbolizer {
  const { segments } = image;
  const entry = findEntry(image);
  const entryVirtual = entry && toVirtual(entry.segment, entry.physical);
  const symbols = withEntry(image.symbols, entryVirtual);
  const entryIsBare = symbols.length > image.symbols.length;
  const byName = once(() => firstByName(symbols));

  return {
    symbolAt(address, kind) {
      const found = resolve(segments, address, kind);
      if (found === undefined) return undefined;
      const at = nearest(symbols, found.virtual);
      // A label of another segment says nothing about this one.
      if (at === undefined || !holdsVirtual(found.segment, at.address)) return undefined;
      const offset = (found.virtual - at.address) >>> 0;
      return offset < reach(at, entryIsBare && at.address === entryVirtual)
        ? { name: at.name, offset }
        : undefined;
    },
    locate(name) {
      const symbol = byName().get(name);
      if (symbol !== undefined) {
        const segment = segments.find(candidate => holdsVirtual(candidate, symbol.address));
        return {
          name,
          virtual: symbol.address,
          ...(segment && { physical: toPhysical(segment, symbol.address) }),
        };
      }
      if (name === ENTRY_NAME && entry !== undefined && entryVirtual !== undefined) {
        return { name, virtual: entryVirtual, physical: entry.physical };
      }
      return undefined;
    },
  };
}

function reach(symbol: KernelSymbol, bareEntry: boolean): number {
  if (bareEntry) return ENTRY_REACH;
  return symbol.size > 0 ? symbol.size : LABEL_REACH;
}

function resolve(
  segments: readonly Segment[],
  address: number,
  kind: AddressKind | undefined,
): { readonly segment: Segment; readonly virtual: number } | undefined {
  if (kind !== 'physical') {
    const segment = segments.find(candidate => holdsVirtual(candidate, address));
    if (segment !== undefined) return { segment, virtual: address };
  }
  if (kind !== 'virtual') {
    const segment = segments.find(candidate => holdsPhysical(candidate, address));
    if (segment !== undefined) return { segment, virtual: toVirtual(segment, address) };
  }
  return undefined;
}

/**
 * A System.map names the kernel proper at its link addresses; the code at the load address is its decompressor, of which
 * only the entry has a known name.
 */
function bzImageSymbolizer(symbols: readonly KernelSymbol[], entry: number): Symbolizer {
  const byName = once(() => firstByName(symbols));
  return {
    symbolAt(address, kind) {
      if (kind !== 'virtual' && address >= entry && address - entry < ENTRY_REACH) {
        return { name: ENTRY_NAME, offset: address - entry };
      }
      if (kind === 'physical') return undefined;
      const at = nearest(symbols, address);
      if (at === undefined) return undefined;
      const offset = address - at.address;
      return offset < reach(at, false) ? { name: at.name, offset } : undefined;
    },
    locate(name) {
      if (name === ENTRY_NAME) return { name, virtual: entry, physical: entry };
      const symbol = byName().get(name);
      return symbol && { name, virtual: symbol.address };
    },
  };
}

/** Adds the entry to a table that does not name its address, and puts its own name first in one that does. */
function withEntry(symbols: readonly KernelSymbol[], entry: number | undefined): readonly KernelSymbol[] {
  if (entry === undefined) return symbols;
  const from = firstIndexAbove(symbols, entry - 1);
  const to = firstIndexAbove(symbols, entry);
  const there = symbols.slice(from, to);
  const own = there.find(symbol => symbol.name === ENTRY_NAME);
  if (there.length > 0 && own === undefined) return symbols;
  if (own === undefined && symbols.some(symbol => symbol.name === ENTRY_NAME)) return symbols;
  const first: KernelSymbol = own ?? { name: ENTRY_NAME, address: entry, size: 0, kind: 'other' };
  return symbols.slice(0, from).concat(
    first,
    there.filter(symbol => symbol !== own),
    symbols.slice(to),
  );
}

/** A kernel has tens of thousands of symbols, and most reports look up none by its name. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

function firstByName(symbols: readonly KernelSymbol[]): ReadonlyMap<string, KernelSymbol> {
  const byName = new Map<string, KernelSymbol>();
  for (const symbol of symbols) if (!byName.has(symbol.name)) byName.set(symbol.name, symbol);
  return byName;
}

/** The first symbol of the last address that is at most `address`. */
function nearest(symbols: readonly KernelSymbol[], address: number): KernelSymbol | undefined {
  const after = firstIndexAbove(symbols, address);
  const last = symbols[after - 1];
  return last && symbols[firstIndexAbove(symbols, last.address - 1)];
}

function firstIndexAbove(symbols: readonly KernelSymbol[], address: number): number {
  let low = 0;
  let high = symbols.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((symbols[middle]?.address ?? 0) <= address) low = middle + 1;
    else high = middle;
  }
  return low;
}
