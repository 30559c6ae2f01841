/**
 * The guest's physical memory: banks of host memory that the engine maps without copying, and the entry state's
 * regions written into them.
 */
import type { EntryState, MemoryBank, MemoryRegion } from './entry-state.ts';
import type { Near } from './stop.ts';
import type { HostMemory } from './unicorn/api.ts';

/** Repeats through memory that no one defined: it decodes as INT3, and as an address it is far from everything. */
export const MEMORY_POISON = 0xcc;

export interface Bank extends MemoryBank {
  readonly memory: HostMemory;
}

export class PhysicalMemory {
  readonly banks: readonly Bank[];
  /** The bank of the last look-up: almost every one is in the same bank as the one before. */
  #last: Bank | undefined;

  constructor(banks: readonly Bank[]) {
    this.banks = banks;
    this.#last = banks[0];
  }

  bankOf(physical: number): Bank | undefined {
    const last = this.#last;
    if (last && physical >= last.start && physical < last.start + last.size) return last;
    const found = this.banks.find(b => physical >= b.start && physical < b.start + b.size);
    if (found) this.#last = found;
    return found;
  }

  /** A live view of at most `size` bytes from `physical` to the end of its bank; empty in a hole. Not to be kept. */
  view(physical: number, size: number): Uint8Array {
    const bank = this.bankOf(physical);
    if (!bank) return new Uint8Array(0);
    const offset = physical - bank.start;
    return bank.memory.bytes().subarray(offset, Math.min(offset + size, bank.size));
  }

  /** Whether these very bytes stand at `physical`. */
  holds(physical: number, expected: Uint8Array): boolean {
    const bank = this.bankOf(physical);
    if (!bank) return false;
    const at = physical - bank.start;
    if (at + expected.length > bank.size) return false;
    const bytes = bank.memory.bytes();
    for (let i = 0; i < expected.length; i++) if (bytes[at + i] !== expected[i]) return false;
    return true;
  }

  read32(physical: number): number | undefined {
    const bank = this.bankOf(physical);
    if (!bank) return undefined;
    const at = physical - bank.start;
    if (at + 4 > bank.size) return undefined;
    const bytes = bank.memory.bytes();
    const byte = (i: number): number => bytes[at + i] as number;
    return (byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24)) >>> 0;
  }

  /**
   * Writes the entry state: poison where nothing is defined (if asked for), then every region's contents. The rest is
   * zero as it comes: writing zeros to memory that no one has touched would take as long as a short run.
   */
  load(entry: EntryState): void {
    const poison = entry.poison ?? false;
    if (poison) {
      for (const { kind, memory, size } of this.banks) {
        if (kind === 'ram') memory.bytes().fill(MEMORY_POISON, 0, size);
      }
    }
    for (const region of entry.regions) this.#write(region, poison);
  }

  #write(region: MemoryRegion, poison: boolean): void {
    const bytes = this.view(region.start, region.size);
    if (region.defined && poison) bytes.fill(0);
    if (region.contents) bytes.set(region.contents.subarray(0, bytes.length));
  }

  free(): void {
    for (const bank of this.banks) bank.memory.free();
  }
}

/** At most this many regions are named as near an address: the one before and the one after. */
const NEAR_LIMIT = 2;

/**
 * What an address is near: the region that holds it, or else the nearest before and after it.
 *
 * @param address linear (for a page fault) or physical (for a hole); regions are compared as they are, 1:1
 */
export function nearRegions(address: number, regions: readonly MemoryRegion[]): Near[] {
  const inside = regions.find(r => address >= r.start && address < r.start + r.size);
  if (inside) return [describe(inside, 'inside', 0)];
  const before = regions
    .filter(r => r.start + r.size <= address)
    .reduce<MemoryRegion | undefined>((a, r) => (a && a.start > r.start ? a : r), undefined);
  const after = regions
    .filter(r => r.start > address)
    .reduce<MemoryRegion | undefined>((a, r) => (a && a.start < r.start ? a : r), undefined);
  const near: Near[] = [];
  if (before) near.push(describe(before, 'after', address - (before.start + before.size)));
  if (after) near.push(describe(after, 'before', after.start - address));
  return near.sort((a, b) => a.distance - b.distance).slice(0, NEAR_LIMIT);
}

const describe = (region: MemoryRegion, where: Near['where'], distance: number): Near => ({
  name: region.name,
  owner: region.owner,
  start: region.start,
  end: region.start + region.size,
  where,
  distance,
});
