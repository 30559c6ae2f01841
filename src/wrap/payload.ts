/** The payload of a wrapped kernel: compressed here, or by another tool before. */
import { Gzip } from 'fflate';
import { detectPayloadFormat, KernelImageError, type PayloadFormat } from '../kernel-image/index.ts';

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
/** RFC 1952, 2.3: magic, method, flags, time, extra flags, system. */
const GZIP_HEADER_SIZE = 10;
const GZIP_TRAILER_SIZE = 8;
const DEFLATE = 8;
const FHCRC = 2;
const FEXTRA = 4;
const FNAME = 8;
const FCOMMENT = 16;
const SIZE_WORD = 4;

export function storedPayload(kernel: Uint8Array): WrappedPayload {
  return { format: 'elf', bytes: kernel, deflate: 0 };
}

/** @param onProgress gets the bytes compressed so far, and all there are */
export function gzipPayload(
  kernel: Uint8Array,
  onProgress?: (done: number, total: number) => void,
): WrappedPayload {
  const parts: Uint8Array[] = [];
  // No name and no time (0: none, RFC 1952).
  const gzip = new Gzip({ level: LEVEL, mtime: 0 }, part => parts.push(part));
  for (let at = 0; at < kernel.length; at += PIECE) {
    const end = Math.min(at + PIECE, kernel.length);
    gzip.push(kernel.subarray(at, end), end === kernel.length);
    onProgress?.(end, kernel.length);
  }
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return { format: 'gzip', bytes, deflate: GZIP_HEADER_SIZE };
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

/** RFC 1952, 2.3: past the optional fields. */
function deflateOffset(file: Uint8Array, name: string): number {
  const flags = file[3] ?? 0;
  let at = GZIP_HEADER_SIZE;
  if (flags & FEXTRA) at += 2 + (file[at] ?? 0) + ((file[at + 1] ?? 0) << 8);
  for (const flag of [FNAME, FCOMMENT]) {
    if ((flags & flag) === 0) continue;
    const nul = file.indexOf(0, at);
    at = nul < 0 ? file.length : nul + 1;
  }
  if (flags & FHCRC) at += 2;
  if (file[2] !== DEFLATE || at + GZIP_TRAILER_SIZE >= file.length) {
    throw new KernelImageError(
      'corrupt-payload',
      `${name}: the gzip payload has method ${file[2]} and its header ends at 0x${at.toString(16)}, in a file of 0x${file.length.toString(16)} bytes; expected method 8 (deflate) and data after the header`,
    );
  }
  return at;
}
