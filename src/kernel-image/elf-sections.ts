/** Section headers name things and hold the symbols; a kernel runs without them, so nothing here is an error. */
import { hex, stringAt, u32 } from './bytes.ts';
import * as elf from './elf-constants.ts';
import type { SectionHeader, Warning } from './kernel-image.ts';

const SECTION_NAME_LIMIT = 256;

/** A section with what only the readers of this folder need. */
export interface RawSection extends SectionHeader {
  readonly link: number;
  readonly entrySize: number;
}

/** Of Elf32_Ehdr. */
interface SectionTable {
  readonly shoff: number;
  readonly shnum: number;
  readonly shentsize: number;
  readonly shstrndx: number;
}

/** Of Elf32_Shdr; `name` is an offset into the section names. */
interface ParsedSection {
  readonly name: number;
  readonly addr: number;
  readonly off: number;
  readonly size: number;
  readonly link: number;
  readonly entsize: number;
}

/**
 * @param parse reads the table, once it is known to be whole.
 * @returns the sections in file order; empty, with a warning, when the table cannot be read.
 */
export function readSections(
  table: SectionTable,
  parse: () => readonly ParsedSection[],
  bytes: Uint8Array,
  warnings: Warning[],
): RawSection[] {
  const { shoff, shnum, shentsize, shstrndx } = table;
  const unreadable = (message: string): RawSection[] => {
    warnings.push({ code: 'section-headers-unreadable', message });
    return [];
  };
  if (shoff === 0) return [];
  if (shnum === 0) {
    return unreadable(
      `e_shoff is ${hex(shoff)} but e_shnum at offset 0x30 is 0; section names and symbols are not read`,
    );
  }
  if (shentsize !== elf.SHDR_SIZE) {
    return unreadable(
      `e_shentsize at offset 0x2e is ${shentsize}, not ${elf.SHDR_SIZE}; section names and symbols are not read`,
    );
  }
  if (shoff + shnum * elf.SHDR_SIZE > bytes.length) {
    return unreadable(
      `${shnum} section headers at offset ${hex(shoff)} end after the file of ${hex(bytes.length)} bytes; section names and symbols are not read`,
    );
  }
  const raw = parse();
  const strings = raw[shstrndx];
  const names =
    strings !== undefined && strings.off + strings.size <= bytes.length
      ? bytes.subarray(strings.off, strings.off + strings.size)
      : undefined;
  if (names === undefined) {
    warnings.push({
      code: 'section-names-unreadable',
      message: `e_shstrndx at offset 0x32 is ${shstrndx}, which names no string table inside the file; sections have no names`,
    });
  }
  return raw.map((section, index) => {
    const at = shoff + index * elf.SHDR_SIZE;
    return {
      name: names === undefined ? '' : stringAt(names, section.name, SECTION_NAME_LIMIT),
      type: u32(bytes, at + 4), // sh_type
      flags: u32(bytes, at + 8), // sh_flags
      address: section.addr,
      offset: section.off,
      size: section.size,
      link: section.link,
      entrySize: section.entsize,
    };
  });
}
