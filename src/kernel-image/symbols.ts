/** Symbols of an ELF file's `.symtab`, and of a System.map. */
import { byteText, hex, printable, u16, u32 } from './bytes.ts';
import * as elf from './elf-constants.ts';
import type { RawSection } from './elf-sections.ts';
import type { KernelSymbol, Warning } from './kernel-image.ts';

/** KSYM_NAME_LEN of Linux 6.1; a longer name is cut, which also bounds the work on a damaged string table. */
const NAME_LIMIT = 512;

const STB_LOCAL = 0;

const KINDS: Readonly<Record<number, KernelSymbol['kind']>> = {
  [elf.STT_NOTYPE]: 'other',
  [elf.STT_OBJECT]: 'object',
  [elf.STT_FUNC]: 'function',
  [elf.STT_GNU_IFUNC]: 'function',
};

export interface Ranked {
  readonly symbol: KernelSymbol;
  readonly local: boolean;
}

const KIND_RANK: Readonly<Record<KernelSymbol['kind'], number>> = { function: 0, object: 1, other: 2 };

/** By address; at one address the name that says most comes first: functions, then objects, then labels, global before local. */
export function sorted(entries: Ranked[]): KernelSymbol[] {
  return entries
    .sort(
      (a, b) =>
        a.symbol.address - b.symbol.address ||
        KIND_RANK[a.symbol.kind] - KIND_RANK[b.symbol.kind] ||
        Number(a.local) - Number(b.local),
    )
    .map(entry => entry.symbol);
}

/**
 * The symbols that name an address in a section: functions, objects and labels. Undefined and absolute symbols, section,
 * file and TLS symbols and assembler-local labels (`.L`) are left out.
 */
export function readSymbolTable(
  bytes: Uint8Array,
  sections: readonly RawSection[],
  warnings: Warning[],
): KernelSymbol[] {
  const table = sections.find(section => section.type === elf.SHT_SYMTAB);
  if (table === undefined) return [];
  const unreadable = (problem: string): KernelSymbol[] => {
    warnings.push({
      code: 'symbol-table-unreadable',
      message: `the symbol table at offset ${hex(table.offset)} ${problem}; names are not shown`,
    });
    return [];
  };
  if (table.entrySize !== elf.SYM_SIZE)
    return unreadable(`has sh_entsize ${table.entrySize}, not ${elf.SYM_SIZE}`);
  if (table.offset + table.size > bytes.length) {
    return unreadable(`has ${hex(table.size)} bytes and ends after the file of ${hex(bytes.length)} bytes`);
  }
  const strings = sections[table.link];
  if (strings === undefined || strings.type !== elf.SHT_STRTAB) {
    return unreadable(`has sh_link ${table.link}, which is no string table`);
  }
  if (strings.offset + strings.size > bytes.length) {
    return unreadable(
      `has its names at offset ${hex(strings.offset)}, ${hex(strings.size)} bytes, which end after the file of ${hex(bytes.length)} bytes`,
    );
  }
  return readEntries(bytes, table, strings, warnings);
}

function readEntries(
  bytes: Uint8Array,
  table: RawSection,
  strings: RawSection,
  warnings: Warning[],
): KernelSymbol[] {
  const names = byteText(bytes.subarray(strings.offset, strings.offset + strings.size));
  const entries: Ranked[] = [];
  let nameless = 0;
  const end = table.offset + Math.floor(table.size / elf.SYM_SIZE) * elf.SYM_SIZE;
  for (let at = table.offset; at < end; at += elf.SYM_SIZE) {
    const info = bytes[at + 12] ?? 0; // st_info
    const section = u16(bytes, at + 14); // st_shndx
    const kind = KINDS[info & 0xf];
    if (kind === undefined || section === elf.SHN_UNDEF) continue;
    if (section >= elf.SHN_LORESERVE && section !== elf.SHN_XINDEX) continue;
    const start = u32(bytes, at);
    if (start >= names.length) {
      nameless++;
      continue;
    }
    const field = names.slice(start, start + NAME_LIMIT);
    const nul = field.indexOf('\0');
    const name = nul < 0 ? field : field.slice(0, nul);
    if (name === '' || name.startsWith('.L')) continue;
    entries.push({
      symbol: { name: printable(name), address: u32(bytes, at + 4), size: u32(bytes, at + 8), kind },
      local: info >>> 4 === STB_LOCAL,
    });
  }
  if (nameless > 0) {
    warnings.push({
      code: 'symbol-name-outside-table',
      message: `${nameless} symbols of the table at offset ${hex(table.offset)} have names outside the string table at offset ${hex(strings.offset)}; they are left out`,
    });
  }
  return sorted(entries);
}

export interface SystemMap {
  readonly symbols: KernelSymbol[];
  readonly warnings: Warning[];
}

/** `c1000000 T startup_32`, with nm's type letters; /proc/kallsyms adds a tab and `[module]`. */
const MAP_LINE = /^([0-9a-f]{8,16}) ([A-Za-z?]) (\S+)(?:[\t ]+\[[^\]]+\])?$/;
/** What Debian ships instead since 4.19: the map itself is in the -dbg package. */
const DEBIAN_STUB = /^f{16} B The real System\.map /;

/**
 * Reads the text of a System.map. Absolute symbols (nm's `A`), which name numbers, are left out.
 * Sizes are 0: the file does not hold them.
 */
export function parseSystemMap(text: string): SystemMap {
  const warnings: Warning[] = [];
  const entries: Ranked[] = [];
  let strange = 0;
  let wide = 0;
  let firstStrange = 0;
  if (DEBIAN_STUB.test(text)) {
    warnings.push({
      code: 'system-map-stub',
      message:
        'the System.map holds one line that says where the real one is (the linux-image-VERSION-dbg package); names are not shown',
    });
    return { symbols: [], warnings };
  }
  text.split('\n').forEach((rawLine, index) => {
    const line = rawLine.trimEnd();
    if (line === '') return;
    const match = MAP_LINE.exec(line);
    if (match === null) {
      if (strange++ === 0) firstStrange = index + 1;
      return;
    }
    const [, digits = '', letter = '', name = ''] = match;
    const address = Number.parseInt(digits, 16);
    if (address > 0xffff_ffff) {
      wide++;
      return;
    }
    const lower = letter.toLowerCase();
    if (lower === 'a' || lower === 'u' || lower === 'n') return;
    entries.push({
      symbol: { name: printable(name), address, size: 0, kind: mapKind(lower) },
      local: letter === lower,
    });
  });
  if (strange > 0) {
    warnings.push({
      code: 'system-map-malformed',
      message: `${strange} lines of the System.map, the first of them line ${firstStrange}, are not "address type name"; they are passed over`,
    });
  }
  if (wide > 0) {
    warnings.push({
      code: 'system-map-64-bit',
      message: `${wide} addresses of the System.map have more than 32 bits; they are passed over`,
    });
  }
  if (entries.length === 0 && strange === 0 && wide === 0) {
    warnings.push({
      code: 'system-map-empty',
      message: 'the System.map holds no symbols; names are not shown',
    });
  }
  return { symbols: sorted(entries), warnings };
}

/** @param letter of nm, in lower case. */
export function mapKind(letter: string): KernelSymbol['kind'] {
  if (letter === 't' || letter === 'w' || letter === 'i') return 'function';
  if (letter === 'b' || letter === 'd' || letter === 'r' || letter === 'v') return 'object';
  return 'other';
}
