/** Physical memory as an EntryState defines it, without an engine: the bytes that a Machine would begin with. */
import type { EntryState, MemoryRegion } from './entry-state.ts';
import { MEMORY_POISON } from './memory.ts';
import { PAGE_SIZE } from './paging.ts';

/** The part of an EntryState that says what is in memory. */
export type EntryMemory = Pick<EntryState, 'banks' | 'regions' | 'poison'>;

/** Bytes that are made at a time. */
const CHUNK = 1 << 20;

/** What stands in a region behind its contents. */
function regionFill(entry: EntryMemory, region: MemoryRegion): number {
  return region.defined ? 0 : undefinedByte(entry, region.start);
}

/** What stands where no region is: poison is for RAM alone. */
function undefinedByte({ banks, poison }: EntryMemory, physical: number): number {
  const bank = banks.find(b => physical >= b.start && physical < b.start + b.size);
  return poison === true && bank?.kind === 'ram' ? MEMORY_POISON : 0;
}

/** The bytes of a region from its start, in chunks: exactly `size` of them all together. Not to be kept or changed. */
export function* regionChunks(entry: EntryMemory, region: MemoryRegion): Generator<Uint8Array> {
  const contents = region.contents?.subarray(0, region.size) ?? new Uint8Array(0);
  if (contents.length > 0) yield contents;
  const left = region.size - contents.length;
  const filler = new Uint8Array(Math.min(CHUNK, left)).fill(regionFill(entry, region));
  for (let done = 0; done < left; done += CHUNK) yield filler.subarray(0, Math.min(CHUNK, left - done));
}

/** A copy of physical memory; what lies outside every bank is missing, and ends it. */
export function readEntryMemory(entry: EntryMemory, physical: number, size: number): Uint8Array {
  const end = backedEnd(entry, physical, physical + size);
  const bytes = new Uint8Array(Math.max(0, end - physical)).fill(undefinedByte(entry, physical));
  for (const region of entry.regions) {
    const from = Math.max(physical, region.start);
    const to = Math.min(end, region.start + region.size);
    if (from >= to) continue;
    bytes.fill(regionFill(entry, region), from - physical, to - physical);
    const contents = region.contents?.subarray(from - region.start, to - region.start);
    if (contents) bytes.set(contents, from - physical);
  }
  return bytes;
}

/** How far memory goes on from `physical` without a hole, at most to `end`. */
function backedEnd({ banks }: EntryMemory, physical: number, end: number): number {
  let reached = physical;
  for (let more = true; more && reached < end; ) {
    const bank = banks.find(b => reached >= b.start && reached < b.start + b.size);
    more = bank !== undefined;
    if (bank) reached = bank.start + bank.size;
  }
  return Math.min(reached, end);
}

/** Reads dwords, for walking page tables; `undefined` where there is no memory. */
export function entryReader(entry: EntryMemory): (physical: number) => number | undefined {
  const pages = new Map<number, DataView>();
  return physical => {
    const start = physical - (physical % PAGE_SIZE);
    const page = pages.get(start) ?? new DataView(readEntryMemory(entry, start, PAGE_SIZE).buffer);
    pages.set(start, page);
    const at = physical - start;
    return at + 4 <= page.byteLength ? page.getUint32(at, true) : undefined;
  };
}
