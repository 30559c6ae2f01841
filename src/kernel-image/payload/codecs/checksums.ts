/** The checksums with which the containers guard what is in them. */
import * as zlib from 'node:zlib';

/**
 * CRC-32 as gzip, xz and zip have it, by the host's zlib: a browser build replaces it here.
 *
 * @param before the CRC-32 of what comes before `bytes`
 */
export const crc32 = (bytes: Uint8Array, before = 0): number => zlib.crc32(bytes, before);

/** Adler-32 (RFC 1950 section 9): lzop guards its blocks with it. */
export function adler32(bytes: Uint8Array): number {
  const BASE = 65521;
  /** Sums of so many bytes stay below 2^32 (zlib's NMAX). */
  const RUN = 5552;
  let low = 1;
  let high = 0;
  for (let start = 0; start < bytes.length; start += RUN) {
    const end = Math.min(start + RUN, bytes.length);
    for (let at = start; at < end; at++) {
      low += bytes[at] ?? 0;
      high += low;
    }
    low %= BASE;
    high %= BASE;
  }
  return ((high << 16) | low) >>> 0;
}

/** CRC-64 of ECMA-182, reflected, as xz has it: 0xc96c5795d7870f42, in halves. */
const CRC64_POLYNOMIAL = { high: 0xc96c5795, low: 0xd7870f42 };

export function crc64(bytes: Uint8Array): bigint {
  const lows = new Int32Array(256);
  const highs = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let low = byte;
    let high = 0;
    for (let bit = 0; bit < 8; bit++) {
      const carry = low & 1;
      low = (low >>> 1) | (high << 31);
      high >>>= 1;
      if (carry) {
        low ^= CRC64_POLYNOMIAL.low;
        high ^= CRC64_POLYNOMIAL.high;
      }
    }
    lows[byte] = low;
    highs[byte] = high;
  }
  let low = -1;
  let high = -1;
  for (let at = 0; at < bytes.length; at++) {
    const index = (low ^ (bytes[at] ?? 0)) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ (lows[index] ?? 0);
    high = (high >>> 8) ^ (highs[index] ?? 0);
  }
  return (BigInt(~high >>> 0) << 32n) | BigInt(~low >>> 0);
}
