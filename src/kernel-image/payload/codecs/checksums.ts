/** The checksums with which the containers guard what is in them. */

/** CRC-32 of IEEE 802.3, reflected: 0xedb88320 is 0x04c11db7 with its bits turned round. */
const CRC32_POLYNOMIAL = 0xedb88320;
/** Bytes that one step takes in: one table for each. */
const SLICES = 8;

let tables: readonly Int32Array[] | undefined;

function crc32Tables(): readonly Int32Array[] {
  const first = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ CRC32_POLYNOMIAL : value >>> 1;
    first[byte] = value;
  }
  const all = [first];
  for (let slice = 1; slice < SLICES; slice++) {
    const before = all[slice - 1] ?? first;
    all.push(before.map(value => (value >>> 8) ^ (first[value & 0xff] ?? 0)));
  }
  return all;
}

/**
 * CRC-32 as gzip, xz and zip have it: initial value and final exclusive-or are 0xffffffff.
 *
 * @param before the CRC-32 of what comes before `bytes`
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  tables ??= crc32Tables();
  const [t0, t1, t2, t3, t4, t5, t6, t7] = tables;
  if (!(t0 && t1 && t2 && t3 && t4 && t5 && t6 && t7)) throw new Error('eight tables');
  let crc = ~before;
  let at = 0;
  for (const end = bytes.length - (SLICES - 1); at < end; at += SLICES) {
    const low =
      crc ^
      ((bytes[at] ?? 0) |
        ((bytes[at + 1] ?? 0) << 8) |
        ((bytes[at + 2] ?? 0) << 16) |
        ((bytes[at + 3] ?? 0) << 24));
    crc =
      (t7[low & 0xff] ?? 0) ^
      (t6[(low >>> 8) & 0xff] ?? 0) ^
      (t5[(low >>> 16) & 0xff] ?? 0) ^
      (t4[low >>> 24] ?? 0) ^
      (t3[bytes[at + 4] ?? 0] ?? 0) ^
      (t2[bytes[at + 5] ?? 0] ?? 0) ^
      (t1[bytes[at + 6] ?? 0] ?? 0) ^
      (t0[bytes[at + 7] ?? 0] ?? 0);
  }
  for (; at < bytes.length; at++) crc = (crc >>> 8) ^ (t0[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0);
  return ~crc >>> 0;
}

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
