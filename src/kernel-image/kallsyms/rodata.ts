/** A segment's contents as bytes and as little-endian words, for a search that looks at each of them. */
import type { Segment } from '../kernel-image.ts';

/** Offsets are bytes from `virtual`, which is a multiple of 4: that is what the tables are aligned to (ALGN in scripts/kallsyms.c). */
export interface Rodata {
  readonly virtual: number;
  readonly bytes: Uint8Array;
  /** `words[n]` is at offset 4n. The host is little-endian, as everything is that runs JavaScript today. */
  readonly words: Uint32Array;
  /** `halves[n]` is at offset 2n. */
  readonly halves: Uint16Array;
}

export function rodataOf({ virtual, contents }: Segment): Rodata {
  const skipped = -virtual & 3;
  let bytes = contents.subarray(skipped);
  if (bytes.byteOffset % 4 !== 0) bytes = bytes.slice();
  const words = Math.floor(bytes.length / 4);
  return {
    virtual: virtual + skipped,
    bytes,
    words: new Uint32Array(bytes.buffer, bytes.byteOffset, words),
    halves: new Uint16Array(bytes.buffer, bytes.byteOffset, words * 2),
  };
}

/** Steps that the search may still take; a real kernel needs a small part of them, and a file made to waste time ends here. */
export interface Work {
  left: number;
}
