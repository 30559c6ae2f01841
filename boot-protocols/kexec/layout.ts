/**
 * Where kexec-tools puts what it loads on a 32-bit x86 machine. kexec-tools 2.0.25: include/x86/x86-linux.h,
 * kexec/arch/i386/{x86-linux-setup.h,kexec-bzImage.c,kexec-elf-x86.c,kexec-x86-common.c}, kexec/kexec.c (locate_hole).
 */

import { PAGE_SIZE } from '../../emulator/paging.ts';
import { EBDA, EXTENDED_MEMORY } from '../pc/memory-map.ts';

// 0x00000: the interrupt vector table is not reported as RAM (kexec-x86-common.c, REALMODE_IVT_END)
export const RAM_START = 0x400;

// 0x03000: boot_params of a bzImage and its command line
/** The setup segment of a bzImage is above the first three pages. */
export const SETUP_MIN = 0x3000;
/** The end of RAM below 640 KiB: what a purgatory and a setup segment in low memory have to be below. */
export const LOW_MEMORY_END = EBDA;

// 0x100000: the kernel
export const KERNEL_MIN = EXTENDED_MEMORY;
/** DEFAULT_BZIMAGE_ADDR_MAX: the last byte that a relocatable bzImage may have. */
export const KERNEL_ADDR_MAX = 0x37ffffff;

// 0x1000000: the initrd
export const INITRD_MIN = 0x1000000;
/** DEFAULT_INITRD_ADDR_MAX, before protocol 2.03 and for a vmlinux. */
export const INITRD_ADDR_MAX = 0x37ffffff;

/** With a relocatable bzImage the purgatory is on the last pages below this. */
export const PURGATORY_END = 0x80000000;

/** boot_params of a vmlinux and the command line behind it: struct x86_linux_faked_param_header, in 16 KiB. */
export const FAKED_PARAMS_SPACE = 0x4000;
export const FAKED_COMMAND_LINE = 0x1000;

/** Of setup_sects (boot.rst). */
export const SECTOR_SIZE = 512;
/** The zero-filled room for the setup of a bzImage is at least as large as boot_params. */
export const SETUP_SIZE_MIN = PAGE_SIZE;
/** Room behind a bzImage's command line for what the purgatory adds to it (PURGATORY_CMDLINE_SIZE). */
export const PURGATORY_CMDLINE_SIZE = 64;
/** Bytes of a command line with its NUL. */
export const COMMAND_LINE_SIZE = 2048;
/** How much of a setup header kexec-tools copies at most. */
export const HEADER_COPY_MAX = 0x7f;

/**
 * The purgatory: the sections of purgatory.ro one after the other, as Debian's kexec-tools 2.0.25-3 for i386 has them
 * (.text 0x38c4 bytes, .rodata with entry32's GDT, .data with the stack, .bss).
 */
export const PURGATORY_SIZE = 0x8000;
export const PURGATORY_GDT = 0x38d0;
export const PURGATORY_STACK_END = 0x6000;
