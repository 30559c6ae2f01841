/**
 * ELF32 i386 executables: gABI. `elfy` reads the tables, after elf-check.ts has found them whole; p_type, sh_type and flags
 * are read here, because its name maps lose the numbers.
 */
import elfy from 'elfy';
import { byteText, hex, u16, u32 } from './bytes.ts';
import { checkElfHeader, checkLoadSegment, checkOverlap } from './elf-check.ts';
import * as elf from './elf-constants.ts';
import { type RawSection, readSections } from './elf-sections.ts';
import { findEntry } from './entry.ts';
import {
  type ElfImage,
  KernelImageError,
  type ProgramHeader,
  type Segment,
  type Warning,
} from './kernel-image.ts';
import { readMultibootHeader } from './multiboot.ts';
import { readElfNotes } from './notes.ts';
import { readSymbolTable } from './symbols.ts';

/** The longest `__xen_guest` string that is read; real ones have about 200 bytes. */
const XEN_GUEST_LIMIT = 4096;

export type ElfContents = Omit<ElfImage, 'name' | 'size' | 'sha256'>;

/**
 * @param bytes the whole file; segments are views of it.
 * @param name as the user named the file, for messages.
 * @throws {KernelImageError} when the kernel cannot be loaded; what a run can do without becomes a warning.
 */
export function readElf(bytes: Uint8Array, name: string): ElfContents {
  checkElfHeader(bytes, name);
  const warnings: Warning[] = [];
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parser = new elfy.Parser();
  const { header, programs } = parsed(name, () => {
    const header = parser.parseHeader(file);
    return { header, programs: parser.parsePrograms(file, header) };
  });

  const programHeaders = readProgramHeaders(programs, bytes, header.phoff);
  const segments = readSegments(programHeaders, bytes, header.phoff, name);
  checkOverlap(segments, name);
  if (findEntry({ entry: header.entry, segments }) === undefined) {
    throw new KernelImageError(
      'entry-outside-segments',
      `${name}: e_entry at offset ${hex(elf.E_ENTRY)} is ${hex(header.entry)}; expected an address inside a PT_LOAD segment (${describeRanges(segments)})`,
    );
  }

  const sections = parsed(name, () =>
    readSections(header, () => parser.parseSections(file, header), bytes, warnings),
  );
  const xenGuest = readXenGuest(bytes, sections);
  const multiboot = readMultibootHeader(bytes);
  return {
    format: 'elf',
    type: u16(bytes, elf.E_TYPE) === elf.ET_DYN ? 'ET_DYN' : 'ET_EXEC',
    entry: header.entry,
    programHeaders,
    sections: sections.map(({ name, type, flags, address, offset, size }) => ({
      name,
      type,
      flags,
      address,
      offset,
      size,
    })),
    segments,
    notes: readElfNotes(bytes, programHeaders, sections, warnings),
    symbols: readSymbolTable(bytes, sections, warnings),
    warnings,
    ...(xenGuest !== undefined && { xenGuest }),
    ...(multiboot && { multiboot }),
  };
}

/** `elfy` throws plain errors; after the checks none is known to be left. */
function parsed<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new KernelImageError(
      'elf-unreadable',
      `${name}: the ELF tables cannot be read (${reason}); expected ELF32`,
    );
  }
}

const MAX_RANGES_SHOWN = 4;

function describeRanges(segments: readonly Segment[]): string {
  const ranges = segments.slice(0, MAX_RANGES_SHOWN).map(({ name, physical, virtual, memorySize }) => {
    const size = hex(memorySize);
    const alias = physical === virtual ? '' : `, virtual ${hex(virtual)}+${size}`;
    return `${name}: physical ${hex(physical)}+${size}${alias}`;
  });
  return `${ranges.join('; ')}${segments.length > MAX_RANGES_SHOWN ? '; ...' : ''}`;
}

function readProgramHeaders(
  programs: ReturnType<InstanceType<typeof elfy.Parser>['parsePrograms']>,
  bytes: Uint8Array,
  tableOffset: number,
): ProgramHeader[] {
  return programs.map((program, index) => {
    const at = tableOffset + index * elf.PHDR_SIZE;
    const type = u32(bytes, at);
    return {
      type,
      typeName: elf.programTypeName(type),
      offset: program.offset,
      virtual: program.vaddr,
      physical: program.paddr,
      fileSize: program.filesz,
      memorySize: program.memsz,
      flags: u32(bytes, at + 24), // p_flags
      align: program.align,
    };
  });
}

/** The PT_LOAD segments that take memory; an empty one keeps its number but is no segment. */
function readSegments(
  programHeaders: readonly ProgramHeader[],
  bytes: Uint8Array,
  tableOffset: number,
  name: string,
): Segment[] {
  const segments: Segment[] = [];
  let loads = 0;
  programHeaders.forEach((header, index) => {
    if (header.type !== elf.PT_LOAD) return;
    const label = `LOAD ${loads++}`;
    checkLoadSegment(header, label, tableOffset + index * elf.PHDR_SIZE, bytes.length, name);
    if (header.memorySize === 0) return;
    segments.push({
      name: label,
      physical: header.physical,
      virtual: header.virtual,
      contents: bytes.subarray(header.offset, header.offset + header.fileSize),
      memorySize: header.memorySize,
      fileOffset: header.offset,
      readable: (header.flags & elf.PF_R) !== 0,
      writable: (header.flags & elf.PF_W) !== 0,
      executable: (header.flags & elf.PF_X) !== 0,
    });
  });
  if (segments.length === 0) {
    throw new KernelImageError(
      'no-load-segment',
      `${name}: none of the ${programHeaders.length} program headers at offset ${hex(tableOffset)} is a PT_LOAD with p_memsz > 0; expected at least one`,
    );
  }
  return segments;
}

/** The old-style guest description of Xen 3.0.2 and earlier: xen/common/libelf/libelf-dominfo.c. */
function readXenGuest(bytes: Uint8Array, sections: readonly RawSection[]): string | undefined {
  const section = sections.find(({ name, type }) => name === '__xen_guest' && type !== elf.SHT_NOBITS);
  if (section === undefined || section.offset + section.size > bytes.length) return undefined;
  const field = bytes.subarray(section.offset, section.offset + Math.min(section.size, XEN_GUEST_LIMIT));
  const text = byteText(field);
  const nul = text.indexOf('\0');
  return nul < 0 ? text : text.slice(0, nul);
}
