/**
 * kallsyms_num_syms, kallsyms_names and kallsyms_markers, which stand in this order before the token table
 * (scripts/kallsyms.c). A name is its length and that many bytes, each a token; a marker is where every 256th name starts.
 *
 *                  num_syms | names | markers | [seqs_of_names] | token_table | token_index
 *
 * kallsyms_seqs_of_names (3 bytes for each symbol) is there in 6.2 and 6.3 and in stable 6.1 kernels; 6.4 moved it to the end.
 */
import type { Rodata, Work } from './rodata.ts';
import { isPadding, NAME_LIMIT, type TokenTable } from './tokens.ts';

/** Names from one marker to the next. */
const STRIDE = 256;
const MARKER_SIZE = 4;
const SEQUENCE_SIZE = 3;

/** More than any kernel has: allyesconfig comes to about half of it. */
const MAX_SYMBOLS = 1 << 20;
const MAX_MARKERS = MAX_SYMBOLS / STRIDE;

/** An entry is at least a length and one token, at most two bytes of length and NAME_LIMIT tokens of one character. */
const MIN_ENTRY = 2;
const MAX_ENTRY = 2 + NAME_LIMIT;

export interface Names {
  readonly count: number;
  /** Offset of kallsyms_num_syms; the names follow it. */
  readonly countAt: number;
  /** Offset of kallsyms_names. */
  readonly at: number;
  /** Whether a length with bit 7 has a second byte (6.1 and later: ULEB128). */
  readonly wideLengths: boolean;
}

/** The tables that go with a token table; undefined when there is none whose counts, markers and ends agree. */
export function findNames(rodata: Rodata, tokens: TokenTable, work: Work): Names | undefined {
  const { words } = rodata;
  const end = tokens.at / 4;
  const lowest = Math.max(0, end - Math.ceil((MAX_MARKERS * (MARKER_SIZE + SEQUENCE_SIZE * STRIDE)) / 4) - 1);
  for (let markers = end - 1; markers >= lowest && work.left > 0; markers--) {
    work.left--;
    if (words[markers] !== 0) continue; // The first marker is 0.
    const names =
      namesBefore(rodata, markers, withoutSequence(end - markers), work) ??
      namesBefore(rodata, markers, withSequence((end - markers) * 4), work);
    if (names !== undefined) return names;
  }
  return undefined;
}

/** How many markers and symbols there are when so much is between the first marker and the token table. */
interface Extent {
  readonly markers: number;
  readonly fewest: number;
  readonly most: number;
}

const withoutSequence = (markers: number): Extent => ({
  markers,
  fewest: (markers - 1) * STRIDE + 1,
  most: markers * STRIDE,
});

function withSequence(size: number): Extent {
  const markers = Math.ceil((size - 3) / (MARKER_SIZE + SEQUENCE_SIZE * STRIDE));
  const sequence = size - markers * MARKER_SIZE;
  const all = withoutSequence(markers);
  return {
    markers,
    fewest: Math.max(all.fewest, Math.ceil((sequence - 3) / SEQUENCE_SIZE)),
    most: Math.min(all.most, Math.floor(sequence / SEQUENCE_SIZE)),
  };
}

/** @param markers where the first marker is, as an index of a word. */
function namesBefore(rodata: Rodata, markers: number, extent: Extent, work: Work): Names | undefined {
  const { words } = rodata;
  if (extent.most < extent.fewest || extent.markers > MAX_MARKERS) return undefined;
  for (let marker = 1; marker < extent.markers; marker++) {
    work.left--;
    const size = (words[markers + marker] ?? 0) - (words[markers + marker - 1] ?? 0);
    if (size < STRIDE * MIN_ENTRY || size > STRIDE * MAX_ENTRY) return undefined;
  }
  const beforeLast = words[markers + extent.markers - 1] ?? 0;
  const highest = markers - Math.ceil((beforeLast + MIN_ENTRY) / 4);
  const lowest = Math.max(1, markers - Math.ceil((beforeLast + STRIDE * MAX_ENTRY) / 4) - 1);
  for (let names = highest; names >= lowest && work.left > 0; names--) {
    work.left--;
    const count = words[names - 1] ?? 0;
    if (count < extent.fewest || count > extent.most) continue;
    for (const wideLengths of [true, false]) {
      const found = { count, countAt: (names - 1) * 4, at: names * 4, wideLengths };
      if (agree(rodata, found, markers, work)) return found;
    }
  }
  return undefined;
}

/** Whether every marker is where its name starts, and the last name ends where the markers start. */
function agree({ bytes, words }: Rodata, names: Names, markers: number, work: Work): boolean {
  const end = markers * 4;
  let at = names.at;
  for (let name = 0; name < names.count; name++) {
    if (name % STRIDE === 0) {
      work.left -= STRIDE;
      if (work.left <= 0 || at - names.at !== words[markers + name / STRIDE]) return false;
    }
    let length = bytes[at] ?? 0;
    at++;
    if (names.wideLengths && length > 0x7f) {
      length = (length & 0x7f) | ((bytes[at] ?? 0) << 7);
      at++;
    }
    at += length;
    if (length === 0 || length > NAME_LIMIT || at > end) return false;
  }
  return isPadding(bytes, at, end);
}
