/**
 * Builds the page tables that a kernel is entered with: SDM vol. 3, 4.3 (32-bit paging) and 4.4 (PAE paging).
 * Pages of 4 KiB only. The order is fixed: top level, then directories, then tables, each in address order.
 */
import type { PageMapping, PagingMode } from './entry-state.ts';
import { PAGE_SIZE } from './paging.ts';

/** Entry bits, SDM vol. 3, tables 4-5 and 4-6 (the same in PAE, tables 4-9 to 4-11). */
export const PTE_PRESENT = 0x01;
export const PTE_WRITABLE = 0x02;
export const PTE_USER = 0x04;
export const PTE_ACCESSED = 0x20;
export const PTE_DIRTY = 0x40;

export type TableLevel = 'PDPT' | 'PD' | 'PT';

/** One page of tables. `linear` is the first address of the span that it translates. */
export interface TablePage {
  readonly level: TableLevel;
  readonly linear: number;
}

export interface PlacedTablePage extends TablePage {
  readonly physical: number;
  readonly contents: Uint8Array;
}

/** The low bits of the entries of each level. */
export interface EntryFlags {
  readonly pdpt: number;
  readonly directory: number;
  readonly leaf: (mapping: PageMapping) => number;
}

/**
 * Accessed and dirty are set beforehand: what the CPU writes back then changes nothing.
 * A PDPT entry has only P, PWT and PCD; its other low bits are reserved (SDM vol. 3, table 4-8).
 */
const PRESET_FLAGS: EntryFlags = {
  pdpt: PTE_PRESENT,
  directory: PTE_PRESENT | PTE_WRITABLE | PTE_USER | PTE_ACCESSED,
  leaf: mapping =>
    PTE_PRESENT |
    (mapping.writable ? PTE_WRITABLE : 0) |
    (mapping.user ? PTE_USER : 0) |
    PTE_ACCESSED |
    PTE_DIRTY,
};

type BuiltMode = Exclude<PagingMode, 'off'>;

interface Format {
  /** Bytes of an entry. */
  readonly entry: number;
  /** Bytes of linear addresses that one page table, and one page directory, translates. */
  readonly tableSpan: number;
  readonly directorySpan: number;
}

const FORMATS: Readonly<Record<BuiltMode, Format>> = {
  '32-bit': { entry: 4, tableSpan: 2 ** 22, directorySpan: 2 ** 32 },
  pae: { entry: 8, tableSpan: 2 ** 21, directorySpan: 2 ** 30 },
};

/**
 * The table pages that a set of mappings needs, without their contents.
 *
 * @param mappings page-granular, not overlapping, below 2^32
 * @throws {RangeError} for a mapping that is none of that
 */
export function planPageTables(mode: BuiltMode, mappings: readonly PageMapping[]): readonly TablePage[] {
  checkMappings(mappings);
  const format = FORMATS[mode];
  const tables = spans(mappings, format.tableSpan).map((linear): TablePage => ({ level: 'PT', linear }));
  if (mode === '32-bit') return [{ level: 'PD', linear: 0 }, ...tables];
  const directories = spans(mappings, format.directorySpan).map(
    (linear): TablePage => ({ level: 'PD', linear }),
  );
  return [{ level: 'PDPT', linear: 0 }, ...directories, ...tables];
}

/**
 * Fills table pages that stand at given physical addresses.
 *
 * @param place the physical address (a multiple of 4096) of the nth page of {@link planPageTables}
 * @returns CR3 and the pages, in the order of the plan
 */
export function placePageTables(
  mode: BuiltMode,
  mappings: readonly PageMapping[],
  place: (page: TablePage, index: number) => number,
  flags: EntryFlags = PRESET_FLAGS,
): { readonly cr3: number; readonly pages: readonly PlacedTablePage[] } {
  const format = FORMATS[mode];
  const pages = planPageTables(mode, mappings).map((page, index): PlacedTablePage & { view: DataView } => {
    const contents = new Uint8Array(PAGE_SIZE);
    return { ...page, physical: place(page, index), contents, view: new DataView(contents.buffer) };
  });
  const at = (level: TableLevel, linear: number): { readonly physical: number; readonly view: DataView } => {
    const page = pages.find(p => p.level === level && p.linear === linear);
    if (!page) throw new RangeError(`no ${level} for linear address 0x${linear.toString(16)}`);
    return page;
  };
  const floor = (linear: number, span: number): number => linear - (linear % span);

  for (const page of pages) {
    if (page.level === 'PT') {
      const directory = floor(page.linear, format.directorySpan);
      const index = (page.linear - directory) / format.tableSpan;
      at('PD', directory).view.setUint32(index * format.entry, (page.physical | flags.directory) >>> 0, true);
    } else if (page.level === 'PD' && mode === 'pae') {
      const index = page.linear / format.directorySpan;
      at('PDPT', 0).view.setUint32(index * format.entry, (page.physical | flags.pdpt) >>> 0, true);
    }
  }
  for (const mapping of mappings) {
    const bits = flags.leaf(mapping);
    for (let offset = 0; offset < mapping.size; ) {
      const linear = mapping.linear + offset;
      const table = at('PT', floor(linear, format.tableSpan)).view;
      const end = Math.min(mapping.size, offset + format.tableSpan - (linear % format.tableSpan));
      for (; offset < end; offset += PAGE_SIZE) {
        const index = ((mapping.linear + offset) % format.tableSpan) / PAGE_SIZE;
        table.setUint32(index * format.entry, ((mapping.physical + offset) | bits) >>> 0, true);
      }
    }
  }
  const top = pages[0];
  if (!top) throw new RangeError('page tables have a top level');
  return {
    cr3: top.physical,
    pages: pages.map(({ level, linear, physical, contents }) => ({ level, linear, physical, contents })),
  };
}

/**
 * Page tables in one run of memory.
 *
 * @param base physical address of the first table page, a multiple of 4096
 * @returns CR3, the bytes from `base` on, and which page is what
 */
export function buildPageTables(request: {
  readonly mode: BuiltMode;
  readonly mappings: readonly PageMapping[];
  readonly base: number;
}): { readonly cr3: number; readonly tables: Uint8Array; readonly pages: readonly PlacedTablePage[] } {
  const { mode, mappings, base } = request;
  const { cr3, pages } = placePageTables(mode, mappings, (_, index) => base + index * PAGE_SIZE);
  const tables = new Uint8Array(pages.length * PAGE_SIZE);
  for (const [index, page] of pages.entries()) tables.set(page.contents, index * PAGE_SIZE);
  return { cr3, tables, pages };
}

/** The starts of the spans that the mappings touch, ascending, each once. */
function spans(mappings: readonly PageMapping[], span: number): readonly number[] {
  const starts = new Set<number>();
  for (const { linear, size } of mappings) {
    for (let start = linear - (linear % span); start < linear + size; start += span) starts.add(start);
  }
  return [...starts].sort((a, b) => a - b);
}

function checkMappings(mappings: readonly PageMapping[]): void {
  const sorted = [...mappings].sort((a, b) => a.linear - b.linear);
  let end = 0;
  for (const { name, linear, physical, size } of sorted) {
    if (linear % PAGE_SIZE || physical % PAGE_SIZE || size % PAGE_SIZE || size <= 0) {
      throw new RangeError(`mapping ${name} is not made of whole pages`);
    }
    if (linear + size > 2 ** 32 || physical + size > 2 ** 32) {
      throw new RangeError(`mapping ${name} reaches past 4 GiB`);
    }
    if (linear < end) throw new RangeError(`mapping ${name} overlaps the mapping before it`);
    end = linear + size;
  }
}
