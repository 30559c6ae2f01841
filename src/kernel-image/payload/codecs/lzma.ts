/**
 * The .lzma file that `lzma -9` and `xz --format=lzma` write: the LZMA SDK's lzma-specification.txt, as the kernel's
 * lib/decompress_unlzma.c reads it. It has no checksum, so truncation and nonsense are found by the decoder or not at all.
 */
import { u32 } from '../../bytes.ts';
import { type CodecInput, CorruptData, checkMade, PIECE, TooBig, truncated } from './codec.ts';

const HEADER = 13;
/** lc, lp and pb in one byte: (pb * 5 + lp) * 9 + lc. */
const PROPERTIES_END = 9 * 5 * 5;
const UNKNOWN_SIZE = 0xffff_ffff;

const PROBABILITY_BITS = 11;
const HALF = 1 << (PROBABILITY_BITS - 1);
const ADAPT = 5;
const TOP = 0x0100_0000;

const STATES = 12;
/** States below it come after a literal. */
const LITERAL_STATES = 7;
const POSITIONS = 16;
const SHORTEST_MATCH = 2;
/** Length 2, 3, 4 and longer have distance slots of their own. */
const LENGTH_CLASSES = 4;
const SLOT_BITS = 6;
/** Slots from here on have bits that are not modelled, and four last ones that are. */
const FIRST_DIRECT_SLOT = 14;
const FIRST_MODELLED_SLOT = 4;
const ALIGN_BITS = 4;

/** Where each kind of probability starts in the one table that has all. */
const LENGTH_SIZE = 2 + POSITIONS * 8 * 2 + 256;
const IS_MATCH = 0;
const IS_REP = IS_MATCH + STATES * POSITIONS;
const IS_REP0 = IS_REP + STATES;
const IS_REP1 = IS_REP0 + STATES;
const IS_REP2 = IS_REP1 + STATES;
const IS_REP0_LONG = IS_REP2 + STATES;
const SLOT = IS_REP0_LONG + STATES * POSITIONS;
const SPECIAL = SLOT + (LENGTH_CLASSES << SLOT_BITS);
const ALIGN = SPECIAL + 128;
const MATCH_LENGTH = ALIGN + (1 << ALIGN_BITS);
const REP_LENGTH = MATCH_LENGTH + LENGTH_SIZE;
const LITERAL = REP_LENGTH + LENGTH_SIZE;
const LITERAL_SIZE = 0x300;

export async function decodeLzma(input: CodecInput): Promise<Uint8Array> {
  const { bytes, size, made } = input;
  if (bytes.length < HEADER) throw truncated(bytes.length, 'the header');
  const properties = bytes[0] ?? 0;
  if (properties >= PROPERTIES_END)
    throw new CorruptData(0, `the properties are ${properties}; expected less than ${PROPERTIES_END}`);
  const low = u32(bytes, 5);
  const high = u32(bytes, 9);
  const isUnknown = low === UNKNOWN_SIZE && high === UNKNOWN_SIZE;
  if (!isUnknown && (high !== 0 || low !== size)) {
    if (high !== 0 || low > size) throw new TooBig();
    throw new CorruptData(5, `the header has size ${low}; expected the ${size} that the size word says`);
  }
  const decoder = new LzmaDecoder(bytes, size, properties);
  for (let next = PIECE; decoder.run(next, !isUnknown); next += PIECE) await made(decoder.length);
  await made(decoder.length);
  checkMade(decoder.length, input);
  return decoder.out;
}

class LzmaDecoder {
  readonly out: Uint8Array;
  /** Of the output so far. */
  length = 0;
  readonly #bytes: Uint8Array;
  readonly #probabilities: Uint16Array;
  readonly #lc: number;
  readonly #literalPositionMask: number;
  readonly #positionMask: number;
  #at = HEADER;
  #range = 0xffff_ffff;
  #code = 0;
  #state = 0;
  #rep0 = 0;
  #rep1 = 0;
  #rep2 = 0;
  #rep3 = 0;

  constructor(bytes: Uint8Array, size: number, properties: number) {
    this.out = new Uint8Array(size);
    this.#bytes = bytes;
    this.#lc = properties % 9;
    const lp = Math.floor(properties / 9) % 5;
    this.#literalPositionMask = (1 << lp) - 1;
    this.#positionMask = (1 << Math.floor(properties / 45)) - 1;
    this.#probabilities = new Uint16Array(LITERAL + (LITERAL_SIZE << (this.#lc + lp))).fill(HALF);
    // The first of five bytes is always 0.
    for (let byte = 0; byte < 5; byte++) this.#code = ((this.#code << 8) | this.#next()) >>> 0;
    if (bytes[HEADER] !== 0)
      throw new CorruptData(HEADER, `the first byte of the data is ${bytes[HEADER]}; expected 0`);
  }

  /**
   * Goes on until there are `until` bytes or the data ends.
   *
   * @param known whether the header has the size, so that there need be no end marker
   * @returns false at the end
   */
  run(until: number, known: boolean): boolean {
    const { out } = this;
    const probabilities = this.#probabilities;
    while (this.length < until) {
      if (known && this.length === out.length) return false;
      const position = this.length & this.#positionMask;
      const state = this.#state;
      if (this.#bit(probabilities, IS_MATCH + (state << 4) + position) === 0) {
        this.#literal();
        continue;
      }
      let count: number;
      if (this.#bit(probabilities, IS_REP + state) === 0) {
        this.#rep3 = this.#rep2;
        this.#rep2 = this.#rep1;
        this.#rep1 = this.#rep0;
        count = this.#matchLength(MATCH_LENGTH, position);
        this.#state = state < LITERAL_STATES ? 7 : 10;
        this.#rep0 = this.#distance(count);
        if (this.#rep0 === 0xffff_ffff) {
          // Of what comes after the end marker the range decoder has read all it needs.
          if (this.#at !== this.#bytes.length)
            throw new CorruptData(
              this.#at,
              `${this.#bytes.length - this.#at} bytes follow the end marker; expected the size word alone`,
            );
          return false;
        }
      } else {
        if (this.length === 0) throw new CorruptData(this.#at, 'a match comes first; expected a literal');
        if (this.#bit(probabilities, IS_REP0 + state) === 0) {
          if (this.#bit(probabilities, IS_REP0_LONG + (state << 4) + position) === 0) {
            this.#state = state < LITERAL_STATES ? 9 : 11;
            this.#copy(1);
            continue;
          }
        } else {
          let distance: number;
          if (this.#bit(probabilities, IS_REP1 + state) === 0) distance = this.#rep1;
          else {
            if (this.#bit(probabilities, IS_REP2 + state) === 0) distance = this.#rep2;
            else {
              distance = this.#rep3;
              this.#rep3 = this.#rep2;
            }
            this.#rep2 = this.#rep1;
          }
          this.#rep1 = this.#rep0;
          this.#rep0 = distance;
        }
        count = this.#matchLength(REP_LENGTH, position);
        this.#state = state < LITERAL_STATES ? 8 : 11;
      }
      this.#copy(count);
    }
    return true;
  }

  #next(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw truncated(this.#at, 'the data');
    this.#at++;
    return byte;
  }

  #bit(table: Uint16Array, index: number): 0 | 1 {
    const probability = table[index] ?? 0;
    const bound = (this.#range >>> PROBABILITY_BITS) * probability;
    let bit: 0 | 1;
    if (this.#code < bound) {
      this.#range = bound;
      table[index] = probability + (((1 << PROBABILITY_BITS) - probability) >>> ADAPT);
      bit = 0;
    } else {
      this.#range -= bound;
      this.#code -= bound;
      table[index] = probability - (probability >>> ADAPT);
      bit = 1;
    }
    if (this.#range < TOP) {
      this.#range = (this.#range << 8) >>> 0;
      this.#code = ((this.#code << 8) | this.#next()) >>> 0;
    }
    return bit;
  }

  #directBits(count: number): number {
    let value = 0;
    for (let left = count; left > 0; left--) {
      this.#range >>>= 1;
      let bit = 0;
      if (this.#code >= this.#range) {
        this.#code -= this.#range;
        bit = 1;
      }
      value = value * 2 + bit;
      if (this.#range < TOP) {
        this.#range = (this.#range << 8) >>> 0;
        this.#code = ((this.#code << 8) | this.#next()) >>> 0;
      }
    }
    return value;
  }

  /** Bits from the highest down. */
  #tree(start: number, bits: number): number {
    let node = 1;
    for (let left = bits; left > 0; left--) node = (node << 1) | this.#bit(this.#probabilities, start + node);
    return node - (1 << bits);
  }

  /** Bits from the lowest up. */
  #reverseTree(start: number, bits: number): number {
    let node = 1;
    let value = 0;
    for (let index = 0; index < bits; index++) {
      const bit = this.#bit(this.#probabilities, start + node);
      node = (node << 1) | bit;
      value |= bit << index;
    }
    return value;
  }

  #literal(): void {
    const { out, length } = this;
    if (length >= out.length) throw new TooBig();
    const before = length === 0 ? 0 : (out[length - 1] ?? 0);
    const context = ((length & this.#literalPositionMask) << this.#lc) + (before >>> (8 - this.#lc));
    const start = LITERAL + LITERAL_SIZE * context;
    let symbol = 1;
    if (this.#state >= LITERAL_STATES) {
      // After a match the byte that would have gone on with it is in the model, as long as the bits agree.
      let match = out[length - this.#rep0 - 1] ?? 0;
      while (symbol < 0x100) {
        const expected = (match >>> 7) & 1;
        match <<= 1;
        const bit = this.#bit(this.#probabilities, start + ((1 + expected) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (bit !== expected) break;
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#bit(this.#probabilities, start + symbol);
    out[length] = symbol;
    this.length = length + 1;
    this.#state = this.#state < 4 ? 0 : this.#state < 10 ? this.#state - 3 : this.#state - 6;
  }

  #matchLength(start: number, position: number): number {
    const short = start + 2 + position * 8;
    if (this.#bit(this.#probabilities, start) === 0) return SHORTEST_MATCH + this.#tree(short, 3);
    if (this.#bit(this.#probabilities, start + 1) === 0)
      return SHORTEST_MATCH + 8 + this.#tree(short + POSITIONS * 8, 3);
    return SHORTEST_MATCH + 16 + this.#tree(start + 2 + POSITIONS * 16, 8);
  }

  /** Less one; 0xffffffff is the end marker. */
  #distance(count: number): number {
    const lengthClass = Math.min(count - SHORTEST_MATCH, LENGTH_CLASSES - 1);
    const slot = this.#tree(SLOT + (lengthClass << SLOT_BITS), SLOT_BITS);
    if (slot < FIRST_MODELLED_SLOT) return slot;
    const bits = (slot >>> 1) - 1;
    const base = (2 | (slot & 1)) * 2 ** bits;
    if (slot < FIRST_DIRECT_SLOT) return base + this.#reverseTree(SPECIAL + base - slot, bits);
    const direct = this.#directBits(bits - ALIGN_BITS) * (1 << ALIGN_BITS);
    return base + direct + this.#reverseTree(ALIGN, ALIGN_BITS);
  }

  #copy(count: number): void {
    const { out } = this;
    let to = this.length;
    const distance = this.#rep0 + 1;
    if (distance > to) {
      throw new CorruptData(
        this.#at,
        `a match goes back ${distance} bytes after ${to}; expected at most that`,
      );
    }
    if (to + count > out.length) throw new TooBig();
    for (let left = count; left > 0; left--, to++) out[to] = out[to - distance] ?? 0;
    this.length = to;
  }
}
