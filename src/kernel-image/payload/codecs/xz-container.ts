/** What is around LZMA2 data in an xz file (The .xz File Format 1.1.0), read and written. */
import { hex, hexBytes, u32 } from '../../bytes.ts';
import { crc32 } from './checksums.ts';
import { CorruptData, truncated } from './codec.ts';

const MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const FOOTER_MAGIC = [0x59, 0x5a];
const STREAM_HEADER = 12;
const STREAM_FOOTER = 12;
const WORD = 4;

const FILTER_X86 = 0x04;
const FILTER_LZMA2 = 0x21;
/** Block flags: two bits for the number of filters less one, two for the sizes that are there, the rest reserved. */
const BLOCK_FILTERS = 0x03;
const BLOCK_RESERVED = 0x3c;
const BLOCK_PACKED_SIZE = 0x40;
const BLOCK_UNPACKED_SIZE = 0x80;
/** Of a dictionary, as a byte: 40 stands for 4 GiB less one. */
const LARGEST_DICTIONARY = 40;
/** 4 KiB. */
const SMALLEST_DICTIONARY_LOG = 12;

const CHECKS = new Map([
  [0, { name: 'none', size: 0 }],
  [1, { name: 'crc32', size: 4 }],
  [4, { name: 'crc64', size: 8 }],
] as const);

export interface XzBlock {
  readonly dataStart: number;
  readonly dataEnd: number;
  readonly checkStart: number;
  readonly unpackedSize: number;
  /** The size of the dictionary, as LZMA2's property byte. */
  readonly dictionary: number;
  /** Start offset of the x86 filter; absent without that filter. */
  readonly x86Offset?: number;
}

export interface XzFile {
  readonly blocks: readonly XzBlock[];
  readonly check: 'none' | 'crc32' | 'crc64';
}

/** @throws CorruptData for anything but one whole stream whose blocks have LZMA2, with or without the x86 filter */
export function readXz(bytes: Uint8Array): XzFile {
  if (bytes.length < STREAM_HEADER + STREAM_FOOTER) throw truncated(bytes.length, 'the stream');
  if (MAGIC.some((byte, index) => bytes[index] !== byte)) {
    throw new CorruptData(
      0,
      `the magic is ${hexBytes(bytes.subarray(0, MAGIC.length))}; expected ${hexBytes(Uint8Array.from(MAGIC))}`,
    );
  }
  verifyCrc(bytes, MAGIC.length, MAGIC.length + 2, 'the stream header');
  const flags = bytes[MAGIC.length + 1] ?? 0;
  const check = CHECKS.get(flags as 0 | 1 | 4);
  if (bytes[MAGIC.length] !== 0 || check === undefined) {
    throw new CorruptData(
      MAGIC.length,
      `the stream flags are ${hexBytes(bytes.subarray(MAGIC.length, MAGIC.length + 2))}; expected check 0 (none), 1 (CRC32) or 4 (CRC64)`,
    );
  }
  const indexStart = readFooter(bytes, flags);
  const records = readIndex(bytes, indexStart, bytes.length - STREAM_FOOTER);
  const blocks: XzBlock[] = [];
  let at = STREAM_HEADER;
  for (const { unpaddedSize, unpackedSize } of records) {
    // Padding fills the data up; the check comes after it.
    const end = at + Math.ceil(unpaddedSize / WORD) * WORD;
    if (end > indexStart) throw new CorruptData(at, 'a block runs into the index; expected it to end before');
    const dataEnd = at + unpaddedSize - check.size;
    blocks.push(readBlock(bytes, at, dataEnd, end - check.size, unpackedSize));
    at = end;
  }
  if (at !== indexStart) {
    throw new CorruptData(
      at,
      `the blocks end here and the index starts at ${hex(indexStart)}; expected no gap`,
    );
  }
  return { blocks, check: check.name };
}

function verifyCrc(bytes: Uint8Array, start: number, end: number, what: string): void {
  const computed = crc32(bytes.subarray(start, end));
  const stored = u32(bytes, end);
  if (computed !== stored) {
    throw new CorruptData(
      end,
      `the CRC32 of ${what} is ${hex(stored)}, and its bytes give ${hex(computed)}; expected the same`,
    );
  }
}

/** @returns where the index starts */
function readFooter(bytes: Uint8Array, headerFlags: number): number {
  const footer = bytes.length - STREAM_FOOTER;
  const magicAt = bytes.length - FOOTER_MAGIC.length;
  if (FOOTER_MAGIC.some((byte, index) => bytes[magicAt + index] !== byte)) {
    throw new CorruptData(
      magicAt,
      `the stream ends in ${hexBytes(bytes.subarray(magicAt))}; expected 59 5a, its footer`,
    );
  }
  const stored = u32(bytes, footer);
  const computed = crc32(bytes.subarray(footer + WORD, magicAt));
  if (stored !== computed) {
    throw new CorruptData(
      footer,
      `the CRC32 of the stream footer is ${hex(stored)}, and its bytes give ${hex(computed)}; expected the same`,
    );
  }
  if (bytes[footer + 8] !== 0 || bytes[footer + 9] !== headerFlags)
    throw new CorruptData(footer + 8, 'the stream footer has other flags than the header; expected the same');
  const indexSize = (u32(bytes, footer + WORD) + 1) * WORD;
  const start = footer - indexSize;
  if (start < STREAM_HEADER)
    throw new CorruptData(
      footer + WORD,
      `the index has ${hex(indexSize)} bytes; expected it inside the stream`,
    );
  return start;
}

interface Cursor {
  at: number;
}

/** A number in seven-bit groups, the lowest first (section 1.2). Sizes past 2^53 name nothing that exists. */
function readVli(bytes: Uint8Array, cursor: Cursor, end: number): number {
  const start = cursor.at;
  let value = 0;
  for (let shift = 0; shift < 63; shift += 7) {
    if (cursor.at >= end) throw truncated(cursor.at, 'a number');
    const byte = bytes[cursor.at++] ?? 0;
    value += (byte & 0x7f) * 2 ** shift;
    if ((byte & 0x80) === 0) {
      if (value > Number.MAX_SAFE_INTEGER) break;
      return value;
    }
  }
  throw new CorruptData(start, 'a number is out of range; expected less than 2^53');
}

interface IndexRecord {
  readonly unpaddedSize: number;
  readonly unpackedSize: number;
}

function readIndex(bytes: Uint8Array, start: number, end: number): IndexRecord[] {
  if (bytes[start] !== 0)
    throw new CorruptData(start, `the index starts with ${hex(bytes[start] ?? 0)}; expected 0`);
  verifyCrc(bytes, start, end - WORD, 'the index');
  const cursor = { at: start + 1 };
  const count = readVli(bytes, cursor, end - WORD);
  const records: IndexRecord[] = [];
  for (let index = 0; index < count; index++) {
    const unpaddedSize = readVli(bytes, cursor, end - WORD);
    records.push({ unpaddedSize, unpackedSize: readVli(bytes, cursor, end - WORD) });
  }
  return records;
}

function readBlock(
  bytes: Uint8Array,
  start: number,
  dataEnd: number,
  checkStart: number,
  unpackedSize: number,
): XzBlock {
  const dataStart = start + ((bytes[start] ?? 0) + 1) * WORD;
  const headerEnd = dataStart - WORD;
  if (bytes[start] === 0 || dataStart > dataEnd)
    throw new CorruptData(start, 'a block header does not fit into its block; expected it to');
  verifyCrc(bytes, start, headerEnd, 'a block header');
  const flags = bytes[start + 1] ?? 0;
  if (flags & BLOCK_RESERVED)
    throw new CorruptData(start + 1, `a block header has flags ${hex(flags)}; expected no reserved ones`);
  const cursor = { at: start + 2 };
  if (flags & BLOCK_PACKED_SIZE) expectSize(bytes, cursor, headerEnd, dataEnd - dataStart);
  if (flags & BLOCK_UNPACKED_SIZE) expectSize(bytes, cursor, headerEnd, unpackedSize);
  let x86Offset: number | undefined;
  let dictionary: number | undefined;
  const filters = (flags & BLOCK_FILTERS) + 1;
  for (let index = 0; index < filters; index++) {
    const at = cursor.at;
    const id = readVli(bytes, cursor, headerEnd);
    const size = readVli(bytes, cursor, headerEnd);
    const properties = bytes.subarray(cursor.at, Math.min(cursor.at + size, headerEnd));
    const isLast = index === filters - 1;
    if (id === FILTER_X86 && index === 0 && !isLast && (size === 0 || size === WORD)) {
      x86Offset = size === 0 ? 0 : u32(properties, 0);
    } else if (id === FILTER_LZMA2 && isLast && size === 1 && (properties[0] ?? 0xff) <= LARGEST_DICTIONARY) {
      dictionary = properties[0] ?? 0;
    } else {
      throw new CorruptData(
        at,
        `filter ${index + 1} of ${filters} of a block is ${hex(id)} with ${size} bytes of properties; expected LZMA2 (0x21), or the x86 filter (0x4) and LZMA2`,
      );
    }
    cursor.at += size;
  }
  return {
    dataStart,
    dataEnd,
    checkStart,
    unpackedSize,
    dictionary: dictionary ?? 0,
    ...(x86Offset !== undefined && { x86Offset }),
  };
}

function expectSize(bytes: Uint8Array, cursor: Cursor, end: number, expected: number): void {
  const { at } = cursor;
  const found = readVli(bytes, cursor, end);
  if (found !== expected)
    throw new CorruptData(at, `a block header has size ${found}; expected ${expected}, as the index says`);
}

const le32 = (value: number): number[] => [value, value >>> 8, value >>> 16, value >>> 24].map(b => b & 0xff);

function vli(value: number): number[] {
  const groups: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 0x80)) {
    if (rest < 0x80) return [...groups, rest];
    groups.push((rest % 0x80) | 0x80);
  }
}

const withCrc = (bytes: readonly number[]): number[] => [...bytes, ...le32(crc32(Uint8Array.from(bytes)))];

/** The smallest dictionary that is enough for a block: what is never looked back at needs no memory. */
function enough(dictionary: number, unpackedSize: number): number {
  for (let byte = 0; byte < dictionary; byte++) {
    if ((2 | (byte & 1)) * 2 ** (SMALLEST_DICTIONARY_LOG - 1 + (byte >>> 1)) >= unpackedSize) return byte;
  }
  return dictionary;
}

/** The same LZMA2 data as a whole xz file without any other filter and without a check. */
export function plainStream(bytes: Uint8Array, block: XzBlock): readonly Uint8Array[] {
  const { dataStart, dataEnd, unpackedSize, dictionary } = block;
  const data = bytes.subarray(dataStart, dataEnd);
  const noCheck = [0, 0];
  const header = [...MAGIC, ...withCrc(noCheck)];
  // One filter, no sizes; the size of this header in words, less one; three bytes fill it up.
  const blockHeader = withCrc([2, 0, FILTER_LZMA2, 1, enough(dictionary, unpackedSize), 0, 0, 0]);
  const padding = new Array<number>(-data.length & (WORD - 1)).fill(0);
  const records = [0, 1, ...vli(blockHeader.length + data.length), ...vli(unpackedSize)];
  const index = withCrc([...records, ...new Array<number>(-records.length & (WORD - 1)).fill(0)]);
  const footer = [...le32(index.length / WORD - 1), ...noCheck];
  return [
    Uint8Array.from([...header, ...blockHeader]),
    data,
    Uint8Array.from([
      ...padding,
      ...index,
      ...le32(crc32(Uint8Array.from(footer))),
      ...footer,
      ...FOOTER_MAGIC,
    ]),
  ];
}
