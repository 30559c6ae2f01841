/** From a bzImage to the kernel proper inside it, kept for the next time. */
import {
  type BzImage,
  checkPayload,
  DEFAULT_DECODE_LIMIT,
  decodePayload,
  type ElfImage,
  readKernelProper,
} from './kernel-image/index.ts';

export interface UnpackOptions {
  /** Bytes that the kernel proper may have at most: more is a decompression bomb. Default 1 GiB. */
  readonly limit?: number;
  /** Whether to look in the user's cache directory, and to leave it there (Node only). Default false. */
  readonly cache?: boolean;
  /** Called now and then with the bytes made so far, and what there will be if the image says so. */
  readonly onProgress?: (done: number, total?: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * The kernel proper of a bzImage: its payload decoded, as an ELF image with relocations and, where kallsyms has them,
 * symbols.
 *
 * @throws {KernelImageError} `no-payload`, `payload-format`, `corrupt-payload`, `payload-too-big`, `payload-not-elf`, and
 *   those of an ELF file
 * @throws the signal's reason
 */
export async function unpackKernel(image: BzImage, options: UnpackOptions = {}): Promise<ElfImage> {
  const { limit = DEFAULT_DECODE_LIMIT, cache = false, onProgress, signal } = options;
  signal?.throwIfAborted();
  const payload = checkPayload(image);
  // What is not compressed is read faster than a copy of it.
  const kept = cache && payload.format !== 'elf' ? await import('./payload-cache.ts') : undefined;
  const found = await kept?.readCache(image.sha256, limit);
  if (found !== undefined) return readKernelProper(image, found.decoded, found.sha256);

  const code = image.segments[0]?.contents ?? new Uint8Array(0);
  const start = payload.offset - image.protectedModeOffset;
  const decoded = await decodePayload(code.subarray(start, start + payload.length), payload.format, {
    limit,
    name: image.name,
    offset: payload.offset,
    ...(onProgress && { onProgress }),
    ...(signal && { signal }),
  });
  const kernel = readKernelProper(image, decoded);
  await kept?.writeCache(image.sha256, { decoded, sha256: kernel.sha256 });
  return kernel;
}
