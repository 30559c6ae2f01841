/**
 * Start-of-day memory of a 32-bit PV domain, as libxc's domain builder lays it out (Xen 4.14 tools/libxc/xc_dom_core.c,
 * xc_dom_x86.c). Addresses are virtual; here machine address = virtual address, so they are machine addresses too.
 */
import type { PageMapping } from '../../emulator/entry-state.ts';
import { planPageTables, type TablePage } from '../../emulator/page-tables.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import { ProtocolError } from '../protocol.ts';
import { hex, type Range, roundUp } from '../regions.ts';

/** The end of the mapped area is a multiple of this … */
const AREA_ALIGNMENT = 4 * 1024 * 1024;
/** … and leaves at least this much after the boot stack. */
const AREA_SPARE = 512 * 1024;

// Xen's own part of the address space (PAE): arch-x86/xen-x86_32.h
export const M2P = 0xf5800000;
export const M2P_END = 0xf6800000;
/** Above the M2P: where this domain builder keeps what a Xen has outside the domain. Not part of the ABI. */
export const XEN_MEMORY = M2P_END;

export interface StartOfDay {
  readonly virtBase: number;
  /** End of the image, rounded up to a page. */
  readonly kernelEnd: number;
  readonly initrd: Range | undefined;
  readonly p2m: Range;
  readonly startInfo: number;
  readonly store: number;
  readonly console: number;
  readonly pageTables: Range;
  readonly stack: number;
  /** End of what the start-of-day tables map. */
  readonly mappedEnd: number;
}

export interface StartOfDayRequest {
  readonly name: string;
  readonly virtBase: number;
  /** End of the highest segment. */
  readonly imageEnd: number;
  readonly memory: number;
  readonly initrdSize: number;
  /** MOD_START_PFN: the initrd follows the mapped area and is not mapped. */
  readonly initrdUnmapped: boolean;
}

/** @throws {ProtocolError} `image-too-big` */
export function layOut(request: StartOfDayRequest): StartOfDay {
  const { virtBase, memory, initrdSize, initrdUnmapped } = request;
  const memoryEnd = virtBase + memory;
  const kernelEnd = roundUp(request.imageEnd, PAGE_SIZE);
  let next = kernelEnd;
  const take = (size: number): Range => {
    const range = { start: next, size };
    next += roundUp(size, PAGE_SIZE);
    return range;
  };
  const mappedInitrd = initrdSize > 0 && !initrdUnmapped ? take(initrdSize) : undefined;
  const p2m = take((memory / PAGE_SIZE) * 4);
  const startInfo = take(PAGE_SIZE).start;
  const store = take(PAGE_SIZE).start;
  const console = take(PAGE_SIZE).start;
  const fits = (end: number): number => {
    if (end <= memoryEnd) return end;
    throw new ProtocolError(
      'image-too-big',
      `${request.name} and its start-of-day area need memory up to ${hex(end)} (${end - virtBase} bytes from VIRT_BASE); --memory gives ${memory} bytes, up to ${hex(memoryEnd)}`,
    );
  };
  // The tables map themselves: grow until the area that they map has room for them.
  let tables = 0;
  let mappedEnd: number;
  for (;;) {
    mappedEnd = fits(roundUp(next + (tables + 1) * PAGE_SIZE + AREA_SPARE, AREA_ALIGNMENT));
    const needed = domainTables(virtBase, mappedEnd).length;
    if (needed === tables) break;
    tables = needed;
  }
  const pageTables = take(tables * PAGE_SIZE);
  const stack = take(PAGE_SIZE).start;
  const unmappedInitrd =
    initrdSize > 0 && initrdUnmapped ? { start: mappedEnd, size: initrdSize } : undefined;
  if (unmappedInitrd) fits(mappedEnd + roundUp(initrdSize, PAGE_SIZE));
  const initrd = unmappedInitrd ?? mappedInitrd;
  return { virtBase, kernelEnd, initrd, p2m, startInfo, store, console, pageTables, stack, mappedEnd };
}

/** L3, L2s and L1s of the mapped area, and an L2 for slot 3 in any case: Xen puts its own mappings there. */
function domainTables(virtBase: number, mappedEnd: number): readonly TablePage[] {
  const area = mapping('domain', virtBase, mappedEnd - virtBase, true);
  return planPageTables('pae', [area, mapping('Xen', M2P, PAGE_SIZE, false)]).filter(inDomain);
}

/** Xen's L1 tables are Xen's; every other table is the domain's. */
export const inDomain = (page: TablePage): boolean => page.level !== 'PT' || page.linear < M2P;

/** A mapping of pages at their machine addresses. */
export const mapping = (
  name: string,
  start: number,
  size: number,
  writable: boolean,
  user = false,
): PageMapping => ({ name, linear: start, physical: start, size: roundUp(size, PAGE_SIZE), writable, user });
