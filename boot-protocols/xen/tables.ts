/**
 * The page tables of a PAE domain, page by page in the order in which its builder takes them. Other than the tables that
 * a CPU needs, a domain has L2 tables for parts of the address space in which nothing is mapped yet.
 */
import type { PageMapping } from '../../emulator/entry-state.ts';
import { PTE_ACCESSED, PTE_DIRTY, PTE_PRESENT, PTE_USER, PTE_WRITABLE } from '../../emulator/page-tables.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import { type DomainBuilder, M2P } from './builder.ts';

/** `linear` is the first address of the span that the page translates. */
export interface DomainTable {
  readonly level: 'L3' | 'L2' | 'L1';
  readonly linear: number;
}

interface PlacedTable extends DomainTable {
  /** Machine address. */
  readonly machine: number;
}

// SDM vol. 3, 4.4.2: bytes that one entry of an L3 and of an L2 table translates.
const L3_ENTRY_SPAN = 2 ** 30;
const L2_ENTRY_SPAN = 2 ** 21;
const ENTRY_SIZE = 8;
const LAST_SLOT = 3;

/**
 * The low bits of L2 entries. L3 entries have P alone: a 32-bit Xen and its tools write no other bit, because the CPU
 * reserves them (SDM vol. 3, table 4-8). Under a 64-bit Xen, whose tables have a fourth level, libxc writes 0x67.
 */
const L2_FLAGS = PTE_PRESENT | PTE_WRITABLE | PTE_USER | PTE_ACCESSED | PTE_DIRTY;
const L3_FLAGS = PTE_PRESENT;

/** L1_PROT of libxc and of construct_dom0 for a 32-bit domain. */
const leafFlags = (page: PageMapping): number =>
  PTE_PRESENT | (page.writable ? PTE_WRITABLE : 0) | (page.user ? PTE_USER : 0) | PTE_ACCESSED;

const floor = (linear: number, span: number): number => linear - (linear % span);
const slotOf = (linear: number): number => Math.floor(linear / L3_ENTRY_SPAN);

const range = (from: number, to: number): readonly number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** The pages of tables that map [virtBase, mappedEnd), in their order. */
export function domainTables(
  { domain, host }: DomainBuilder,
  virtBase: number,
  mappedEnd: number,
): readonly DomainTable[] {
  const top: DomainTable = { level: 'L3', linear: 0 };
  const l2 = (slot: number): DomainTable => ({ level: 'L2', linear: slot * L3_ENTRY_SPAN });
  const l1s: DomainTable[] = [];
  for (let linear = floor(virtBase, L2_ENTRY_SPAN); linear < mappedEnd; linear += L2_ENTRY_SPAN)
    l1s.push({ level: 'L1', linear });
  const first = slotOf(virtBase);
  const last = slotOf(mappedEnd - 1);
  if (domain === 'domU') {
    // count_pgtables: 4.14 has an L2 for every slot up to the last when the area ends below it, 4.2 for the last only.
    const slots = host === 64 ? range(first, LAST_SLOT) : [...range(first, last), LAST_SLOT];
    return [top, ...[...new Set(slots)].map(l2), ...l1s];
  }
  const all = range(0, LAST_SLOT);
  if (host === 32) return [top, ...all.map(l2), ...l1s];
  // Xen 4.14 takes an L1 first, and then the L2 that it goes into.
  const taken = l1s.flatMap(table =>
    table === l1s[0] || table.linear % L3_ENTRY_SPAN === 0 ? [table, l2(slotOf(table.linear))] : [table],
  );
  return [top, ...taken, ...all.filter(slot => slot < first || slot > last).map(l2)];
}

/**
 * The domain's tables where the layout has room for them, Xen's L1 tables in Xen's memory.
 *
 * @param own the domain's
 * @param at machine address of the first of them
 * @param xenAt machine address of the first of Xen's
 */
export function placeTables(
  own: readonly DomainTable[],
  at: number,
  xenAt: number,
  mappings: readonly PageMapping[],
): { readonly cr3: number; readonly domain: Uint8Array; readonly xen: Uint8Array } {
  const placed = [
    ...own.map((table, index) => ({ ...table, machine: at + index * PAGE_SIZE })),
    ...xenTables(mappings).map((table, index) => ({ ...table, machine: xenAt + index * PAGE_SIZE })),
  ];
  const pages = fillTables(placed, mappings);
  return { cr3: at, domain: joinPages(pages.slice(0, own.length)), xen: joinPages(pages.slice(own.length)) };
}

/** Pages one after the other. */
export function joinPages(pages: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pages.length * PAGE_SIZE);
  for (const [index, page] of pages.entries()) bytes.set(page, index * PAGE_SIZE);
  return bytes;
}

/** L1 tables that map Xen's own part of the address space are Xen's; every other table is the domain's. */
function xenTables(mappings: readonly PageMapping[]): readonly DomainTable[] {
  const starts = new Set<number>();
  for (const { linear, size } of mappings) {
    for (let at = floor(linear, L2_ENTRY_SPAN); at < linear + size; at += L2_ENTRY_SPAN)
      if (at >= M2P) starts.add(at);
  }
  return [...starts].sort((a, b) => a - b).map((linear): DomainTable => ({ level: 'L1', linear }));
}

/** @returns the bytes of the pages, in the order of `tables` */
function fillTables(tables: readonly PlacedTable[], mappings: readonly PageMapping[]): readonly Uint8Array[] {
  const pages = tables.map(table => {
    const bytes = new Uint8Array(PAGE_SIZE);
    return { ...table, bytes, view: new DataView(bytes.buffer) };
  });
  const find = (level: DomainTable['level'], linear: number): DataView => {
    const page = pages.find(table => table.level === level && table.linear === linear);
    if (!page) throw new RangeError(`no ${level} table for 0x${linear.toString(16)}`);
    return page.view;
  };
  for (const { level, linear, machine } of tables) {
    if (level === 'L3') continue;
    const [parent, flags] =
      level === 'L2' ? [find('L3', 0), L3_FLAGS] : [find('L2', floor(linear, L3_ENTRY_SPAN)), L2_FLAGS];
    const index = level === 'L2' ? slotOf(linear) : (linear % L3_ENTRY_SPAN) / L2_ENTRY_SPAN;
    parent.setUint32(index * ENTRY_SIZE, (machine | flags) >>> 0, true);
  }
  for (const mapping of mappings) {
    const flags = leafFlags(mapping);
    let view: DataView | undefined;
    for (let offset = 0; offset < mapping.size; offset += PAGE_SIZE) {
      const linear = mapping.linear + offset;
      if (view === undefined || linear % L2_ENTRY_SPAN === 0) view = find('L1', floor(linear, L2_ENTRY_SPAN));
      const index = (linear % L2_ENTRY_SPAN) / PAGE_SIZE;
      view.setUint32(index * ENTRY_SIZE, ((mapping.physical + offset) | flags) >>> 0, true);
    }
  }
  return pages.map(({ bytes }) => bytes);
}
