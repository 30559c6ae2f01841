/**
 * How full the engine's buffer of translated code is, as an estimate: the engine does not say, and libunicorn 2.1.1 ends
 * the process with a segmentation fault when the buffer overflows (quirk `code-buffer-overflow`).
 */

/**
 * Bytes of translated code for each byte of the guest's, and for each block with its hooks. Measured: 10 to 120 for most
 * code, 200 for string instructions, 700 for PUSHA and POPA; with {@link FULL} even those fit.
 */
const PER_BYTE = 256;
const PER_BLOCK = 512;
/** A run with an end address translates the block up to it, and the one behind, anew. */
const PER_START = 2048;
const FULL = 0.33;

export class CodeLoad {
  readonly #limit: number;
  #bytes = 0;

  /** @param capacity of the buffer, in bytes */
  constructor(capacity: number) {
    this.#limit = capacity * FULL;
  }

  /** The engine has translated a block of `size` bytes, for the first time or anew. */
  translated(size: number): void {
    this.#bytes += PER_BLOCK + PER_BYTE * size;
  }

  started(): void {
    this.#bytes += PER_START;
  }

  /** It is time to flush the buffer. */
  get isHigh(): boolean {
    return this.#bytes > this.#limit;
  }

  flushed(): void {
    this.#bytes = 0;
  }
}
