/**
 * What must hold before anyone reads an ELF file further: `elfy` validates nothing. Each check has one code and one sentence.
 */
import { hex, u16, u32 } from './bytes.ts';
import * as elf from './elf-constants.ts';
import { KernelImageError, type ProgramHeader, type Segment } from './kernel-image.ts';

const FOUR_GIB = 0x1_0000_0000;
const PAGE_SIZE = 0x1000;

export function isElf(bytes: Uint8Array): boolean {
  return elf.ELF_MAGIC.every((byte, index) => bytes[index] === byte);
}

/** @throws {KernelImageError} unless the header is that of a little-endian i386 executable with its program headers inside the file. */
export function checkElfHeader(bytes: Uint8Array, name: string): void {
  checkIdentity(bytes, name);
  const type = u16(bytes, elf.E_TYPE);
  if (type !== elf.ET_EXEC && type !== elf.ET_DYN) {
    throw new KernelImageError(
      'elf-type',
      `${name}: e_type at offset 0x10 is ${type} (${elf.fileTypeName(type)}); expected 2 (ET_EXEC) or 3 (ET_DYN)`,
    );
  }
  checkProgramHeaderTable(bytes, name);
}

function checkIdentity(bytes: Uint8Array, name: string): void {
  const fileClass = bytes[elf.EI_CLASS];
  const data = bytes[elf.EI_DATA];
  if (fileClass === elf.ELFCLASS64) {
    const isX86 =
      data === elf.ELFDATA2LSB &&
      bytes.length > elf.E_MACHINE + 1 &&
      u16(bytes, elf.E_MACHINE) === elf.EM_X86_64;
    throw new KernelImageError(
      'elf64',
      isX86
        ? `${name}: EI_CLASS at offset 0x4 is 2 (ELF64); expected 1 (ELF32), because a 64-bit vmlinux has no 32-bit entry (its bzImage has one)`
        : `${name}: EI_CLASS at offset 0x4 is 2 (ELF64); expected 1 (ELF32)`,
    );
  }
  if (bytes.length < elf.EHDR_SIZE) {
    throw new KernelImageError(
      'truncated-file',
      `${name}: the file ends at offset ${hex(bytes.length)}, inside its ELF header; expected at least ${hex(elf.EHDR_SIZE)} bytes`,
    );
  }
  if (fileClass !== elf.ELFCLASS32) {
    throw new KernelImageError(
      'elf-class',
      `${name}: EI_CLASS at offset 0x4 is ${fileClass}; expected 1 (ELF32)`,
    );
  }
  if (data !== elf.ELFDATA2LSB) {
    const found = data === elf.ELFDATA2MSB ? '2 (big-endian)' : `${data}`;
    throw new KernelImageError(
      data === elf.ELFDATA2MSB ? 'big-endian' : 'elf-data',
      `${name}: EI_DATA at offset 0x5 is ${found}; expected 1 (little-endian)`,
    );
  }
  const machine = u16(bytes, elf.E_MACHINE);
  if (machine !== elf.EM_386) {
    throw new KernelImageError(
      'not-i386',
      `${name}: e_machine at offset 0x12 is ${machine}; expected 3 (EM_386)`,
    );
  }
}

function checkProgramHeaderTable(bytes: Uint8Array, name: string): void {
  const offset = u32(bytes, elf.E_PHOFF);
  const count = u16(bytes, elf.E_PHNUM);
  const entrySize = u16(bytes, elf.E_PHENTSIZE);
  if (count === 0 || offset === 0) {
    throw new KernelImageError(
      'no-load-segment',
      `${name}: e_phoff at offset 0x1c is ${hex(offset)} and e_phnum at offset 0x2c is ${count}; expected program headers with at least one PT_LOAD`,
    );
  }
  if (count === elf.PN_XNUM) {
    throw new KernelImageError(
      'too-many-program-headers',
      `${name}: e_phnum at offset 0x2c is 0xffff (PN_XNUM: 65535 program headers or more); expected fewer`,
    );
  }
  if (entrySize !== elf.PHDR_SIZE) {
    throw new KernelImageError(
      'program-header-size',
      `${name}: e_phentsize at offset 0x2a is ${entrySize}; expected ${elf.PHDR_SIZE}`,
    );
  }
  const end = offset + count * elf.PHDR_SIZE;
  if (end > bytes.length) {
    throw new KernelImageError(
      'program-headers-outside-file',
      `${name}: ${count} program headers at offset ${hex(offset)} end at ${hex(end)}; expected them inside the file of ${hex(bytes.length)} bytes`,
    );
  }
}

/**
 * Checks one PT_LOAD.
 * @param where of its program header in the file, in bytes.
 * @throws {KernelImageError}
 */
export function checkLoadSegment(
  header: ProgramHeader,
  label: string,
  where: number,
  fileSize: number,
  name: string,
): void {
  const at = `${name}: ${label} (program header at offset ${hex(where)})`;
  if (header.fileSize > header.memorySize) {
    throw new KernelImageError(
      'segment-file-size',
      `${at} has p_filesz ${hex(header.fileSize)} and p_memsz ${hex(header.memorySize)}; expected p_filesz <= p_memsz`,
    );
  }
  const end = header.offset + header.fileSize;
  if (header.fileSize > 0 && end > fileSize) {
    throw new KernelImageError(
      'segment-outside-file',
      `${at} has its contents at offsets ${hex(header.offset)} to ${hex(end)}; expected them inside the file of ${hex(fileSize)} bytes`,
    );
  }
  // In whole pages this is 4 GiB or more, which leaves no page for anything else.
  if (header.memorySize > FOUR_GIB - PAGE_SIZE) {
    throw new KernelImageError(
      'segment-too-big',
      `${at} has p_memsz ${hex(header.memorySize)}, in pages 4 GiB; expected at most ${hex(FOUR_GIB - PAGE_SIZE)}`,
    );
  }
  if (header.physical + header.memorySize > FOUR_GIB) {
    throw new KernelImageError(
      'segment-wraps',
      `${at} has p_paddr ${hex(header.physical)} and p_memsz ${hex(header.memorySize)}, which ends at ${hex(header.physical + header.memorySize)}; expected an end of at most ${hex(FOUR_GIB)}`,
    );
  }
}

/** @throws {KernelImageError} when two segments share a physical byte. */
export function checkOverlap(segments: readonly Segment[], name: string): void {
  const sorted = [...segments].sort((a, b) => a.physical - b.physical);
  sorted.forEach((segment, index) => {
    const next = sorted[index + 1];
    const end = segment.physical + segment.memorySize;
    if (next !== undefined && next.physical < end) {
      throw new KernelImageError(
        'segments-overlap',
        `${name}: ${segment.name} ends at physical ${hex(end)} (contents at offset ${hex(segment.fileOffset)}) and ${next.name} starts at ${hex(next.physical)} (contents at offset ${hex(next.fileOffset)}); expected segments that do not overlap`,
      );
    }
  });
}
