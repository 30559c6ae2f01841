/** Bits of a byte string, the highest of each byte first. */
import { truncated } from './codec.ts';

export class BitReader {
  readonly #bytes: Uint8Array;
  /** Of the next byte. */
  #next: number;
  /** The lowest `#count` bits of it are read and not used. */
  #held = 0;
  #count = 0;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.#next = start;
  }

  /** Where the byte is that has the next bit. */
  get at(): number {
    return this.#next - ((this.#count + 7) >>> 3);
  }

  /** @param count 0 to 24 */
  read(count: number): number {
    const value = this.peek(count);
    this.skip(count);
    return value;
  }

  /** The next bits without using them; past the end of the bytes there are zeros. */
  peek(count: number): number {
    while (this.#count < count) {
      this.#held = (this.#held << 8) | (this.#bytes[this.#next++] ?? 0);
      this.#count += 8;
    }
    return (this.#held >>> (this.#count - count)) & ((1 << count) - 1);
  }

  /** @param count at most what the last `peek` saw */
  skip(count: number): void {
    this.#count -= count;
    // What was looked at past the end may not be used.
    if (this.#next - (this.#count >>> 3) > this.#bytes.length) throw truncated(this.#bytes.length, 'a block');
  }
}
