/** Ranges of physical memory: sorting them, finding room between them, and refusing those that overlap. */
import type { MemoryBank, MemoryRegion, PageMapping } from '../emulator/entry-state.ts';
import { PAGE_SIZE } from '../emulator/paging.ts';
import { ProtocolError } from './protocol.ts';

export interface Range {
  readonly start: number;
  /** Bytes. */
  readonly size: number;
}

export interface NamedRange extends Range {
  readonly name: string;
}

export const endOf = (range: Range): number => range.start + range.size;
export const overlaps = (a: Range, b: Range): boolean => a.start < endOf(b) && b.start < endOf(a);

export const roundUp = (value: number, alignment: number): number => Math.ceil(value / alignment) * alignment;
export const roundDown = (value: number, alignment: number): number =>
  Math.floor(value / alignment) * alignment;

export const hex = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`;
export const spellRange = (range: Range): string => `${hex(range.start)} to ${hex(endOf(range) - 1)}`;

/** A region whose bytes a loader has written; what is behind the contents is zero. */
export const writtenRegion = (
  name: string,
  start: number,
  owner: MemoryRegion['owner'],
  contents: Uint8Array,
  size = contents.length,
): MemoryRegion => ({ name, start, size, owner, contents, defined: true });

/**
 * Regions in address order.
 *
 * @throws {ProtocolError} `region-overlap` when two overlap, `outside-memory` when one is not inside a bank
 */
export function arrangeRegions(
  regions: readonly MemoryRegion[],
  banks: readonly MemoryBank[],
): readonly MemoryRegion[] {
  const sorted = regions.filter(region => region.size > 0).sort((a, b) => a.start - b.start);
  for (const [index, region] of sorted.entries()) {
    const next = sorted[index + 1];
    if (next && overlaps(region, next)) {
      throw new ProtocolError(
        'region-overlap',
        `${region.name} (${spellRange(region)}) and ${next.name} (${spellRange(next)}) overlap`,
      );
    }
    if (!banks.some(bank => bank.start <= region.start && endOf(region) <= endOf(bank))) {
      throw new ProtocolError(
        'outside-memory',
        `${region.name} (${spellRange(region)}) is not inside memory: ${banks.map(b => `${b.name} ${spellRange(b)}`).join(', ')}`,
      );
    }
  }
  return sorted;
}

/** The lowest aligned place of `size` bytes in [from, below) that touches nothing in `taken`. */
export function findLow(
  size: number,
  from: number,
  below: number,
  taken: readonly Range[],
): number | undefined {
  let start = roundUp(from, PAGE_SIZE);
  for (const range of [...taken].sort((a, b) => a.start - b.start)) {
    if (overlaps({ start, size }, range)) start = roundUp(endOf(range), PAGE_SIZE);
  }
  return start + size <= below ? start : undefined;
}

/** The highest page-aligned place of `size` bytes in [from, below) that touches nothing in `taken`. */
export function findHigh(
  size: number,
  from: number,
  below: number,
  taken: readonly Range[],
): number | undefined {
  let start = roundDown(below - size, PAGE_SIZE);
  for (const range of [...taken].sort((a, b) => b.start - a.start)) {
    if (overlaps({ start, size }, range)) start = roundDown(range.start - size, PAGE_SIZE);
  }
  return start >= from ? start : undefined;
}

/** What is left of `range` without `hole`. */
export function subtract(range: Range, hole: Range): readonly Range[] {
  if (!overlaps(range, hole)) return range.size > 0 ? [range] : [];
  const before = { start: range.start, size: Math.max(0, hole.start - range.start) };
  const after = { start: endOf(hole), size: Math.max(0, endOf(range) - endOf(hole)) };
  return [before, after].filter(part => part.size > 0);
}

/** Maps ranges 1:1 in whole pages; a page that two ranges share belongs to the lower one. */
export function mapIdentity(
  ranges: readonly (NamedRange & { readonly writable?: boolean; readonly user?: boolean })[],
): readonly PageMapping[] {
  const mappings: PageMapping[] = [];
  let mapped = 0;
  for (const range of ranges.filter(r => r.size > 0).sort((a, b) => a.start - b.start)) {
    const start = Math.max(mapped, roundDown(range.start, PAGE_SIZE));
    const end = roundUp(endOf(range), PAGE_SIZE);
    if (end <= start) continue;
    mappings.push({
      linear: start,
      physical: start,
      size: end - start,
      writable: range.writable ?? true,
      user: range.user ?? true,
      name: range.name,
    });
    mapped = end;
  }
  return mappings;
}
