/**
 * Start-of-day memory of a 32-bit PV domain. A domU: tools/libxc/xc_dom_core.c and xc_dom_x86.c; dom0: Xen's own
 * construct_dom0 (4.14 xen/arch/x86/pv/dom0_build.c, 4.2 xen/arch/x86/domain_build.c). Addresses are virtual; here
 * machine address = virtual address, so they are machine addresses too.
 */
import type { PageMapping } from '../../emulator/entry-state.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import { ProtocolError } from '../protocol.ts';
import { hex, type Range, roundUp } from '../regions.ts';
import type { DomainBuilder } from './builder.ts';
import { type DomainTable, domainTables } from './tables.ts';

/** The end of the mapped area is a multiple of this … */
const AREA_ALIGNMENT = 4 * 1024 * 1024;
/** … and leaves at least this much after the boot stack. */
const AREA_SPARE = 512 * 1024;

export interface StartOfDay {
  readonly virtBase: number;
  /** End of the image, rounded up to a page. */
  readonly kernelEnd: number;
  readonly initrd: Range | undefined;
  readonly p2m: Range;
  readonly startInfo: number;
  /** Of a domU: the pages of xenstore and of the console. */
  readonly rings: { readonly store: number; readonly console: number } | undefined;
  readonly pageTables: Range;
  /** In the order of their pages. */
  readonly tables: readonly DomainTable[];
  readonly stack: number;
  /** End of what the start-of-day tables map. */
  readonly mappedEnd: number;
  /** Of dom0: pages that it has when its tables are made; Xen adds the others afterwards. */
  readonly firstPages: number | undefined;
}

export interface StartOfDayRequest {
  readonly name: string;
  readonly builder: DomainBuilder;
  readonly virtBase: number;
  /** End of the highest segment. */
  readonly imageEnd: number;
  readonly memory: number;
  readonly initrdSize: number;
  /** MOD_START_PFN: the initrd is not mapped. */
  readonly initrdUnmapped: boolean;
}

/** @throws {ProtocolError} `image-too-big` */
export function layOut(request: StartOfDayRequest): StartOfDay {
  const { virtBase, memory, initrdUnmapped, builder } = request;
  const memoryEnd = virtBase + memory;
  const kernelEnd = roundUp(request.imageEnd, PAGE_SIZE);
  let next = kernelEnd;
  const take = (size: number): Range => {
    const range = { start: next, size };
    next += roundUp(size, PAGE_SIZE);
    return range;
  };
  const fits = (end: number): number => {
    if (end <= memoryEnd) return end;
    throw new ProtocolError(
      'image-too-big',
      `${request.name} and its start-of-day area need memory up to ${hex(end)} (${end - virtBase} bytes from VIRT_BASE); --memory gives ${memory} bytes, up to ${hex(memoryEnd)}`,
    );
  };
  // libxc hands over whole pages: xc_dom_alloc_segment gives a segment the end of its last page.
  const initrdSize = builder.domain === 'domU' ? roundUp(request.initrdSize, PAGE_SIZE) : request.initrdSize;
  const mappedInitrd = initrdSize > 0 && !initrdUnmapped ? take(initrdSize) : undefined;
  const p2m = take((memory / PAGE_SIZE) * 4);
  const startInfo = take(PAGE_SIZE).start;
  const rings =
    builder.domain === 'domU' ? { store: take(PAGE_SIZE).start, console: take(PAGE_SIZE).start } : undefined;
  const { tables, mappedEnd } = sizeTables(builder, virtBase, next, fits);
  const pageTables = take(tables.length * PAGE_SIZE);
  const stack = take(PAGE_SIZE).start;
  const area = { virtBase, kernelEnd, p2m, startInfo, rings, pageTables, tables, stack, mappedEnd };
  if (builder.domain === 'domU') {
    const initrd = mappedInitrd ?? (initrdSize > 0 ? { start: mappedEnd, size: initrdSize } : undefined);
    if (initrd) fits(initrd.start + initrd.size);
    return { ...area, initrd, firstPages: undefined };
  }
  // get_order_from_bytes: the first allocation is a power of two of pages, and a mapped initrd is no part of it.
  const initrdPages = roundUp(initrdSize, PAGE_SIZE) / PAGE_SIZE;
  const pages = (mappedEnd - virtBase) / PAGE_SIZE - (mappedInitrd ? initrdPages : 0);
  const allocation = 2 ** Math.ceil(Math.log2(pages));
  fits(virtBase + (allocation + initrdPages) * PAGE_SIZE);
  const behind = { start: virtBase + allocation * PAGE_SIZE, size: initrdSize };
  return {
    ...area,
    initrd: mappedInitrd ?? (initrdSize > 0 ? behind : undefined),
    firstPages: allocation + initrdPages,
  };
}

/** The tables map themselves: grow until the area that they map has room for them. */
function sizeTables(
  builder: DomainBuilder,
  virtBase: number,
  start: number,
  fits: (end: number) => number,
): { readonly tables: readonly DomainTable[]; readonly mappedEnd: number } {
  const stackEnd = (tables: number): number => start + (tables + 1) * PAGE_SIZE;
  for (let count = 0; ; ) {
    const mappedEnd = fits(areaEnd(builder, stackEnd(count)));
    const tables = domainTables(builder, virtBase, mappedEnd);
    if (stackEnd(tables.length) + AREA_SPARE <= mappedEnd) return { tables, mappedEnd };
    count = tables.length;
  }
}

/** libxc's round_up gives the last byte of a 4 MiB block, so that an end that is a multiple begins another one. */
const areaEnd = ({ domain }: DomainBuilder, stackEnd: number): number =>
  domain === 'domU'
    ? (Math.floor((stackEnd + AREA_SPARE) / AREA_ALIGNMENT) + 1) * AREA_ALIGNMENT
    : roundUp(stackEnd + AREA_SPARE, AREA_ALIGNMENT);

/** A mapping of pages at their machine addresses. */
export const mapping = (
  name: string,
  start: number,
  size: number,
  writable: boolean,
  user = false,
): PageMapping => ({ name, linear: start, physical: start, size: roundUp(size, PAGE_SIZE), writable, user });
