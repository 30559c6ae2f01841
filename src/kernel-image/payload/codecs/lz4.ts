/**
 * LZ4, legacy frame: what `lz4 -l` writes and the kernel's build uses (lz4 doc/lz4_Frame_format.md "Legacy frame",
 * doc/lz4_Block_format.md). Blocks follow each other, each with its size in front, and are independent.
 */
import { hex, u16, u32 } from '../../bytes.ts';
import { type CodecInput, CorruptData, checkMade, TooBig, truncated } from './codec.ts';

const MAGIC = 0x184c2102;
const WORD = 4;
/** What every block but the last decodes to. */
const BLOCK = 8 << 20;
/** 15 in a nibble of the token: more bytes follow. */
const LONG = 15;
const SHORTEST_MATCH = 4;

export async function decodeLz4(input: CodecInput): Promise<Uint8Array> {
  const { bytes, size, made } = input;
  if (bytes.length < WORD) throw truncated(bytes.length, 'the magic');
  if (u32(bytes, 0) !== MAGIC)
    throw new CorruptData(0, `the magic is ${hex(u32(bytes, 0))}; expected ${hex(MAGIC)}, a legacy frame`);
  const out = new Uint8Array(size);
  let length = 0;
  for (let at = WORD; at < bytes.length; ) {
    if (at + WORD > bytes.length) throw truncated(at, "a block's size");
    const blockSize = u32(bytes, at);
    at += WORD;
    // Another frame; lib/decompress_unlz4.c skips its magic as well.
    if (blockSize === MAGIC) continue;
    if (blockSize > bytes.length - at) {
      throw new CorruptData(
        at - WORD,
        `a block has ${hex(blockSize)} bytes; expected at most the ${hex(bytes.length - at)} that follow`,
      );
    }
    length = decodeBlock(bytes, at, at + blockSize, out, length);
    at += blockSize;
    await made(length);
  }
  checkMade(length, input);
  return out;
}

function decodeBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  outStart: number,
): number {
  const room = Math.min(out.length, outStart + BLOCK);
  let at = start;
  let to = outStart;
  const length = (nibble: number): number => {
    let sum = nibble;
    if (nibble !== LONG) return sum;
    for (;;) {
      if (at >= end) throw truncated(at, 'a length');
      const more = bytes[at++] ?? 0;
      sum += more;
      if (more !== 0xff) return sum;
    }
  };
  while (at < end) {
    const sequence = at;
    const token = bytes[at++] ?? 0;
    const literals = length(token >>> 4);
    if (literals > end - at) throw truncated(sequence, 'literals');
    if (to + literals > room) throw tooBig(to + literals, out, sequence);
    for (let left = literals; left > 0; left--) out[to++] = bytes[at++] ?? 0;
    // The last sequence has literals alone.
    if (at === end) return to;
    if (at + 2 > end) throw truncated(at, 'an offset');
    const offset = u16(bytes, at);
    at += 2;
    if (offset === 0 || offset > to - outStart) {
      throw new CorruptData(
        at - 2,
        `an offset is ${offset} after ${to - outStart} bytes of its block; expected 1 to that`,
      );
    }
    const match = length(token & LONG) + SHORTEST_MATCH;
    if (to + match > room) throw tooBig(to + match, out, sequence);
    for (let left = match; left > 0; left--, to++) out[to] = out[to - offset] ?? 0;
  }
  throw truncated(end, 'a sequence');
}

function tooBig(end: number, out: Uint8Array, at: number): Error {
  if (end > out.length) return new TooBig();
  return new CorruptData(at, `a block decodes to more than 8 MiB; expected at most that`);
}
