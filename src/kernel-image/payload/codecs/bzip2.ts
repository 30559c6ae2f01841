/**
 * bzip2, as `bzip2 -9` writes it and the kernel's lib/decompress_bunzip2.c reads it: blocks of up to 900 000 bytes, each
 * run-length coded, sorted (Burrows-Wheeler), moved to front, run-length coded again and Huffman coded, with a CRC.
 */
import { hex } from '../../bytes.ts';
import { BitReader } from './bits.ts';
import { type CodecInput, CorruptData, checkMade, TooBig, truncated } from './codec.ts';
import { HuffmanTable, LONGEST_CODE } from './huffman.ts';

/** "BZh" and a digit: hundreds of thousands of bytes in a block. */
const HEADER = 4;
const BLOCK_UNIT = 100_000;
/** The digits of pi start a block, those of its root end the file. */
const BLOCK_MAGIC = [0x314159, 0x265359] as const;
const END_MAGIC = [0x177245, 0x385090] as const;

const RUN_A = 0;
const RUN_B = 1;
/** So many symbols are coded with one table, then the next selector says which. */
const GROUP = 50;
const MOST_TABLES = 6;
const FEWEST_TABLES = 2;
/** Four equal bytes are followed by a count of more. */
const RUN = 4;

export async function decodeBzip2(input: CodecInput): Promise<Uint8Array> {
  const { bytes, size, made } = input;
  if (bytes.length < HEADER) throw truncated(bytes.length, 'the header');
  const level = (bytes[3] ?? 0) - 0x30;
  if (bytes[0] !== 0x42 || bytes[1] !== 0x5a || bytes[2] !== 0x68 || level < 1 || level > 9)
    throw new CorruptData(0, 'the header is not "BZh" and a digit from 1 to 9; expected that');
  const bits = new BitReader(bytes, HEADER);
  const sorted = new Uint32Array(level * BLOCK_UNIT);
  const out = new Uint8Array(size);
  let length = 0;
  let fileCrc = 0;
  for (;;) {
    const { at } = bits;
    const magic = [bits.read(24), bits.read(24)];
    const stored = ((bits.read(16) << 16) | bits.read(16)) >>> 0;
    if (magic[0] === END_MAGIC[0] && magic[1] === END_MAGIC[1]) {
      checkCrc(stored, fileCrc, at, 'the file');
      break;
    }
    if (magic[0] !== BLOCK_MAGIC[0] || magic[1] !== BLOCK_MAGIC[1]) {
      throw new CorruptData(
        at,
        `a block starts with ${magic.map(half => half.toString(16).padStart(6, '0')).join('')}; expected 314159265359`,
      );
    }
    const { count, origin } = readBlock(bits, sorted);
    const end = unsort(sorted, count, origin, out, length);
    checkCrc(stored, bzip2Crc(out.subarray(length, end)), at, 'a block');
    fileCrc = (((fileCrc << 1) | (fileCrc >>> 31)) ^ stored) >>> 0;
    length = end;
    await made(length);
  }
  if (bits.at < bytes.length - 1)
    throw new CorruptData(
      bits.at,
      `${bytes.length - bits.at} bytes follow the end; expected the size word alone`,
    );
  checkMade(length, input);
  return out;
}

function checkCrc(stored: number, computed: number, at: number, of: string): void {
  if (stored !== computed) {
    throw new CorruptData(
      at,
      `the CRC of ${of} is ${hex(stored)}, and its data gives ${hex(computed)}; expected the same`,
    );
  }
}

interface Block {
  readonly count: number;
  /** Of the row that is the text itself. */
  readonly origin: number;
}

/** Up to the sorted bytes, one in the low eight bits of each word. */
function readBlock(bits: BitReader, sorted: Uint32Array): Block {
  const { at } = bits;
  if (bits.read(1) !== 0)
    throw new CorruptData(at, 'a block is randomised, which bzip2 0.9.5 gave up; expected it not to be');
  const origin = bits.read(24);
  const bytesInUse = readBytesInUse(bits);
  const tableCount = bits.read(3);
  const selectorCount = bits.read(15);
  if (
    bytesInUse.length === 0 ||
    tableCount < FEWEST_TABLES ||
    tableCount > MOST_TABLES ||
    selectorCount === 0
  ) {
    throw new CorruptData(
      at,
      `a block has ${bytesInUse.length} byte values, ${tableCount} tables and ${selectorCount} selectors; expected some, 2 to 6 and some`,
    );
  }
  const selectors = readSelectors(bits, selectorCount, tableCount);
  const symbols = bytesInUse.length + 2;
  const tables = Array.from({ length: tableCount }, () => readTable(bits, symbols));

  const endOfBlock = symbols - 1;
  const front = bytesInUse;
  let count = 0;
  let run = 0;
  let runWeight = 1;
  let group = 0;
  let left = 0;
  let table = tables[0];
  for (;;) {
    if (left === 0) {
      table = tables[selectors[group++] ?? MOST_TABLES];
      left = GROUP;
    }
    left--;
    if (table === undefined)
      throw new CorruptData(
        bits.at,
        `a block has more symbols than its ${selectorCount} selectors; expected no more`,
      );
    const symbol = table.read(bits);
    if (symbol === RUN_A || symbol === RUN_B) {
      // Digits 1 and 2 in base two. More than fill a block are not counted on.
      run += runWeight << symbol;
      runWeight <<= 1;
      if (run > sorted.length) throw blockTooBig(bits);
      continue;
    }
    if (run > 0) {
      if (count + run > sorted.length) throw blockTooBig(bits);
      sorted.fill(front[0] ?? 0, count, count + run);
      count += run;
      run = 0;
      runWeight = 1;
    }
    if (symbol === endOfBlock) break;
    if (count >= sorted.length) throw blockTooBig(bits);
    const index = symbol - 1;
    const value = front[index] ?? 0;
    front.copyWithin(1, 0, index);
    front[0] = value;
    sorted[count++] = value;
  }
  if (origin >= count)
    throw new CorruptData(at, `a block of ${count} bytes has its origin at ${origin}; expected it inside`);
  return { count, origin };
}

const blockTooBig = (bits: BitReader): CorruptData =>
  new CorruptData(bits.at, 'a block has more bytes than the header allows; expected no more');

/** Which byte values there are: a map of sixteen ranges, then one of each range that has any. */
function readBytesInUse(bits: BitReader): Uint8Array {
  const ranges = bits.read(16);
  const values: number[] = [];
  for (let range = 0; range < 16; range++) {
    if ((ranges & (0x8000 >>> range)) === 0) continue;
    const map = bits.read(16);
    for (let low = 0; low < 16; low++) if (map & (0x8000 >>> low)) values.push(range * 16 + low);
  }
  return Uint8Array.from(values);
}

function readSelectors(bits: BitReader, count: number, tableCount: number): Uint8Array {
  const front = Uint8Array.from({ length: tableCount }, (_, index) => index);
  const selectors = new Uint8Array(count);
  for (let at = 0; at < count; at++) {
    let index = 0;
    while (bits.read(1) === 1) {
      index++;
      if (index >= tableCount)
        throw new CorruptData(bits.at, `a selector is ${index} of ${tableCount}; expected less`);
    }
    const value = front[index] ?? 0;
    front.copyWithin(1, 0, index);
    front[0] = value;
    selectors[at] = value;
  }
  return selectors;
}

/** The length of each symbol's code, as the difference from the one before. */
function readTable(bits: BitReader, symbols: number): HuffmanTable {
  const lengths = new Uint8Array(symbols);
  let length = bits.read(5);
  for (let symbol = 0; symbol < symbols; symbol++) {
    for (;;) {
      if (length < 1 || length > LONGEST_CODE)
        throw new CorruptData(bits.at, `a code has ${length} bits; expected 1 to ${LONGEST_CODE}`);
      if (bits.read(1) === 0) break;
      length += bits.read(1) === 0 ? 1 : -1;
    }
    lengths[symbol] = length;
  }
  return new HuffmanTable(lengths);
}

/**
 * Undoes the sort and the first run-length code.
 *
 * @param sorted the last column in the low eight bits; the upper ones become the way through it
 * @returns where the output ends
 */
function unsort(sorted: Uint32Array, count: number, origin: number, out: Uint8Array, start: number): number {
  const places = new Uint32Array(257);
  for (let at = 0; at < count; at++) {
    const value = ((sorted[at] ?? 0) & 0xff) + 1;
    places[value] = (places[value] ?? 0) + 1;
  }
  for (let value = 1; value < 257; value++) places[value] = (places[value] ?? 0) + (places[value - 1] ?? 0);
  for (let at = 0; at < count; at++) {
    const value = (sorted[at] ?? 0) & 0xff;
    const place = places[value] ?? 0;
    places[value] = place + 1;
    sorted[place] = (sorted[place] ?? 0) | (at << 8);
  }
  let to = start;
  let row = (sorted[origin] ?? 0) >>> 8;
  let run = 0;
  let last = -1;
  for (let left = count; left > 0; left--) {
    const entry = sorted[row] ?? 0;
    const value = entry & 0xff;
    row = entry >>> 8;
    if (run === RUN) {
      if (to + value > out.length) throw new TooBig();
      out.fill(last, to, to + value);
      to += value;
      run = 0;
      last = -1;
      continue;
    }
    run = value === last ? run + 1 : 1;
    last = value;
    if (to >= out.length) throw new TooBig();
    out[to++] = value;
  }
  return to;
}

/** CRC-32 with the highest bit first: 0x04c11db7. */
const POLYNOMIAL = 0x04c11db7;
let crcTable: Int32Array | undefined;

function bzip2Crc(bytes: Uint8Array): number {
  crcTable ??= Int32Array.from({ length: 256 }, (_, byte) => {
    let value = byte << 24;
    for (let bit = 0; bit < 8; bit++) value = value < 0 ? (value << 1) ^ POLYNOMIAL : value << 1;
    return value;
  });
  let crc = -1;
  for (let at = 0; at < bytes.length; at++)
    crc = (crc << 8) ^ (crcTable[(crc >>> 24) ^ (bytes[at] ?? 0)] ?? 0);
  return ~crc >>> 0;
}
