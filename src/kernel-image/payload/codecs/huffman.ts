/** Canonical Huffman codes as bzip2 has them. */
import type { BitReader } from './bits.ts';
import { CorruptData } from './codec.ts';

export const LONGEST_CODE = 20;
/** Codes up to so many bits are found in one step. */
const FAST_BITS = 10;
const LENGTH_BITS = 5;

export class HuffmanTable {
  /** By the next FAST_BITS bits: symbol and length of the code that they start with, or 0. */
  readonly #fast = new Uint16Array(1 << FAST_BITS);
  /** By length: one more than the last code of that length, left-justified in LONGEST_CODE bits. */
  readonly #limit = new Uint32Array(LONGEST_CODE + 1);
  /** By length: what to add to a code to have the index of its symbol. */
  readonly #base = new Int32Array(LONGEST_CODE + 1);
  /** In the order of their codes. */
  readonly #symbols: Uint16Array;

  /** @param lengths of each symbol's code, 1 to LONGEST_CODE bits */
  constructor(lengths: Uint8Array) {
    this.#symbols = new Uint16Array(lengths.length);
    let code = 0;
    let index = 0;
    for (let length = 1; length <= LONGEST_CODE; length++) {
      this.#base[length] = index - code;
      for (let symbol = 0; symbol < lengths.length; symbol++) {
        if (lengths[symbol] !== length) continue;
        this.#symbols[index++] = symbol;
        if (length <= FAST_BITS) this.#fillFast(code, length, symbol);
        code++;
      }
      this.#limit[length] = code * 2 ** (LONGEST_CODE - length);
      code *= 2;
    }
  }

  #fillFast(code: number, length: number, symbol: number): void {
    const shift = FAST_BITS - length;
    // A table with more codes than there is room for says nothing where it runs over.
    this.#fast.fill((symbol << LENGTH_BITS) | length, code << shift, (code + 1) << shift);
  }

  read(bits: BitReader): number {
    const fast = this.#fast[bits.peek(FAST_BITS)] ?? 0;
    if (fast !== 0) {
      bits.skip(fast & ((1 << LENGTH_BITS) - 1));
      return fast >>> LENGTH_BITS;
    }
    const next = bits.peek(LONGEST_CODE);
    for (let length = FAST_BITS + 1; length <= LONGEST_CODE; length++) {
      if (next >= (this.#limit[length] ?? 0)) continue;
      const symbol = this.#symbols[(this.#base[length] ?? 0) + (next >>> (LONGEST_CODE - length))];
      if (symbol === undefined) break;
      bits.skip(length);
      return symbol;
    }
    throw new CorruptData(bits.at, 'the next bits are no code of their table; expected one');
  }
}
