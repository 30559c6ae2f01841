/**
 * Makes the tables that scripts/kallsyms.c puts into a kernel, in the order and form of each version, from its description
 * of them: every byte that no name uses stands for the two bytes that most often follow each other, as long as there are any.
 */
import { ascii, bytesOf, le32 } from './elf-builder.ts';

export interface KallsymsEntry {
  readonly name: string;
  /** nm's letter. */
  readonly type: string;
  readonly address: number;
}

export interface KallsymsLayout {
  /** 2.6.10 to 6.3: before the names; 6.4: after the token index. */
  readonly addressesAt: 'before' | 'after';
  /**
   * `absolute`: kallsyms_addresses; `relative`: kallsyms_offsets and a base; `percpu`: the same with
   * CONFIG_KALLSYMS_ABSOLUTE_PERCPU; `place`: from where each word is, without a base.
   */
  readonly addresses: 'absolute' | 'relative' | 'percpu' | 'place';
  /** kallsyms_seqs_of_names: between the markers and the tokens (6.2), or at the very end (6.4). */
  readonly sequence?: 'middle' | 'end';
  /** 6.1: a length above 127 has two bytes; before, one. */
  readonly wideLengths: boolean;
}

export const KALLSYMS_LAYOUTS = {
  '2.6.10': { addressesAt: 'before', addresses: 'absolute', wideLengths: false },
  '4.6': { addressesAt: 'before', addresses: 'relative', wideLengths: false },
  '4.6 with absolute per-CPU symbols': { addressesAt: 'before', addresses: 'percpu', wideLengths: false },
  '4.6 without a base': { addressesAt: 'before', addresses: 'absolute', wideLengths: false },
  '6.1': { addressesAt: 'before', addresses: 'relative', wideLengths: true },
  '6.2': { addressesAt: 'before', addresses: 'relative', sequence: 'middle', wideLengths: true },
  '6.4': { addressesAt: 'after', addresses: 'relative', sequence: 'end', wideLengths: true },
  '6.4 with absolute per-CPU symbols': {
    addressesAt: 'after',
    addresses: 'percpu',
    sequence: 'end',
    wideLengths: true,
  },
  '6.4 without a base': {
    addressesAt: 'after',
    addresses: 'absolute',
    sequence: 'end',
    wideLengths: true,
  },
  'offsets from their own place': {
    addressesAt: 'after',
    addresses: 'place',
    sequence: 'end',
    wideLengths: true,
  },
} as const satisfies Record<string, KallsymsLayout>;

export interface BuiltKallsyms {
  readonly bytes: Uint8Array;
  /** Offsets of the tables in `bytes`. */
  readonly at: Readonly<Record<'count' | 'names' | 'markers' | 'tokens' | 'index' | 'addresses', number>>;
  /** Tokens of the longest name. */
  readonly longest: number;
}

/**
 * @param entries sorted by address, as the kernel's are.
 * @param virtual where the tables will be: a multiple of 4.
 */
export function buildKallsyms(
  entries: readonly KallsymsEntry[],
  layout: KallsymsLayout,
  virtual: number,
): BuiltKallsyms {
  const { tokens, names } = compress(entries.map(({ type, name }) => [...ascii(type + name)]));
  const parts: Uint8Array[] = [];
  let size = 0;
  const append = (bytes: Uint8Array): number => {
    const padded = bytesOf(bytes, new Uint8Array(-bytes.length & 3));
    parts.push(padded);
    size += padded.length;
    return size - padded.length;
  };
  const appendAddresses = (): number => {
    const at = append(le32(...encodeAddresses(entries, layout, virtual + size)));
    if (layout.addresses === 'relative' || layout.addresses === 'percpu') append(le32(baseOf(entries)));
    return at;
  };
  const sequence = bytesOf(...entries.map((_, index) => [index >>> 16, (index >>> 8) & 0xff, index & 0xff]));

  const before = layout.addressesAt === 'before' ? appendAddresses() : undefined;
  const count = append(le32(entries.length));
  const markers: number[] = [];
  const stream: number[] = [];
  names.forEach((name, index) => {
    if (index % 256 === 0) markers.push(stream.length);
    if (layout.wideLengths && name.length > 0x7f) stream.push((name.length & 0x7f) | 0x80, name.length >> 7);
    else stream.push(name.length);
    stream.push(...name);
  });
  const namesAt = append(Uint8Array.from(stream));
  const markersAt = append(le32(...markers));
  if (layout.sequence === 'middle') append(sequence);
  const strings: number[] = [];
  const index: number[] = [];
  for (const token of tokens) {
    index.push(strings.length & 0xff, strings.length >> 8);
    strings.push(...token, 0);
  }
  const tokensAt = append(Uint8Array.from(strings));
  const indexAt = append(Uint8Array.from(index));
  const addresses = before ?? appendAddresses();
  if (layout.sequence === 'end') append(sequence);
  return {
    bytes: bytesOf(...parts),
    at: { count, names: namesAt, markers: markersAt, tokens: tokensAt, index: indexAt, addresses },
    longest: Math.max(...names.map(name => name.length)),
  };
}

const isAbsolute = ({ type }: KallsymsEntry): boolean => type.toLowerCase() === 'a';

/** The lowest address that is none of a number. */
function baseOf(entries: readonly KallsymsEntry[]): number {
  return entries.find(entry => !isAbsolute(entry))?.address ?? 0;
}

function encodeAddresses(
  entries: readonly KallsymsEntry[],
  { addresses }: KallsymsLayout,
  virtual: number,
): number[] {
  const base = baseOf(entries);
  return entries.map((entry, index) => {
    const { address } = entry;
    if (addresses === 'absolute') return address;
    if (addresses === 'place') return address - (virtual + index * 4);
    if (addresses === 'relative') return address - base;
    return isAbsolute(entry) ? address : base - address - 1;
  });
}

/** Names as tokens, and what each of the 256 tokens stands for. */
function compress(texts: readonly (readonly number[])[]): {
  readonly tokens: readonly (readonly number[])[];
  readonly names: readonly (readonly number[])[];
} {
  const tokens: (readonly number[])[] = Array.from({ length: 256 }, () => []);
  for (const byte of texts.flat()) tokens[byte] = [byte];
  let names = texts;
  for (let token = 255; token >= 0; token--) {
    if (tokens[token]?.length !== 0) continue;
    const pair = mostFrequentPair(names);
    if (pair === undefined) break;
    const [first, second] = pair;
    tokens[token] = [...(tokens[first] ?? []), ...(tokens[second] ?? [])];
    names = names.map(name => replacePair(name, pair, token));
  }
  return { tokens, names };
}

function mostFrequentPair(names: readonly (readonly number[])[]): readonly [number, number] | undefined {
  const counts = new Uint32Array(0x1_0000);
  let most = 0;
  let best = 0;
  for (const name of names) {
    for (let at = 0; at + 1 < name.length; at++) {
      const pair = ((name[at] ?? 0) << 8) | (name[at + 1] ?? 0);
      const count = (counts[pair] ?? 0) + 1;
      counts[pair] = count;
      if (count > most) {
        most = count;
        best = pair;
      }
    }
  }
  return most === 0 ? undefined : [best >> 8, best & 0xff];
}

function replacePair(
  name: readonly number[],
  pair: readonly [number, number],
  token: number,
): readonly number[] {
  if (!name.includes(pair[0])) return name;
  const result: number[] = [];
  for (let at = 0; at < name.length; at++) {
    if (name[at] === pair[0] && name[at + 1] === pair[1]) {
      result.push(token);
      at++;
    } else {
      result.push(name[at] ?? 0);
    }
  }
  return result;
}
