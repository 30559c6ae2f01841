/** Bytes for a decoder that asks for one at a time. */
import { PIECE, truncated } from './codec.ts';

export class ByteSource {
  readonly #bytes: Uint8Array;
  readonly #onPiece: () => void;
  #at: number;
  #next = 0;

  /** @param onPiece called now and then between two bytes; what it throws goes through the decoder */
  constructor(bytes: Uint8Array, start: number, onPiece: () => void) {
    this.#bytes = bytes;
    this.#at = start;
    this.#onPiece = onPiece;
  }

  /** Where the next byte is. */
  get at(): number {
    return this.#at;
  }

  /** @throws CorruptData past the end */
  readByte(): number {
    const at = this.#at;
    const byte = this.#bytes[at];
    if (byte === undefined) throw truncated(at, 'the data');
    if (at >= this.#next) {
      this.#next = at + PIECE / 4;
      this.#onPiece();
    }
    this.#at = at + 1;
    return byte;
  }

  read(buffer: Uint8Array, offset: number, length: number): number {
    for (let index = 0; index < length; index++) buffer[offset + index] = this.readByte();
    return length;
  }
}
