/** The container of LZO data that `lzop -9` writes and the kernel's build uses (lib/decompress_unlzo.c; lzop 1.04 conf.h). */
import { hex, hexBytes } from '../../bytes.ts';
import { adler32, crc32 } from './checksums.ts';
import { type CodecInput, CorruptData, checkMade, TooBig, truncated } from './codec.ts';
import { decodeLzo1x } from './lzo.ts';

const MAGIC = [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a];
/** From here on the header has a level, the version needed and the high half of the time. */
const VERSION_LEVELS = 0x0940;
/** LZO1X_1, LZO1X_1_15, LZO1X_999. */
const LAST_LZO1X_METHOD = 3;
/** The largest block of lzop, 64 MiB. */
const LARGEST_BLOCK = 64 << 20;

const FLAG_ADLER32_D = 0x1;
const FLAG_ADLER32_C = 0x2;
const FLAG_EXTRA = 0x40;
const FLAG_CRC32_D = 0x100;
const FLAG_CRC32_C = 0x200;
const FLAG_FILTER = 0x800;
const FLAG_HEADER_CRC32 = 0x1000;

const u16be = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
const u32be = (bytes: Uint8Array, at: number): number =>
  ((u16be(bytes, at) << 16) | u16be(bytes, at + 2)) >>> 0;

/** Numbers one after the other; every one has to be there. */
class Fields {
  readonly bytes: Uint8Array;
  at: number;
  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes;
    this.at = at;
  }
  skip(size: number, what: string): number {
    if (this.at + size > this.bytes.length) throw truncated(this.at, what);
    const at = this.at;
    this.at += size;
    return at;
  }
  byte = (what: string): number => this.bytes[this.skip(1, what)] ?? 0;
  half = (what: string): number => u16be(this.bytes, this.skip(2, what));
  word = (what: string): number => u32be(this.bytes, this.skip(4, what));
}

export async function decodeLzop(input: CodecInput): Promise<Uint8Array> {
  const { bytes, size, made } = input;
  const fields = new Fields(bytes, 0);
  const flags = readHeader(fields);
  const out = new Uint8Array(size);
  let length = 0;
  for (;;) {
    const block = fields.at;
    const unpacked = fields.word("a block's header");
    if (unpacked === 0) break;
    const packed = fields.word("a block's header");
    if (unpacked > LARGEST_BLOCK || packed > unpacked) {
      throw new CorruptData(
        block,
        `a block has ${hex(unpacked)} bytes in ${hex(packed)}; expected at most ${hex(LARGEST_BLOCK)}, in no more than that`,
      );
    }
    const ofUnpacked = checks(fields, flags & FLAG_ADLER32_D, flags & FLAG_CRC32_D);
    const stored = packed === unpacked;
    const ofPacked = stored ? [] : checks(fields, flags & FLAG_ADLER32_C, flags & FLAG_CRC32_C);
    const at = fields.skip(packed, 'a block');
    verify(bytes.subarray(at, at + packed), ofPacked, at);
    if (length + unpacked > size) throw new TooBig();
    if (stored) out.set(bytes.subarray(at, at + packed), length);
    else unpackBlock(bytes, at, at + packed, out, length, unpacked);
    verify(out.subarray(length, length + unpacked), ofUnpacked, at);
    length += unpacked;
    await made(length);
  }
  if (fields.at !== bytes.length) {
    throw new CorruptData(
      fields.at,
      `${bytes.length - fields.at} bytes follow the last block; expected the size word alone`,
    );
  }
  checkMade(length, input);
  return out;
}

function unpackBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  to: number,
  expected: number,
): void {
  let made: number;
  try {
    made = decodeLzo1x(bytes, start, end, out, to, to + expected) - to;
  } catch (error) {
    if (!(error instanceof TooBig)) throw error;
    throw new CorruptData(
      start,
      `a block decodes to more than ${expected} bytes; expected what its header says`,
    );
  }
  if (made !== expected) {
    throw new CorruptData(
      start,
      `a block decodes to ${made} bytes; expected ${expected}, as its header says`,
    );
  }
}

/** @returns the flags */
function readHeader(fields: Fields): number {
  const { bytes } = fields;
  if (bytes.length < MAGIC.length) throw truncated(bytes.length, 'the magic');
  if (MAGIC.some((byte, index) => bytes[index] !== byte)) {
    throw new CorruptData(
      0,
      `the magic is ${hexBytes(bytes.subarray(0, MAGIC.length))}; expected ${hexBytes(Uint8Array.from(MAGIC))}`,
    );
  }
  const header = fields.skip(MAGIC.length, 'the magic') + MAGIC.length;
  const inside = 'the header';
  const version = fields.half(inside);
  fields.skip(2, inside); // the version of the library
  if (version >= VERSION_LEVELS) fields.skip(2, inside); // the version needed
  const methodAt = fields.at;
  const method = fields.byte(inside);
  if (method === 0 || method > LAST_LZO1X_METHOD)
    throw new CorruptData(methodAt, `the method is ${method}; expected 1 to 3, LZO1X`);
  if (version >= VERSION_LEVELS) fields.skip(1, inside);
  const flags = fields.word(inside);
  if (flags & FLAG_FILTER)
    throw new CorruptData(fields.at - 4, `the flags ${hex(flags)} name a filter; expected none`);
  fields.skip(version >= VERSION_LEVELS ? 12 : 8, inside); // mode and time
  fields.skip(fields.byte(inside), inside); // the name
  const end = fields.at;
  const found = fields.word(inside);
  const covered = bytes.subarray(header, end);
  const expected = flags & FLAG_HEADER_CRC32 ? crc32(covered) : adler32(covered);
  if (found !== expected)
    throw new CorruptData(end, `the header's checksum is ${hex(found)}; expected ${hex(expected)}`);
  if (flags & FLAG_EXTRA) {
    const size = fields.word('the extra field');
    fields.skip(size, 'the extra field');
    fields.skip(4, 'the extra field');
  }
  return flags;
}

type Check = readonly [found: number, compute: (bytes: Uint8Array) => number];

function checks(fields: Fields, adler: number, crc: number): readonly Check[] {
  const found: Check[] = [];
  if (adler) found.push([fields.word("a block's checksum"), adler32]);
  if (crc) found.push([fields.word("a block's checksum"), crc32]);
  return found;
}

function verify(bytes: Uint8Array, wanted: readonly Check[], at: number): void {
  for (const [found, compute] of wanted) {
    const actual = compute(bytes);
    if (actual !== found) {
      throw new CorruptData(
        at,
        `a block's checksum is ${hex(found)}, and its data gives ${hex(actual)}; expected the same`,
      );
    }
  }
}
