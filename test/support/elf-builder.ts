/**
 * Builds ELF32 files by hand, field by field (gABI ch. 4 and 5), so that tests say exactly what is in the file and may
 * say something wrong. Layout: header, program headers, contents in order, then string tables and section headers.
 */

export interface SegmentSpec {
  /** p_type; PT_LOAD (1) by default. */
  readonly type?: number;
  readonly physical?: number;
  /** p_vaddr; p_paddr by default. */
  readonly virtual?: number;
  readonly contents?: Uint8Array;
  /** p_memsz; the length of the contents by default. */
  readonly memorySize?: number;
  /** p_filesz, when it is to differ from the length of the contents. */
  readonly fileSize?: number;
  /** p_offset, when it is to differ from where the contents are. */
  readonly offset?: number;
  /** p_flags; R+W+X (7) by default. */
  readonly flags?: number;
}

export interface SectionSpec {
  readonly name: string;
  readonly type: number;
  readonly address?: number;
  readonly contents?: Uint8Array;
  readonly offset?: number;
  readonly size?: number;
  readonly link?: number;
  readonly entrySize?: number;
}

export interface SymbolSpec {
  readonly name: string;
  readonly address: number;
  readonly size?: number;
  /** STT_*: 0 NOTYPE, 1 OBJECT, 2 FUNC, 3 SECTION, 4 FILE. */
  readonly type?: number;
  /** STB_*: 0 LOCAL, 1 GLOBAL (by default). */
  readonly binding?: number;
  /** st_shndx; 1 by default. */
  readonly section?: number;
}

export interface ElfSpec {
  readonly segments?: readonly SegmentSpec[];
  readonly entry?: number;
  /** With these there is a section header table: NULL, then these, then .shstrtab. */
  readonly sections?: readonly SectionSpec[];
  /** Adds .symtab and .strtab after the sections. */
  readonly symbols?: readonly SymbolSpec[];
}

export const PT_LOAD = 1;
export const PT_NOTE = 4;
export const SHT_PROGBITS = 1;
export const SHT_SYMTAB = 2;
export const SHT_STRTAB = 3;
export const SHT_NOTE = 7;

const EHDR_SIZE = 52;
const PHDR_SIZE = 32;
const SHDR_SIZE = 40;
const SYM_SIZE = 16;

export function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function bytesOf(...parts: (readonly number[] | Uint8Array)[]): Uint8Array {
  return Uint8Array.from(parts.flatMap(part => [...part]));
}

export function le32(...values: number[]): Uint8Array {
  return Uint8Array.from(values.flatMap(value => [0, 8, 16, 24].map(shift => (value >>> shift) & 0xff)));
}

function pad4(bytes: Uint8Array): Uint8Array {
  return bytesOf(bytes, new Uint8Array(-bytes.length & 3));
}

/** One note; `owner` gets its NUL here. */
export function note(owner: string, type: number, description: Uint8Array): Uint8Array {
  const name = ascii(`${owner}\0`);
  return bytesOf(le32(name.length, description.length, type), pad4(name), pad4(description));
}

/** A string table and the offset of each name. */
function stringTable(names: readonly string[]): {
  readonly bytes: Uint8Array;
  readonly offsets: readonly number[];
} {
  const offsets: number[] = [];
  let text = '\0';
  for (const name of names) {
    offsets.push(text.length);
    text += `${name}\0`;
  }
  return { bytes: ascii(text), offsets };
}

function symbolTable(symbols: readonly SymbolSpec[]): {
  readonly table: Uint8Array;
  readonly strings: Uint8Array;
} {
  const strings = stringTable(symbols.map(symbol => symbol.name));
  const entries = symbols.map((symbol, index) => {
    const { address, size = 0, type = 0, binding = 1, section = 1 } = symbol;
    const info = (binding << 4) | type;
    return bytesOf(le32(strings.offsets[index] ?? 0, address, size), [
      info,
      0,
      section & 0xff,
      section >>> 8,
    ]);
  });
  return { table: bytesOf(new Uint8Array(SYM_SIZE), ...entries), strings: strings.bytes };
}

function allSections(spec: ElfSpec): readonly SectionSpec[] {
  const own = [{ name: '', type: 0 }, ...(spec.sections ?? [])];
  if (spec.symbols === undefined) return own;
  const { table, strings } = symbolTable(spec.symbols);
  return [
    ...own,
    { name: '.symtab', type: SHT_SYMTAB, contents: table, link: own.length + 1, entrySize: SYM_SIZE },
    { name: '.strtab', type: SHT_STRTAB, contents: strings },
  ];
}

export function buildElf(spec: ElfSpec = {}): Uint8Array {
  const segments = spec.segments ?? [{ physical: 0x100000, contents: Uint8Array.of(0xfc, 0xfa) }];
  const parts: Uint8Array[] = [];
  let at = EHDR_SIZE + segments.length * PHDR_SIZE;
  const append = (bytes: Uint8Array): number => {
    const padded = pad4(bytes);
    parts.push(padded);
    at += padded.length;
    return at - padded.length;
  };

  const programHeaders = segments.map(segment => {
    const contents = segment.contents ?? new Uint8Array(0);
    const offset = append(contents);
    const physical = segment.physical ?? 0;
    return le32(
      segment.type ?? PT_LOAD,
      segment.offset ?? offset,
      segment.virtual ?? physical,
      physical,
      segment.fileSize ?? contents.length,
      segment.memorySize ?? contents.length,
      segment.flags ?? 7,
      4,
    );
  });

  let sectionHeaders: Uint8Array[] = [];
  let sectionOffset = 0;
  if (spec.sections !== undefined || spec.symbols !== undefined) {
    const sections = [...allSections(spec), { name: '.shstrtab', type: SHT_STRTAB }];
    const names = stringTable(sections.map(section => section.name));
    sectionHeaders = sections.map((section: SectionSpec, index) => {
      const contents = section.contents ?? (index === sections.length - 1 ? names.bytes : new Uint8Array(0));
      const offset = append(contents);
      return le32(
        names.offsets[index] ?? 0,
        section.type,
        0,
        section.address ?? 0,
        section.offset ?? offset,
        section.size ?? contents.length,
        section.link ?? 0,
        0,
        4,
        section.entrySize ?? 0,
      );
    });
    sectionOffset = at;
  }

  const count = sectionHeaders.length;
  const header = bytesOf(
    [0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [2, 0, 3, 0], // ET_EXEC, EM_386
    le32(1, spec.entry ?? 0x100000, segments.length > 0 ? EHDR_SIZE : 0, sectionOffset, 0),
    [EHDR_SIZE, 0, PHDR_SIZE, 0, segments.length & 0xff, segments.length >>> 8],
    [SHDR_SIZE, 0, count & 0xff, count >>> 8, count === 0 ? 0 : count - 1, 0],
  );
  return bytesOf(header, ...programHeaders, ...parts, ...sectionHeaders);
}

/** A copy with some bytes replaced. */
export function patched(
  bytes: Uint8Array,
  offset: number,
  values: readonly number[] | Uint8Array,
): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, offset);
  return copy;
}
