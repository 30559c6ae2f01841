/** Page tables read word by word from an entry state's regions: SDM vol. 3, 4.3 (32-bit) and 4.4 (PAE), 4 KiB pages alone. */
import type { EntryState } from '../../emulator/entry-state.ts';
import { readPhysical32 } from './read.ts';

const P = 1;
const PS = 0x80;
/** Bits 1, 2 and 8:5 of a PDPT entry: SDM vol. 3, table 4-8. */
const PDPTE_RESERVED = 0x1e6;
const FLAGS = 0xfff;

export interface Leaf {
  readonly physical: number;
  /** The low 12 bits of the leaf, of the entry above it, and with PAE of the PDPT entry. */
  readonly flags: readonly number[];
}

export interface Walked {
  /** By linear address. */
  readonly leaves: ReadonlyMap<number, Leaf>;
  /** Physical addresses of all tables that are reached, in address order. */
  readonly tables: readonly number[];
}

/** Everything that the tables at `top` map. */
export function walkTables(entry: EntryState, top: number, mode: '32-bit' | 'pae'): Walked {
  const read = readPhysical32(entry);
  const tables = new Set<number>();
  const leaves = new Map<number, Leaf>();
  const size = mode === 'pae' ? 8 : 4;
  const count = mode === 'pae' ? 512 : 1024;
  const entryOf = (table: number, index: number): number => {
    tables.add(table);
    const low = read(table + index * size);
    const high = size === 8 ? read(table + index * size + 4) : 0;
    if (low === undefined || high === undefined) throw new Error(`no memory at ${table.toString(16)}`);
    if (high !== 0) throw new Error(`an entry of ${table.toString(16)} is above 4 GiB`);
    return low;
  };
  const directory = (table: number, base: number, above: readonly number[]): void => {
    for (let i = 0; i < count; i++) {
      const upper = entryOf(table, i);
      if (!(upper & P)) continue;
      if (upper & PS) throw new Error('a large page');
      for (let j = 0; j < count; j++) {
        const leaf = entryOf((upper & ~FLAGS) >>> 0, j);
        if (leaf & P)
          leaves.set(base + (i * count + j) * 4096, {
            physical: (leaf & ~FLAGS) >>> 0,
            flags: [leaf & FLAGS, upper & FLAGS, ...above],
          });
      }
    }
  };
  if (mode === '32-bit') directory(top, 0, []);
  else {
    for (let i = 0; i < 4; i++) {
      const pointer = entryOf(top, i);
      if (!(pointer & P)) continue;
      if (pointer & PDPTE_RESERVED) throw new Error(`PDPT entry ${i} has reserved bits: ${pointer}`);
      directory((pointer & ~FLAGS) >>> 0, i * 2 ** 30, [pointer & FLAGS]);
    }
  }
  return { leaves, tables: [...tables].sort((a, b) => a - b) };
}

/** What the entry state says that is mapped, page by page. */
export function saidToBeMapped(entry: EntryState): ReadonlyMap<number, string> {
  const said = new Map<number, string>();
  for (const { linear, physical, size, writable, user } of entry.paging.mappings) {
    for (let at = 0; at < size; at += 4096) {
      if (said.has(linear + at)) throw new Error(`mapped twice: ${(linear + at).toString(16)}`);
      said.set(linear + at, spellLeaf(physical + at, writable, user));
    }
  }
  return said;
}

/** A page is writable, and a user's, only when every level but the PDPT says so: SDM vol. 3, 4.6. */
export function isMapped(leaves: Walked['leaves']): ReadonlyMap<number, string> {
  return new Map(
    [...leaves].map(([linear, { physical, flags }]) => {
      const [leaf = 0, upper = 0] = flags;
      return [linear, spellLeaf(physical, (leaf & upper & 2) !== 0, (leaf & upper & 4) !== 0)];
    }),
  );
}

const spellLeaf = (physical: number, writable: boolean, user: boolean): string =>
  `${physical.toString(16)} ${writable ? 'rw' : 'ro'} ${user ? 'user' : 'supervisor'}`;
