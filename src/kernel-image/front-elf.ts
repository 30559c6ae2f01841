/**
 * An ELF header at the start of a bzImage: proposed in 2006, never merged (linux-kernel, 2006-08-01, "[PATCH 11/33] i386 boot:
 * Add an ELF header to bzImage"). The setup header stays where it is, so the file is both.
 */
import { hex, u16, u32 } from './bytes.ts';
import * as elf from './elf-constants.ts';
import type { FrontElf, ProgramHeader, Warning } from './kernel-image.ts';
import { readElfNotes } from './notes.ts';

/**
 * The first four bytes. The changed magic is this project's own: 0x7f 0x45 is the instruction jg +0x45, and 0xeb 0x45 jumps to the
 * same place always.
 */
export const FRONT_MAGIC: Readonly<Record<'elf' | 'munged', readonly number[]>> = {
  elf: elf.ELF_MAGIC,
  munged: [0xeb, 0x45, 0x4c, 0x46],
};

/**
 * @param bytes the whole file, with "HdrS" at 0x202
 * @returns undefined when it starts with neither magic, or, with a warning, when the header makes no sense
 */
export function readFrontElf(bytes: Uint8Array, warnings: Warning[]): FrontElf | undefined {
  const startsWith = (magic: readonly number[]): boolean =>
    magic.every((byte, index) => bytes[index] === byte);
  const munged = startsWith(FRONT_MAGIC.munged);
  if (!munged && !startsWith(FRONT_MAGIC.elf)) return undefined;
  const type = u16(bytes, elf.E_TYPE);
  const table = u32(bytes, elf.E_PHOFF);
  const count = u16(bytes, elf.E_PHNUM);
  const refuse = (found: string): undefined => {
    warnings.push({
      code: 'front-elf',
      message: `the ELF header at the start of this bzImage is not read: ${found}`,
    });
    return undefined;
  };
  if (bytes[elf.EI_CLASS] !== elf.ELFCLASS32 || bytes[elf.EI_DATA] !== elf.ELFDATA2LSB)
    return refuse('it is not that of a little-endian ELF32 file');
  if (u16(bytes, elf.E_MACHINE) !== elf.EM_386 || (type !== elf.ET_EXEC && type !== elf.ET_DYN))
    return refuse(
      `e_type is ${type} and e_machine is ${u16(bytes, elf.E_MACHINE)}; expected 2 or 3 and 3 (EM_386)`,
    );
  if (u16(bytes, elf.E_PHENTSIZE) !== elf.PHDR_SIZE || table + count * elf.PHDR_SIZE > bytes.length)
    return refuse(`${count} program headers at offset ${hex(table)} are not inside the file`);
  const programHeaders = Array.from({ length: count }, (_, index) =>
    readProgramHeader(bytes, table + index * elf.PHDR_SIZE),
  );
  return {
    type: type === elf.ET_DYN ? 'ET_DYN' : 'ET_EXEC',
    entry: u32(bytes, elf.E_ENTRY),
    programHeaders,
    notes: readElfNotes(bytes, programHeaders, [], warnings),
    munged,
  };
}

/** gABI ch. 5, "Program Header". */
function readProgramHeader(bytes: Uint8Array, at: number): ProgramHeader {
  const type = u32(bytes, at);
  return {
    type,
    typeName: elf.programTypeName(type),
    offset: u32(bytes, at + 4),
    virtual: u32(bytes, at + 8),
    physical: u32(bytes, at + 12),
    fileSize: u32(bytes, at + 16),
    memorySize: u32(bytes, at + 20),
    flags: u32(bytes, at + 24),
    align: u32(bytes, at + 28),
  };
}
