/**
 * The page tables that lguest leaves in guest memory, below the initrd: Documentation/lguest/lguest.c, setup_pagetables
 * (2.6.23 to 2.6.28) and drivers/lguest/page_tables.c, setup_pagetables (2.6.29 to 3.0). They are the guest's; the CPU
 * runs on the host's own ones, which the host fills from them.
 */
import type { MemoryRegion, PageMapping } from '../../emulator/entry-state.ts';
import { PTE_PRESENT, PTE_USER, PTE_WRITABLE } from '../../emulator/page-tables.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import { LOADER_MEMORY } from '../loader-memory.ts';
import { ProtocolError } from '../protocol.ts';
import { hex, roundDown, writtenRegion } from '../regions.ts';
import type { InitialTables } from './eras.ts';

/** PAGE_OFFSET of the host, which builds the tables for a guest like itself: the 3G/1G split. */
export const PAGE_OFFSET = 0xc0000000;

const FLAGS = PTE_PRESENT | PTE_WRITABLE | PTE_USER;

const ADDRESS_SPACE = 2 ** 32;
const GIB = 2 ** 30;
/** Bytes that an entry of a page directory spans: SDM vol. 3, 4.3. */
const TABLE_SPAN = 2 ** 22;

export interface TablesRequest {
  readonly tables: Exclude<InitialTables, 'none'>;
  readonly mode: '32-bit' | 'pae';
  /** Bytes of guest memory. */
  readonly memory: number;
  /** What `page-offset` adds to a physical address. */
  readonly pageOffset?: number;
}

export interface GuestTables {
  readonly region: MemoryRegion;
  /** Physical address of the top level, which 2.6.24 to 3.0 tell the guest in lguest_data.pgdir. */
  readonly pgdir: number;
}

/** Parts of guest memory as they are mapped: linear address, physical address, size. */
type Part = readonly [linear: number, physical: number, size: number];

/** What is mapped, within what the host has left: the end of the address space is its own. */
function parts(
  tables: InitialTables,
  mode: '32-bit' | 'pae',
  memory: number,
  pageOffset: number,
): readonly Part[] {
  const high = (base: number, size: number): Part => [base, 0, Math.min(memory, size, LOADER_MEMORY - base)];
  switch (tables) {
    case 'none':
    case 'linear':
      return [[0, 0, memory]];
    case 'page-offset':
      return [high(roundDown(pageOffset, TABLE_SPAN), ADDRESS_SPACE - pageOffset)];
    case 'both':
      // One page of PMDs: both are 1 GiB at most.
      return [[0, 0, mode === 'pae' ? Math.min(memory, GIB) : memory], high(PAGE_OFFSET, GIB)];
  }
}

export function guestMappings(
  tables: InitialTables,
  mode: '32-bit' | 'pae',
  memory: number,
  pageOffset = PAGE_OFFSET,
): readonly PageMapping[] {
  return parts(tables, mode, memory, pageOffset).map(([linear, physical, size]) => ({
    linear,
    physical,
    size,
    writable: true,
    user: true,
    name: linear === physical ? 'guest memory' : `guest memory at ${hex(linear)}`,
  }));
}

const entrySizeOf = (mode: TablesRequest['mode']): number => (mode === 'pae' ? 8 : 4);

/** Pages of memory that the tables map. */
const mappedPages = ({ tables, memory, pageOffset = PAGE_OFFSET }: TablesRequest): number =>
  (tables === 'page-offset' ? Math.min(memory, ADDRESS_SPACE - pageOffset) : memory) / PAGE_SIZE;

/** Pages of the last level. */
const lastLevelPages = (request: TablesRequest): number =>
  Math.ceil((mappedPages(request) * entrySizeOf(request.mode)) / PAGE_SIZE);

/** Bytes of all the tables. */
export const guestTablesSize = (request: TablesRequest): number =>
  (1 + lastLevelPages(request) + (request.mode === 'pae' ? 1 : 0)) * PAGE_SIZE;

/**
 * From the top down: the top level, the page tables, with PAE one page of PMDs.
 *
 * @param top where the tables end: the initrd, or the end of memory
 * @throws {ProtocolError} `no-room` when guest memory is smaller than its tables
 */
export function guestTables(request: TablesRequest, top: number): GuestTables {
  const { tables, mode, memory, pageOffset = PAGE_OFFSET } = request;
  const entrySize = entrySizeOf(mode);
  const perPage = PAGE_SIZE / entrySize;
  const mapped = mappedPages(request);
  const tablePages = lastLevelPages(request);
  const pgdir = top - PAGE_SIZE;
  const linear = pgdir - tablePages * PAGE_SIZE;
  const pmds = linear - PAGE_SIZE;
  const start = top - guestTablesSize(request);
  if (start < 0) {
    throw new ProtocolError(
      'no-room',
      `--memory gives ${memory} bytes, which have no room for their page tables`,
    );
  }
  const contents = new Uint8Array(top - start);
  const view = new DataView(contents.buffer);
  // An entry's upper half stays 0: there is no memory above 4 GiB.
  const put = (page: number, index: number, value: number): void =>
    view.setUint32(page - start + index * entrySize, value >>> 0, true);
  for (let page = 0; page < mapped; page++) put(linear, page, (page * PAGE_SIZE) | FLAGS);
  const table = (index: number): number => (linear + index * PAGE_SIZE) | FLAGS;
  if (mode === 'pae') {
    for (let index = 0; index < Math.min(tablePages, perPage); index++) put(pmds, index, table(index));
    for (const base of [0, PAGE_OFFSET]) put(pgdir, base / GIB, pmds | PTE_PRESENT);
  } else {
    const bases = { 'page-offset': [pageOffset], linear: [0], both: [0, PAGE_OFFSET] }[tables];
    for (const base of bases) {
      const first = Math.floor(base / TABLE_SPAN);
      for (let index = 0; index < tablePages && first + index < perPage; index++)
        put(pgdir, first + index, table(index));
    }
  }
  return {
    pgdir,
    region: writtenRegion('linear page tables', start, 'loader', contents),
  };
}
