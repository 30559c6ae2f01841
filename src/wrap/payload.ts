/** The payload of a wrapped kernel: compressed here, or by another tool before. */
import { Gzip } from 'fflate';
import { detectPayloadFormat, KernelImageError, type PayloadFormat } from '../kernel-image/index.ts';
import { CorruptData, truncated } from '../kernel-image/payload/codecs/codec.ts';
import { GZIP_HEADER, GZIP_TRAILER, gzipDataOffset } from '../kernel-image/payload/codecs/gzip.ts';
import { otherWork } from '../kernel-image/payload/decode.ts';
import { SIZE_WORD } from '../kernel-image/payload/size-word.ts';

export interface WrappedPayload {
  readonly format: PayloadFormat;
  /** As it stands in the bzImage: with the size word behind it that a format without one of its own needs. */
  readonly bytes: Uint8Array;
  /** Of the deflate data of a gzip payload in `bytes`. */
  readonly deflate: number;
}

/** The best that deflate does; always the same, so that the same kernel gives the same image. */
const LEVEL = 9;
const PIECE = 1 << 20;

export function storedPayload(kernel: Uint8Array): WrappedPayload {
  return { format: 'elf', bytes: kernel, deflate: 0 };
}

export interface CompressOptions {
  /** Called now and then with the bytes compressed so far, and all there are. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** @throws the signal's reason */
export async function gzipPayload(
  kernel: Uint8Array,
  { onProgress, signal }: CompressOptions,
): Promise<WrappedPayload> {
  const parts: Uint8Array[] = [];
  // No name and no time (0: none, RFC 1952).
  const gzip = new Gzip({ level: LEVEL, mtime: 0 }, part => parts.push(part));
  for (let at = 0; at < kernel.length; at += PIECE) {
    const end = Math.min(at + PIECE, kernel.length);
    gzip.push(kernel.subarray(at, end), end === kernel.length);
    onProgress?.(end, kernel.length);
    await otherWork();
    signal?.throwIfAborted();
  }
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return { format: 'gzip', bytes, deflate: GZIP_HEADER };
}

/**
 * A file that a compressor made of the kernel. The format is told by its first bytes.
 *
 * @param size bytes of the kernel
 * @param name of the kernel, for messages
 * @throws {KernelImageError} `payload-format` for none that a bzImage can have; `corrupt-payload` for a gzip file that ends in
 *   its header
 */
export function madePayload(file: Uint8Array, size: number, name: string): WrappedPayload {
  const format = detectPayloadFormat(file);
  if (format === 'unknown') {
    throw new KernelImageError(
      'payload-format',
      `${name}: the payload starts with no magic of a format that a bzImage can have; expected gzip, bzip2, lzma, xz, lzo, lz4 (legacy frame) or zstd`,
    );
  }
  if (format === 'elf') return storedPayload(file);
  if (format === 'gzip') return { format, bytes: file, deflate: deflateOffset(file, name) };
  // Linux scripts/Makefile.lib, size_append: gzip has its own.
  const bytes = new Uint8Array(file.length + SIZE_WORD);
  bytes.set(file);
  new DataView(bytes.buffer).setUint32(file.length, size, true);
  return { format, bytes, deflate: 0 };
}

/** The header that gunzip reads before it decodes. */
function deflateOffset(file: Uint8Array, name: string): number {
  try {
    const at = gzipDataOffset(file);
    if (at + GZIP_TRAILER >= file.length) throw truncated(file.length, 'the deflate data');
    return at;
  } catch (error) {
    if (!(error instanceof CorruptData)) throw error;
    throw new KernelImageError(
      'corrupt-payload',
      `${name}: the gzip payload is corrupt at offset 0x${error.at.toString(16)}: ${error.message}`,
    );
  }
}
