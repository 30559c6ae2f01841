/**
 * KernelImage: what a kernel file says about itself. Plain data from bytes; knows no CPU and no boot protocol.
 */
import type { SetupHeader } from './setup-header.ts';

/** A PT_LOAD segment (or the one pseudo-segment of a bzImage). Addresses and sizes in bytes. */
export interface Segment {
  /** `LOAD 0`, `LOAD 1` … in file order, or `protected-mode code`. */
  readonly name: string;
  readonly physical: number;
  readonly virtual: number;
  /** At most `memorySize` bytes; the rest is zero. */
  readonly contents: Uint8Array;
  readonly memorySize: number;
  readonly fileOffset: number;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
}

export interface Note {
  readonly owner: string;
  readonly type: number;
  readonly description: Uint8Array;
  /** In the file. */
  readonly offset: number;
}

export interface KernelSymbol {
  readonly name: string;
  /** As in the symbol table: a virtual (link) address. */
  readonly address: number;
  /** Bytes; 0 when the table does not say. */
  readonly size: number;
  readonly kind: 'function' | 'object' | 'other';
}

/** Where the symbols are from; `kallsyms`: the kernel's own tables, in an image without a symbol table. */
export type SymbolSource = 'symbol table' | 'System.map' | 'kallsyms';

/** A problem with a part of the file that a run can do without. */
export interface Warning {
  readonly code: string;
  readonly message: string;
}

interface ImageCommon {
  /** As the user named the file; used in messages only. */
  readonly name: string;
  readonly size: number;
  /** Lower-case hex SHA-256 of the whole file. */
  readonly sha256: string;
  readonly segments: readonly Segment[];
  readonly notes: readonly Note[];
  /** Sorted by address. Empty when there is no table. */
  readonly symbols: readonly KernelSymbol[];
  /** Absent when there are none. */
  readonly symbolSource?: SymbolSource;
  readonly warnings: readonly Warning[];
}

export interface ProgramHeader {
  readonly type: number;
  readonly typeName: string;
  readonly offset: number;
  readonly virtual: number;
  readonly physical: number;
  readonly fileSize: number;
  readonly memorySize: number;
  readonly flags: number;
  readonly align: number;
}

export interface SectionHeader {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly address: number;
  readonly offset: number;
  readonly size: number;
}

export interface ElfImage extends ImageCommon {
  readonly format: 'elf';
  readonly type: 'ET_EXEC' | 'ET_DYN';
  /** e_entry: for a Linux vmlinux the physical address of startup_32. */
  readonly entry: number;
  readonly programHeaders: readonly ProgramHeader[];
  readonly sections: readonly SectionHeader[];
  /** Text of the section `__xen_guest`, the guest description from before the Xen notes. */
  readonly xenGuest?: string;
  /** Absent: there is none in the first 8 KiB of the file. */
  readonly multiboot?: MultibootHeader;
  /** The words to change when the kernel is loaded elsewhere; only a kernel proper out of a bzImage has them. */
  readonly relocations?: Relocations;
  /** The bzImage that it came out of. */
  readonly container?: Container;
}

/** Multiboot Specification 0.6.96, 3.1. */
export interface MultibootHeader {
  /** In the file. */
  readonly offset: number;
  readonly flags: number;
  /** Where bit 16 of the flags has the header say what is loaded, in place of the program headers. */
  readonly addresses?: {
    /** Physical addresses. */
    readonly load: number;
    /** 0: there is no bss. */
    readonly bssEnd: number;
    readonly entry: number;
    /** What goes to `load`; absent where the header names bytes that are not in the file. */
    readonly contents?: Uint8Array;
  };
}

/** The relocation list that follows the ELF file in the payload of a relocatable bzImage (arch/x86/boot/compressed/misc.c). */
export interface Relocations {
  /** Virtual addresses of 32-bit words to which the displacement is added. */
  readonly words: Uint32Array;
  /** The physical address that the kernel was linked for: LOAD_PHYSICAL_ADDR. */
  readonly linkedAt: number;
}

/** What is left of a bzImage when its kernel proper has been taken out. */
export interface Container {
  readonly setup: SetupHeader;
  readonly size: number;
  /** Lower-case hex SHA-256 of the whole bzImage. */
  readonly sha256: string;
  readonly payload: PayloadFormat;
}

export type PayloadFormat = 'gzip' | 'bzip2' | 'lzma' | 'xz' | 'lzo' | 'lz4' | 'zstd' | 'elf' | 'unknown';

export interface BzImage extends ImageCommon {
  readonly format: 'bzimage';
  readonly setup: SetupHeader;
  /** True when the kernel proper is 64-bit (XLF_KERNEL_64, or the payload's ELF class): only its 32-bit entry runs here. */
  readonly is64Bit: boolean;
  /** Of the protected-mode part in the file. */
  readonly protectedModeOffset: number;
  readonly payload?: Payload;
  /** An ELF header at the start of the file, from where `notes` are too. */
  readonly frontElf?: FrontElf;
}

/** What the ELF header in front of a bzImage says: proposed in 2006, and never merged. */
export interface FrontElf {
  readonly type: 'ET_EXEC' | 'ET_DYN';
  /** e_entry: the physical address of the 32-bit entry. */
  readonly entry: number;
  readonly programHeaders: readonly ProgramHeader[];
  readonly notes: readonly Note[];
  /** Its magic is changed, so that it is not an ELF file to a loader. */
  readonly munged: boolean;
}

/** The compressed kernel proper inside a bzImage. */
export interface Payload {
  /** In the file. */
  readonly offset: number;
  readonly length: number;
  readonly format: PayloadFormat;
  /** `header`: payload_offset says where it is (2.08); `magic`: it was found by its first bytes. */
  readonly found: 'header' | 'magic';
  /** What its end says it decodes to, in bytes; absent where it has no such word. */
  readonly decodedSize?: number;
}

export type KernelImage = ElfImage | BzImage;

/** What a bad file is told: one sentence with what was found, where, and what was expected; a stable code. */
export class KernelImageError extends Error {
  override readonly name = 'KernelImageError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}
