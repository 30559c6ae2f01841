/** What a payload says at its end about the size of what is in it. */
import { u32 } from '../bytes.ts';
import type { PayloadFormat } from '../kernel-image.ts';

/** scripts/Makefile.lib (Linux 6.1) size_append: 32 bits, little-endian, after the data of every format but gzip. */
export const SIZE_WORD = 4;

/** Whether the kernel's build appends the size: gzip has its own, and an ELF file is no longer than it is. */
export const hasSizeWord = (format: PayloadFormat): boolean =>
  format !== 'gzip' && format !== 'elf' && format !== 'unknown';

/** @param bytes the whole payload */
export function decodedSizeOf(bytes: Uint8Array, format: PayloadFormat): number | undefined {
  if (format === 'elf') return bytes.length;
  // The last word of gzip is ISIZE (RFC 1952 section 2.3.1).
  if (format === 'unknown' || bytes.length <= SIZE_WORD) return undefined;
  return u32(bytes, bytes.length - SIZE_WORD);
}
