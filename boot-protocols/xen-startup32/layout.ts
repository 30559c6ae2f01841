/**
 * Where this builder puts what the proposal of 2007 leaves open: Xen's start-of-day parts, behind the kernel, and its
 * hole where a Xen with that kind of paging has it.
 */
import type { PageMapping, PagingMode } from '../../emulator/entry-state.ts';
import { placePageTables, planPageTables } from '../../emulator/page-tables.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import { ProtocolError } from '../protocol.ts';
import { endOf, findLow, type Range, roundUp } from '../regions.ts';
import { M2P, M2P_END } from '../xen/builder.ts';
import { mapping } from '../xen/layout.ts';
import { GDT_SIZE } from '../xen/segments.ts';
import { joinPages } from '../xen/tables.ts';

export interface Hole {
  /** The machine-to-phys table. */
  readonly m2p: number;
  readonly m2pEnd: number;
}

/** xen/include/public/arch-x86/xen-x86_32.h: a Xen without PAE, which there was until 3.4, has less for itself. */
export const holeOf = (mode: PagingMode): Hole =>
  mode === '32-bit' ? { m2p: 0xfc000000, m2pEnd: 0xfc400000 } : { m2p: M2P, m2pEnd: M2P_END };

export interface StartOfDay {
  readonly p2m: Range;
  readonly startInfo: number;
  readonly rings: { readonly store: number; readonly console: number };
  readonly pageTables: Range;
  readonly stack: number;
}

/**
 * @param from end of the image and of what it reserves
 * @param tables pages of page tables
 * @throws {ProtocolError} `image-too-big`
 */
export function layOut(
  name: string,
  memory: number,
  from: number,
  tables: number,
  taken: readonly Range[],
): StartOfDay {
  const p2mSize = (memory / PAGE_SIZE) * 4;
  const size = roundUp(p2mSize, PAGE_SIZE) + (3 + tables + 1) * PAGE_SIZE;
  const start = findLow(size, from, memory, taken);
  if (start === undefined) {
    throw new ProtocolError(
      'image-too-big',
      `${name} leaves no ${size} bytes in one piece for Xen's start-of-day parts; --memory gives ${memory} bytes`,
    );
  }
  const startInfo = start + roundUp(p2mSize, PAGE_SIZE);
  const pageTables = { start: startInfo + 3 * PAGE_SIZE, size: tables * PAGE_SIZE };
  return {
    p2m: { start, size: p2mSize },
    startInfo,
    rings: { store: startInfo + PAGE_SIZE, console: startInfo + 2 * PAGE_SIZE },
    pageTables,
    stack: endOf(pageTables),
  };
}

/** The domain's memory 1:1, and of Xen's part what a guest may read. */
export function mappings(
  memory: number,
  pageTables: Range | undefined,
  { m2p, m2pEnd }: Hole,
  m2pSize: number,
  user: boolean,
): readonly PageMapping[] {
  const area = (name: string, start: number, size: number, writable: boolean): readonly PageMapping[] =>
    size > 0 ? [mapping(name, start, size, writable, user)] : [];
  const tables = pageTables ?? { start: memory, size: 0 };
  return [
    ...area('domain memory', 0, tables.start, true),
    ...area('page tables', tables.start, tables.size, false),
    ...area('domain memory', endOf(tables), memory - endOf(tables), true),
    ...area('machine-to-phys table', m2p, m2pSize, false),
    mapping('Xen GDT', m2pEnd, GDT_SIZE, true),
  ];
}

/** Pages of tables that are the domain's: all but the last level of Xen's own part. */
export const domainTables = (mode: Exclude<PagingMode, 'off'>, all: readonly PageMapping[], { m2p }: Hole) =>
  planPageTables(mode, all).filter(page => page.level !== 'PT' || page.linear < m2p);

/**
 * @param count how many of the tables are the domain's
 * @param at where those go
 * @param xenAt where Xen's go
 */
export function placeTables(
  mode: PagingMode,
  mapped: readonly PageMapping[],
  count: number,
  at: number,
  xenAt: number,
): { readonly cr3: number; readonly domain: Uint8Array; readonly xen: Uint8Array } {
  if (mode === 'off') return { cr3: 0, domain: new Uint8Array(0), xen: new Uint8Array(0) };
  const { cr3, pages } = placePageTables(mode, mapped, (_, index) =>
    index < count ? at + index * PAGE_SIZE : xenAt + (index - count) * PAGE_SIZE,
  );
  const contents = pages.map(page => page.contents);
  return { cr3, domain: joinPages(contents.slice(0, count)), xen: joinPages(contents.slice(count)) };
}
