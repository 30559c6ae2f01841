/** The last four bytes of a bzImage. */
import { crc32 } from 'node:zlib';

/**
 * Appends the CRC32 that boot protocol 2.08 and later asks for: polynomial 0x04C11DB7, initial value 0xFFFFFFFF, stored
 * little-endian so that the CRC register over the whole file, these four bytes included, ends at 0
 * (Linux Documentation/x86/boot.rst, "The image checksum"). zlib's CRC is that register inverted.
 */
export function appendCrc32(image: Uint8Array): Uint8Array {
  const result = new Uint8Array(image.length + 4);
  result.set(image);
  new DataView(result.buffer).setUint32(image.length, ~crc32(image) >>> 0, true);
  return result;
}
