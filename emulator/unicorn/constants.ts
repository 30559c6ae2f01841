/**
 * Numbers of Unicorn's C API: include/unicorn/unicorn.h and include/unicorn/x86.h. They are the same in 1.0.3 and 2.1
 * (2.x dropped names, never moved a number); `test/unicorn/registers.test.ts` holds both builds to it.
 */
import type { GeneralRegister } from '../cpu-state.ts';
import type { SegmentName } from '../segmentation.ts';

/** unicorn.h, uc_arch and uc_mode. */
export const UC_ARCH_X86 = 4;
export const UC_MODE_32 = 4;

/** unicorn.h, uc_err. */
export const UC_ERR_OK = 0;
export const UC_ERR_NOMEM = 1;
export const UC_ERR_ARCH = 2;
export const UC_ERR_HANDLE = 3;
export const UC_ERR_MODE = 4;
export const UC_ERR_VERSION = 5;
export const UC_ERR_READ_UNMAPPED = 6;
export const UC_ERR_WRITE_UNMAPPED = 7;
export const UC_ERR_FETCH_UNMAPPED = 8;
export const UC_ERR_HOOK = 9;
export const UC_ERR_INSN_INVALID = 10;
export const UC_ERR_MAP = 11;
export const UC_ERR_WRITE_PROT = 12;
export const UC_ERR_READ_PROT = 13;
export const UC_ERR_FETCH_PROT = 14;
export const UC_ERR_ARG = 15;
export const UC_ERR_READ_UNALIGNED = 16;
export const UC_ERR_WRITE_UNALIGNED = 17;
export const UC_ERR_FETCH_UNALIGNED = 18;
export const UC_ERR_HOOK_EXIST = 19;
export const UC_ERR_RESOURCE = 20;
export const UC_ERR_EXCEPTION = 21;

/** unicorn.h, uc_mem_type. */
export const UC_MEM_READ = 16;
export const UC_MEM_WRITE = 17;
export const UC_MEM_FETCH = 18;
export const UC_MEM_READ_UNMAPPED = 19;
export const UC_MEM_WRITE_UNMAPPED = 20;
export const UC_MEM_FETCH_UNMAPPED = 21;
export const UC_MEM_WRITE_PROT = 22;
export const UC_MEM_READ_PROT = 23;
export const UC_MEM_FETCH_PROT = 24;

/** unicorn.h, uc_hook_type. */
export const UC_HOOK_INTR = 1;
export const UC_HOOK_INSN = 2;
export const UC_HOOK_CODE = 4;
export const UC_HOOK_BLOCK = 8;
/** The six kinds of invalid access: unmapped or protected; read, write, fetch. */
export const UC_HOOK_MEM_INVALID = 0x3f0;
export const UC_HOOK_MEM_READ = 0x400;
export const UC_HOOK_MEM_WRITE = 0x800;
export const UC_HOOK_INSN_INVALID = 0x4000;
/** 2.x only. */
export const UC_HOOK_EDGE_GENERATED = 0x8000;

/** unicorn.h, uc_prot. */
export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_EXEC = 4;
export const PROT_ALL = 7;

/** x86.h, uc_x86_reg. */
export const REG_EFLAGS = 25;
export const REG_EIP = 26;
export const REG_CR0 = 50;
export const REG_CR2 = 52;
export const REG_CR3 = 53;
export const REG_CR4 = 54;
export const REG_DR6 = 72;
export const REG_DR7 = 73;
export const REG_IDTR = 242;
export const REG_GDTR = 243;
export const REG_MSR = 248;

export const REG_GENERAL: Readonly<Record<GeneralRegister, number>> = {
  eax: 19,
  ecx: 22,
  edx: 24,
  ebx: 21,
  esp: 30,
  ebp: 20,
  esi: 29,
  edi: 23,
};

export const REG_SEGMENT: Readonly<Record<SegmentName, number>> = {
  es: 28,
  cs: 11,
  ss: 49,
  ds: 17,
  fs: 32,
  gs: 33,
};

/** x86.h, uc_x86_insn: what UC_HOOK_INSN can be asked for. */
export const UC_X86_INS_IN = 218;
export const UC_X86_INS_OUT = 500;

/** unicorn.h (2.x), uc_control_type, and the macros UC_CTL_READ/WRITE: direction in bits 31:30, arguments in 29:26. */
export const UC_CTL_UC_USE_EXITS = 4 | (1 << 26) | (1 << 30);
export const UC_CTL_UC_EXITS = 6 | (2 << 26) | (1 << 30);
export const UC_CTL_TB_REMOVE_CACHE = 9 | (2 << 26) | (1 << 30);
export const UC_CTL_TB_FLUSH = 10 | (1 << 30);
export const UC_CTL_TCG_BUFFER_SIZE = 13 | (1 << 26) | (1 << 30);

/** Unit of uc_mem_map and uc_mem_protect. */
export const PAGE_SIZE = 4096;
