/** gzip (RFC 1952), as `gzip -n -9` writes it: the deflate data by fflate, the header and the checks here. */
import { hex, hexBytes, u16, u32 } from '../../bytes.ts';
import { crc32 } from './checksums.ts';
import { type CodecInput, CorruptData, TooBig, truncated } from './codec.ts';
import { inflate } from './inflate.ts';

/** Without the optional fields. */
export const GZIP_HEADER = 10;
/** CRC-32 and size of what was packed. */
export const GZIP_TRAILER = 8;
const DEFLATE = 8;

const FLAG_HEADER_CRC = 0x02;
const FLAG_EXTRA = 0x04;
const FLAG_NAME = 0x08;
const FLAG_COMMENT = 0x10;

export async function decodeGzip({ bytes, size, made }: CodecInput): Promise<Uint8Array> {
  const start = gzipDataOffset(bytes);
  const end = bytes.length - GZIP_TRAILER;
  if (start > end) throw truncated(bytes.length, 'the header');

  const out = new Uint8Array(size);
  let length = 0;
  let crc = 0;
  try {
    for (const piece of inflate(bytes.subarray(start, end))) {
      if (length + piece.length > size) throw new TooBig();
      out.set(piece, length);
      length += piece.length;
      crc = crc32(piece, crc);
      await made(length);
    }
  } catch (error) {
    if (error instanceof CorruptData) throw new CorruptData(start + error.at, error.message);
    throw error;
  }
  if (length !== size) {
    throw new CorruptData(end, `the deflate data ends after ${length} bytes; expected the ${size} of ISIZE`);
  }
  const stored = u32(bytes, end);
  if (stored !== crc)
    throw new CorruptData(
      end,
      `the CRC32 is ${hex(stored)}, and the data gives ${hex(crc)}; expected the same`,
    );
  return out;
}

/**
 * @returns where the deflate data starts
 * @throws CorruptData
 */
export function gzipDataOffset(bytes: Uint8Array): number {
  if (bytes.length < GZIP_HEADER) throw truncated(bytes.length, 'the header');
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b || bytes[2] !== DEFLATE) {
    throw new CorruptData(0, `the magic and method are ${hexBytes(bytes.subarray(0, 3))}; expected 1f 8b 08`);
  }
  const flags = bytes[3] ?? 0;
  let at = GZIP_HEADER;
  if (flags & FLAG_EXTRA) at += 2 + u16(bytes, at);
  for (const flag of [FLAG_NAME, FLAG_COMMENT]) {
    if ((flags & flag) === 0) continue;
    const nul = bytes.indexOf(0, at);
    if (nul < 0) throw truncated(at, 'the header');
    at = nul + 1;
  }
  if (flags & FLAG_HEADER_CRC) at += 2;
  return at;
}
