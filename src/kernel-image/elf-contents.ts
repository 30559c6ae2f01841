/** An ELF file with what stands in its notes and in the kernel's own tables: all that is not about the file as a whole. */
import { type ElfContents, readElf } from './elf.ts';
import { readKallsyms } from './kallsyms/index.ts';
import type { KernelImage, Warning } from './kernel-image.ts';
import { parseSystemMap } from './symbols.ts';
import { decodeXenGuestString, decodeXenNotes } from './xen-notes.ts';

/**
 * @param file the whole file; segments are views of it
 * @param name as the user named the file, for messages
 * @param systemMap text of a System.map
 * @throws {KernelImageError} when the kernel cannot be loaded
 */
export function readElfContents(file: Uint8Array, name: string, systemMap?: string): ElfContents {
  const image = readElf(file, name);
  const xenWarnings: Warning[] = [];
  if (decodeXenNotes(image.notes, xenWarnings) === undefined && image.xenGuest !== undefined) {
    decodeXenGuestString(image.xenGuest, xenWarnings);
  }
  const { warnings, ...symbols } = chooseSymbols(systemMap, image);
  return { ...image, ...symbols, warnings: [...image.warnings, ...xenWarnings, ...warnings] };
}

/** Those of the System.map; else of the file's symbol table; else what the kernel has for /proc/kallsyms. */
export function chooseSymbols(
  systemMap: string | undefined,
  elf?: ElfContents,
): Pick<KernelImage, 'symbols' | 'symbolSource' | 'warnings'> {
  const map = systemMap === undefined ? { symbols: [], warnings: [] } : parseSystemMap(systemMap);
  const { warnings } = map;
  if (map.symbols.length > 0) return { symbols: map.symbols, symbolSource: 'System.map', warnings };
  if (elf === undefined) return { symbols: [], warnings };
  if (elf.symbols.length > 0) return { symbols: elf.symbols, symbolSource: 'symbol table', warnings };
  const own = readKallsyms(elf);
  if (own === undefined) return { symbols: [], warnings };
  return {
    symbols: own.symbols,
    ...(own.symbols.length > 0 && { symbolSource: 'kallsyms' }),
    warnings: [...warnings, ...own.warnings],
  };
}
