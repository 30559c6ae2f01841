/** What a bzImage carries, told by its first bytes: boot.rst "payload_offset"; the LZO magic is from lib/decompress_unlzo.c. */
import type { PayloadFormat } from '../kernel-image.ts';

const MAGICS: readonly (readonly [PayloadFormat, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['gzip', [0x1f, 0x9e]],
  ['bzip2', [0x42, 0x5a]],
  ['lzma', [0x5d, 0x00]],
  ['xz', [0xfd, 0x37]],
  ['lz4', [0x02, 0x21]],
  ['zstd', [0x28, 0xb5]],
  ['lzo', [0x89, 0x4c, 0x5a, 0x4f]],
  ['elf', [0x7f, 0x45, 0x4c, 0x46]],
];

/** @param bytes the payload, or at least its first four bytes. */
export function detectPayloadFormat(bytes: Uint8Array): PayloadFormat {
  return MAGICS.find(([, magic]) => magic.every((byte, index) => bytes[index] === byte))?.[0] ?? 'unknown';
}
