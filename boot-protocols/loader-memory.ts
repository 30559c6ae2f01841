/**
 * Memory that a loader or a hypervisor keeps for itself, above all guest RAM: its GDT (mapped 1:1, because the CPU
 * reads it through paging, and guarded) and its page tables (not mapped). A touch of either by the kernel is a Stop.
 */
import type { MemoryBank, MemoryRegion, PageMapping, Paging, PagingMode } from '../emulator/entry-state.ts';
import { buildPageTables } from '../emulator/page-tables.ts';
import { PAGE_SIZE } from '../emulator/paging.ts';
import { roundUp } from './regions.ts';

/** Room for the PAE tables of the largest RAM; near the end of the address space, where lguest has its switcher too. */
export const LOADER_MEMORY = 0xff800000;

export interface LoaderMemory {
  readonly banks: readonly MemoryBank[];
  readonly regions: readonly MemoryRegion[];
  readonly paging: Paging;
  /** 0 without paging. */
  readonly cr3: number;
  /** Where the GDT is; meaningless without one. */
  readonly gdtBase: number;
}

/**
 * @param owner whose memory it is, e.g. `lguest host`
 * @param gdt absent: the loader keeps no GDT here
 * @param mappings what is mapped besides the GDT's page
 */
export function loaderMemory(request: {
  readonly owner: string;
  readonly gdt?: Uint8Array;
  readonly mode: PagingMode;
  readonly mappings: readonly PageMapping[];
}): LoaderMemory {
  const { owner, gdt, mode } = request;
  const gdtSize = gdt ? roundUp(gdt.length, PAGE_SIZE) : 0;
  const tablesBase = LOADER_MEMORY + gdtSize;
  const regions: MemoryRegion[] = [];
  const mappings = [...request.mappings];
  if (gdt) {
    regions.push({
      name: `${owner} GDT`,
      start: LOADER_MEMORY,
      size: gdt.length,
      owner: 'loader',
      contents: gdt,
      defined: true,
      guarded: true,
    });
    mappings.push({
      linear: LOADER_MEMORY,
      physical: LOADER_MEMORY,
      size: gdtSize,
      writable: true,
      user: false,
      name: `${owner} GDT`,
    });
  }
  let cr3 = 0;
  let size = gdtSize;
  if (mode !== 'off') {
    const built = buildPageTables({ mode, mappings, base: tablesBase });
    cr3 = built.cr3;
    size += built.tables.length;
    regions.push({
      name: `${owner} page tables`,
      start: tablesBase,
      size: built.tables.length,
      owner: 'loader',
      contents: built.tables,
      defined: true,
    });
  }
  return {
    banks: size > 0 ? [{ name: `${owner} memory`, start: LOADER_MEMORY, size, kind: 'ram' }] : [],
    regions,
    paging: { mode, mappings: mode === 'off' ? [] : mappings },
    cr3,
    gdtBase: LOADER_MEMORY,
  };
}
