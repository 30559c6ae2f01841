/** Numbers of the System V ABI (gABI ch. 4 and 5, i386 psABI) that an ELF32 i386 kernel uses. */

export const ELF_MAGIC: readonly number[] = [0x7f, 0x45, 0x4c, 0x46];

export const EI_CLASS = 4;
export const EI_DATA = 5;
export const ELFCLASS32 = 1;
export const ELFCLASS64 = 2;
export const ELFDATA2LSB = 1;
export const ELFDATA2MSB = 2;

/** Offsets in Elf32_Ehdr. */
export const E_TYPE = 0x10;
export const E_MACHINE = 0x12;
export const E_ENTRY = 0x18;
export const E_PHOFF = 0x1c;
export const E_PHENTSIZE = 0x2a;
export const E_PHNUM = 0x2c;

export const EHDR_SIZE = 52;
export const PHDR_SIZE = 32;
export const SHDR_SIZE = 40;
export const SYM_SIZE = 16;

export const ET_EXEC = 2;
export const ET_DYN = 3;
export const EM_386 = 3;
export const EM_X86_64 = 62;

/** e_phnum when the true count stands in section 0. */
export const PN_XNUM = 0xffff;

export const PT_LOAD = 1;
export const PT_NOTE = 4;
export const PF_X = 1;
export const PF_W = 2;
export const PF_R = 4;

export const SHT_SYMTAB = 2;
export const SHT_STRTAB = 3;
export const SHT_NOTE = 7;
export const SHT_NOBITS = 8;

export const SHN_UNDEF = 0;
/** From here up: SHN_ABS, SHN_COMMON and other indices that name no section. */
export const SHN_LORESERVE = 0xff00;
export const SHN_XINDEX = 0xffff;

export const STT_NOTYPE = 0;
export const STT_OBJECT = 1;
export const STT_FUNC = 2;
export const STT_GNU_IFUNC = 10;

const PROGRAM_TYPE_NAMES: Readonly<Record<number, string>> = {
  0: 'NULL',
  1: 'LOAD',
  2: 'DYNAMIC',
  3: 'INTERP',
  4: 'NOTE',
  5: 'SHLIB',
  6: 'PHDR',
  7: 'TLS',
  1685382480: 'GNU_EH_FRAME', // 0x6474e550
  1685382481: 'GNU_STACK',
  1685382482: 'GNU_RELRO',
  1685382483: 'GNU_PROPERTY',
};

/** As readelf prints it; an unknown type is its number in hex. */
export function programTypeName(type: number): string {
  return PROGRAM_TYPE_NAMES[type] ?? `0x${type.toString(16)}`;
}

const FILE_TYPE_NAMES: Readonly<Record<number, string>> = {
  0: 'ET_NONE',
  1: 'ET_REL',
  2: 'ET_EXEC',
  3: 'ET_DYN',
  4: 'ET_CORE',
};

export function fileTypeName(type: number): string {
  return FILE_TYPE_NAMES[type] ?? `type 0x${type.toString(16)}`;
}
