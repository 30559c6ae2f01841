/**
 * xz with the filters of the kernel's build: `xz --check=crc32 --x86 --lzma2=dict=32MiB` (scripts/xz_wrap.sh). The
 * package xz-decompress has LZMA2 and no x86 filter, so each block is given to it as a stream of its own with LZMA2
 * alone; then the filter is undone and the block's own check is made, which is over the data before the filter.
 */
import xzDecompress from 'xz-decompress';
import { hex, u32 } from '../../bytes.ts';
import { undoX86Filter } from './bcj-x86.ts';
import { crc32, crc64 } from './checksums.ts';
import { type CodecInput, CorruptData, checkMade, PIECE, TooBig } from './codec.ts';
import { plainStream, readXz, type XzBlock } from './xz-container.ts';

export async function decodeXz(input: CodecInput): Promise<Uint8Array> {
  const { bytes, size } = input;
  const { blocks, check } = readXz(bytes);
  const out = new Uint8Array(size);
  let length = 0;
  for (const block of blocks) {
    if (length + block.unpackedSize > size) throw new TooBig();
    const part = out.subarray(length, length + block.unpackedSize);
    await decodeBlock(block, part, length, input);
    if (block.x86Offset !== undefined) undoX86Filter(part, block.x86Offset);
    verify(part, bytes, block, check);
    length += part.length;
  }
  checkMade(length, input);
  return out;
}

async function decodeBlock(
  block: XzBlock,
  out: Uint8Array,
  before: number,
  { bytes, made }: CodecInput,
): Promise<void> {
  const stream = new xzDecompress.XzReadableStream(streamOf(plainStream(bytes, block)));
  const reader = stream.getReader();
  let length = 0;
  let next = PIECE;
  try {
    for (;;) {
      const { done, value } = await read(reader, block);
      if (done) break;
      if (length + value.length > out.length) throw new TooBig();
      out.set(value, length);
      length += value.length;
      if (length < next) continue;
      next = length + PIECE;
      await made(before + length);
    }
  } finally {
    // Frees the decoder's memory when it is left early; it has nothing to say then.
    await reader.cancel().catch(() => undefined);
  }
  await made(before + length);
  if (length !== out.length) {
    throw new CorruptData(
      block.dataStart,
      `a block decodes to ${length} bytes; expected ${out.length}, as the index says`,
    );
  }
}

async function read(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  block: XzBlock,
): Promise<Awaited<ReturnType<typeof reader.read>>> {
  try {
    return await reader.read();
  } catch (error) {
    throw new CorruptData(
      block.dataStart,
      `the LZMA2 data of a block cannot be decoded (${reasonOf(error)}); expected data that can`,
    );
  }
}

/** `enum xz_ret` of XZ Embedded (linux/include/linux/xz.h), which the package gives as numbers. */
const REASONS: Readonly<Record<string, string>> = {
  3: 'out of memory',
  4: 'its dictionary is too large',
  5: 'no xz data',
  6: 'unknown options',
  7: 'damaged',
  8: 'it ends too early',
};

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return REASONS[/error code (\d+)/.exec(message)?.[1] ?? ''] ?? message;
}

function streamOf(parts: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(part);
      controller.close();
    },
  });
}

function verify(
  part: Uint8Array,
  bytes: Uint8Array,
  block: XzBlock,
  check: 'none' | 'crc32' | 'crc64',
): void {
  if (check === 'none') return;
  const at = block.checkStart;
  const low = BigInt(u32(bytes, at));
  const stored = check === 'crc32' ? low : low | (BigInt(u32(bytes, at + 4)) << 32n);
  const computed = check === 'crc32' ? BigInt(crc32(part)) : crc64(part);
  if (stored !== computed) {
    throw new CorruptData(
      at,
      `the ${check.toUpperCase()} of a block is ${hex(stored)}, and its data gives ${hex(computed)}; expected the same`,
    );
  }
}
