/**
 * Zstandard (RFC 8878), one frame, as `zstd -22 --ultra` writes it: the blocks by fzstd, and the structure, which fzstd
 * takes on trust, and the content's checksum here.
 */
import { decompress } from 'fzstd';
import xxhash from 'xxhash-wasm';
import { hex, u16, u32 } from '../../bytes.ts';
import { type CodecInput, CorruptData, TooBig, truncated } from './codec.ts';

const MAGIC = 0xfd2fb528;
const WORD = 4;
const BLOCK_HEADER = 3;
/** fzstd's; more than `zstd --long=30` asks for. */
const LARGEST_WINDOW = 0x7fe0_0000;
const BLOCK_RLE = 1;
const BLOCK_RESERVED = 3;

export async function decodeZstd({ bytes, size, made }: CodecInput): Promise<Uint8Array> {
  const { start, contentSize, hasChecksum } = readFrameHeader(bytes);
  const end = blocksEnd(bytes, start);
  const after = bytes.length - end - (hasChecksum ? WORD : 0);
  if (after < 0) throw truncated(bytes.length, "the content's checksum");
  if (after > 0) throw new CorruptData(end, `${after} bytes follow the frame; expected the size word alone`);
  if (contentSize !== undefined && contentSize !== BigInt(size)) {
    if (contentSize > BigInt(size)) throw new TooBig();
    throw new CorruptData(
      WORD,
      `the frame has ${contentSize} bytes of content; expected the ${size} that the size word says`,
    );
  }
  await made(0);
  const out = new Uint8Array(size);
  try {
    decompress(bytes, out);
  } catch (error) {
    throw new CorruptData(
      0,
      `${error instanceof Error ? error.message : String(error)}; expected Zstandard data`,
    );
  }
  await made(size);
  if (hasChecksum) {
    const { h64Raw } = await xxhash();
    const computed = Number(BigInt.asUintN(32, h64Raw(out)));
    const stored = u32(bytes, end);
    if (computed !== stored) {
      throw new CorruptData(
        end,
        `the content's checksum is ${hex(stored)}, and the ${size} bytes that the size word says give ${hex(computed)}; expected the same`,
      );
    }
  }
  return out;
}

interface FrameHeader {
  /** Of the first block. */
  readonly start: number;
  readonly contentSize: bigint | undefined;
  readonly hasChecksum: boolean;
}

function readFrameHeader(bytes: Uint8Array): FrameHeader {
  if (bytes.length < WORD + 1) throw truncated(bytes.length, 'the frame header');
  if (u32(bytes, 0) !== MAGIC)
    throw new CorruptData(0, `the magic is ${hex(u32(bytes, 0))}; expected ${hex(MAGIC)}`);
  const descriptor = bytes[WORD] ?? 0;
  const singleSegment = (descriptor >>> 5) & 1;
  const dictionary = descriptor & 3;
  if (dictionary !== 0) throw new CorruptData(WORD, 'the frame needs a dictionary; expected none');
  if (!singleSegment) {
    const window = windowSize(bytes[WORD + 1] ?? 0);
    if (window > LARGEST_WINDOW) {
      throw new CorruptData(
        WORD + 1,
        `the frame needs a window of ${hex(window)} bytes; expected at most ${hex(LARGEST_WINDOW)}`,
      );
    }
  }
  const sizeField = descriptor >>> 6;
  const sizeBytes = sizeField === 0 ? singleSegment : 1 << sizeField;
  const at = WORD + 1 + (singleSegment ? 0 : 1);
  const start = at + sizeBytes;
  if (start > bytes.length) throw truncated(bytes.length, 'the frame header');
  return {
    start,
    contentSize: sizeBytes === 0 ? undefined : contentSize(bytes, at, sizeBytes),
    hasChecksum: (descriptor & 4) !== 0,
  };
}

/** RFC 8878 section 3.1.1.1.2: five bits of exponent, three of mantissa. */
function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >>> 3));
  return base + (base / 8) * (descriptor & 7);
}

function contentSize(bytes: Uint8Array, at: number, size: number): bigint {
  if (size === 1) return BigInt(bytes[at] ?? 0);
  // Two bytes start where one byte ends (RFC 8878 section 3.1.1.1.4).
  if (size === 2) return BigInt(u16(bytes, at) + 256);
  const low = BigInt(u32(bytes, at));
  return size === 4 ? low : low | (BigInt(u32(bytes, at + 4)) << 32n);
}

function blocksEnd(bytes: Uint8Array, start: number): number {
  for (let at = start; ; ) {
    if (at + BLOCK_HEADER > bytes.length) throw truncated(at, "a block's header");
    const header = u16(bytes, at) | ((bytes[at + 2] ?? 0) << 16);
    const type = (header >>> 1) & 3;
    const blockSize = header >>> 3;
    if (type === BLOCK_RESERVED)
      throw new CorruptData(at, 'a block has type 3, which is reserved; expected 0 to 2');
    const end = at + BLOCK_HEADER + (type === BLOCK_RLE ? 1 : blockSize);
    if (end > bytes.length) throw truncated(at, 'a block');
    if (header & 1) return end;
    at = end;
  }
}
