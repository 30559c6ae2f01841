/**
 * kallsyms_token_table and kallsyms_token_index: 256 NUL-terminated strings, one for each byte of a compressed name, and
 * then the offset of each (scripts/kallsyms.c; the two have been neighbours since 2.6.10). The index is what the search
 * knows them by: nothing else in a kernel is 256 ascending halfwords from 0 that are the starts of the 256 strings before it.
 */
import type { Rodata, Work } from './rodata.ts';

const TOKENS = 256;
export const TOKEN_INDEX_SIZE = 2 * TOKENS;

/** KSYM_NAME_LEN of Linux 6.1 and later, the longest so far: a name with its type letter and NUL fits in it. */
export const NAME_LIMIT = 512;

export interface TokenTable {
  /** Offset of kallsyms_token_table. */
  readonly at: number;
  /** Offset of kallsyms_token_index. */
  readonly indexAt: number;
  /** Offset of each token's first byte. */
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
}

/** The token tables in address order; a kernel has one. Looking for an index takes time linear in the size, whatever the bytes are. */
export function* findTokenTables(rodata: Rodata, work: Work): Generator<TokenTable> {
  const { words, halves } = rodata;
  const end = halves.length - TOKENS;
  for (let word = 0; word * 2 <= end && work.left > 0; word++) {
    // The first two entries: 0, and something above it.
    const pair = words[word] ?? 0;
    if ((pair & 0xffff) !== 0 || pair === 0) continue;
    const first = word * 2;
    let count = 2;
    while (count < TOKENS && (halves[first + count] ?? 0) > (halves[first + count - 1] ?? 0)) count++;
    // Where it goes up by one all the time, no token has a character: a character set of fs/nls, not an index.
    if (count === TOKENS && (halves[first + TOKENS - 1] ?? 0) >= TOKENS) {
      const found = tableBefore(rodata, first * 2, work);
      if (found !== undefined) yield found;
    }
    // No entry but the first is 0, so no other index starts among these.
    word += (count >> 1) - 1;
  }
}

/** The strings whose starts are the 256 halfwords at `indexAt`, if they are right before it. */
function tableBefore(rodata: Rodata, indexAt: number, work: Work): TokenTable | undefined {
  const { bytes, halves } = rodata;
  const first = indexAt / 2;
  const last = halves[first + TOKENS - 1] ?? 0;
  // The last token's length is not in the index, and up to 3 bytes of padding follow it.
  const highest = (indexAt - last - 1) & ~3;
  for (let at = highest; at >= 0 && at > indexAt - last - NAME_LIMIT - 4; at -= 4) {
    let terminated = 1;
    while (terminated < TOKENS && bytes[at + (halves[first + terminated] ?? 0) - 1] === 0) terminated++;
    work.left -= terminated;
    if (terminated < TOKENS) continue;
    const table = readTable(rodata, at, indexAt);
    if (table !== undefined) return table;
  }
  return undefined;
}

function readTable({ bytes, halves }: Rodata, at: number, indexAt: number): TokenTable | undefined {
  const starts = new Int32Array(TOKENS);
  const lengths = new Int32Array(TOKENS);
  for (let token = 0; token < TOKENS; token++) {
    const start = at + (halves[indexAt / 2 + token] ?? 0);
    let end = start;
    while (isNameByte(bytes[end])) end++;
    const next = token + 1 < TOKENS ? at + (halves[indexAt / 2 + token + 1] ?? 0) : end + 1;
    if (bytes[end] !== 0 || end + 1 !== next || end - start >= NAME_LIMIT) return undefined;
    starts[token] = start;
    lengths[token] = end - start;
    if (token === TOKENS - 1 && !isPadding(bytes, next, indexAt)) return undefined;
  }
  return { at, indexAt, starts, lengths };
}

/** What a symbol's name or type letter is made of: graphic ASCII. */
function isNameByte(byte: number | undefined): boolean {
  return byte !== undefined && byte > 0x20 && byte < 0x7f;
}

/** Whether what is between the end of one table and the start of the next is what an assembler puts there to align it. */
export function isPadding(bytes: Uint8Array, from: number, to: number): boolean {
  if (to < from || to - from > 3) return false;
  for (let at = from; at < to; at++) if (bytes[at] !== 0) return false;
  return true;
}
