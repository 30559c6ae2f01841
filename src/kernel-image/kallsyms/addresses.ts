/**
 * The addresses that go with the names, in their order: ascending (scripts/kallsyms.c sorts them). What they are has changed:
 *
 * | Linux       | where                          | what                                                                        |
 * |-------------|--------------------------------|-----------------------------------------------------------------------------|
 * | to 4.5      | before num_syms                | kallsyms_addresses                                                          |
 * | 4.6 to 6.3  | before num_syms                | kallsyms_offsets, kallsyms_relative_base; or as before (KALLSYMS_BASE_RELATIVE=n) |
 * | 6.4 on      | after token_index              | the same                                                                    |
 * | being made  | after token_index              | kallsyms_offsets alone: from their own place, or plain addresses            |
 *
 * With CONFIG_KALLSYMS_ABSOLUTE_PERCPU (4.6 to 6.14) an offset that is not negative is an absolute value, and a negative one
 * is from the base: base - 1 - offset.
 */
import type { Names } from './names.ts';
import type { Rodata, Work } from './rodata.ts';
import { TOKEN_INDEX_SIZE, type TokenTable } from './tokens.ts';

/** Virtual addresses that the image's segments occupy, the end included: `_end` is there. */
export interface Extent {
  readonly from: number;
  readonly to: number;
}

type Decode = (word: number, at: number) => number;

/** The addresses of all names; undefined when nothing at any of the known places can be them. */
export function findAddresses(
  rodata: Rodata,
  tokens: TokenTable,
  names: Names,
  image: Extent,
  work: Work,
): Uint32Array | undefined {
  const size = names.count * 4;
  const after = tokens.indexAt + TOKEN_INDEX_SIZE;
  const read = (at: number, decode: Decode): Uint32Array | undefined =>
    readAddresses(rodata, at, names.count, decode, image, work);
  const relative = (at: number): Uint32Array | undefined => {
    const base = rodata.words[(at + size) / 4];
    if (base === undefined || base < image.from || base > image.to) return undefined;
    return read(at, fromBase(base)) ?? read(at, fromBaseOrAbsolute(base));
  };
  return (
    relative(after) ??
    relative(names.countAt - 4 - size) ??
    read(names.countAt - size, plain) ??
    read(after, plain) ??
    read(after, (word, at) => rodata.virtual + at + word)
  );
}

const plain: Decode = word => word;
const fromBase =
  (base: number): Decode =>
  word =>
    base + word;
const fromBaseOrAbsolute =
  (base: number): Decode =>
  word =>
    word >= 0x8000_0000 ? base - 1 - (word | 0) : word;

/** At least so many of a kernel's symbols are in its segments; the rest are absolute: per-CPU offsets, the vDSO's addresses. */
const INSIDE = 0.75;

function readAddresses(
  { words }: Rodata,
  offset: number,
  count: number,
  decode: Decode,
  image: Extent,
  work: Work,
): Uint32Array | undefined {
  const first = offset / 4;
  if (first < 0 || first + count > words.length || work.left <= 0) return undefined;
  const addresses = new Uint32Array(count);
  let before = 0;
  let inside = 0;
  for (let index = 0; index < count; index++) {
    const address = decode(words[first + index] ?? 0, offset + index * 4) >>> 0;
    if (address < before) {
      work.left -= index;
      return undefined;
    }
    if (address >= image.from && address <= image.to) inside++;
    addresses[index] = address;
    before = address;
  }
  work.left -= count;
  return inside >= count * INSIDE ? addresses : undefined;
}
