/**
 * Symbols of a kernel without a symbol table, from the tables that the kernel itself has for /proc/kallsyms
 * (CONFIG_KALLSYMS; Linux 2.6.10 and later). They carry no mark: they are known by their structure, and each is checked
 * against the others. Nothing in them can make the reader throw, or take long.
 */
import { hex } from '../bytes.ts';
import type { ElfImage, KernelSymbol, Warning } from '../kernel-image.ts';
import { mapKind, type Ranked, sorted } from '../symbols.ts';
import { type Extent, findAddresses } from './addresses.ts';
import { findNames, type Names } from './names.ts';
import { type Rodata, rodataOf, type Work } from './rodata.ts';
import { findTokenTables, NAME_LIMIT, type TokenTable } from './tokens.ts';

export interface Kallsyms {
  /** Sorted by address; sizes are 0: the tables do not hold them. Absolute symbols (nm's `A`) are left out. */
  readonly symbols: readonly KernelSymbol[];
  readonly warnings: readonly Warning[];
}

/** A kernel of 200,000 symbols takes about two million. */
const WORK_LIMIT = 40_000_000;

/** All names together, in characters; a kernel of 200,000 symbols has about 5 million. */
const TEXT_LIMIT = 1 << 26;

/** @returns undefined when the image has no kallsyms tables; no symbols and a warning when they cannot be read. */
export function readKallsyms(image: Pick<ElfImage, 'segments'>): Kallsyms | undefined {
  const { segments } = image;
  const extent = {
    from: Math.min(...segments.map(segment => segment.virtual)),
    to: Math.max(...segments.map(segment => segment.virtual + segment.memorySize)),
  };
  const work = { left: WORK_LIMIT };
  let unread: Kallsyms | undefined;
  for (const segment of segments) {
    const rodata = rodataOf(segment);
    for (const tokens of findTokenTables(rodata, work)) {
      const found = readTables(rodata, tokens, extent, work);
      if (typeof found !== 'string') return { symbols: found, warnings: [] };
      unread ??= unreadable((rodata.virtual + tokens.at) >>> 0, found);
      if (work.left <= 0) return unread;
    }
  }
  return unread;
}

function unreadable(address: number, problem: string): Kallsyms {
  const message = `the kallsyms token table at virtual ${hex(address)} ${problem}; names are not shown`;
  return { symbols: [], warnings: [{ code: 'kallsyms-unreadable', message }] };
}

function readTables(
  rodata: Rodata,
  tokens: TokenTable,
  image: Extent,
  work: Work,
): readonly KernelSymbol[] | string {
  const names = findNames(rodata, tokens, work);
  if (names === undefined) return 'has no names and markers before it that agree with each other';
  const addresses = findAddresses(rodata, tokens, names, image, work);
  if (addresses === undefined) {
    return `has ${names.count} names before it, but no ascending addresses inside the image beside them`;
  }
  return (
    readSymbols(rodata, tokens, names, addresses) ??
    `has names of more than ${NAME_LIMIT} characters, or ${TEXT_LIMIT} of all together`
  );
}

/** The names' characters are put together as bytes and decoded at once: a string for each token is what takes the time. */
function readSymbols(
  { bytes }: Rodata,
  tokens: TokenTable,
  names: Names,
  addresses: Uint32Array,
): readonly KernelSymbol[] | undefined {
  const ends = new Uint32Array(names.count);
  const characters = expand(bytes, tokens, names, ends);
  if (characters === undefined) return undefined;
  const text = new TextDecoder('latin1').decode(characters);
  const entries: Ranked[] = [];
  let start = 0;
  ends.forEach((end, index) => {
    // The first character is nm's type letter.
    const letter = text.charAt(start);
    const name = text.slice(start + 1, end);
    start = end;
    const lower = letter.toLowerCase();
    if (name === '' || lower === 'a' || lower === 'u' || lower === 'n') return;
    entries.push({
      symbol: { name, address: addresses[index] ?? 0, size: 0, kind: mapKind(lower) },
      local: letter === lower,
    });
  });
  return sorted(entries);
}

/**
 * @param ends gets the end of each name in the result.
 * @returns the type letters and names of all symbols, one after the other; undefined when one is longer than a name can be.
 */
function expand(
  bytes: Uint8Array,
  { starts, lengths }: TokenTable,
  { at: from, count, wideLengths }: Names,
  ends: Uint32Array,
): Uint8Array | undefined {
  let text = new Uint8Array(count * 32 + NAME_LIMIT);
  let at = from;
  let end = 0;
  for (let name = 0; name < count; name++) {
    if (end + NAME_LIMIT > text.length) {
      if (text.length > TEXT_LIMIT) return undefined;
      const larger = new Uint8Array(text.length * 2);
      larger.set(text);
      text = larger;
    }
    let length = bytes[at++] ?? 0;
    if (wideLengths && length > 0x7f) length = (length & 0x7f) | ((bytes[at++] ?? 0) << 7);
    const limit = end + NAME_LIMIT;
    for (const stop = at + length; at < stop; at++) {
      const token = bytes[at] ?? 0;
      const tokenStart = starts[token] ?? 0;
      const tokenLength = lengths[token] ?? 0;
      if (end + tokenLength > limit) return undefined;
      for (let index = 0; index < tokenLength; index++) text[end++] = bytes[tokenStart + index] ?? 0;
    }
    ends[name] = end;
  }
  return text.subarray(0, end);
}
