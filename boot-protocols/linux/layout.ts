/**
 * struct boot_params (the "zero page") and the setup_header inside it, in address order.
 * Linux 6.1 Documentation/x86/zero-page.rst and boot.rst, arch/x86/include/uapi/asm/bootparam.h.
 * Offsets are from the start of boot_params; those of the header are the same in a bzImage file.
 */

export const BOOT_PARAMS_SIZE = 0x1000;

// 0x000: screen_info, apm_bios_info, …: zero means "not there". With mode, lines and cols zero the decompressor
// prints nothing to the screen (Linux commit a24e785111a, 2.6.24).
/** Before protocol 2.02 the command line is found by a magic number and an offset in screen_info (boot.rst). */
export const CL_MAGIC = 0x020;
export const CL_OFFSET = 0x022;

// 0x1e0: memory
export const E820_ENTRIES = 0x1e8;

// 0x1f1: setup_header
export const SETUP_HEADER = 0x1f1;
export const BOOT_FLAG = 0x1fe;
export const HEADER = 0x202;
export const VERSION = 0x206;
export const TYPE_OF_LOADER = 0x210;
export const LOADFLAGS = 0x211;
export const CODE32_START = 0x214;
export const RAMDISK_IMAGE = 0x218;
export const RAMDISK_SIZE = 0x21c;
export const HEAP_END_PTR = 0x224;
export const CMD_LINE_PTR = 0x228;
export const KERNEL_ALIGNMENT = 0x230;
export const HARDWARE_SUBARCH = 0x23c;

// 0x2d0: e820 table
export const E820_TABLE = 0x2d0;
export const E820_ENTRY_SIZE = 20;

/** At BOOT_FLAG. */
export const BOOT_FLAG_MAGIC = 0xaa55;
/** "HdrS" at HEADER. */
export const HEADER_MAGIC = 0x53726448;

/** At CL_MAGIC. */
export const CL_MAGIC_VALUE = 0xa33f;
/** What the offset at CL_OFFSET is relative to, and where a kernel before 2.02 expects boot_params. */
export const OLD_REAL_MODE_BASE = 0x90000;

/** type_of_loader (boot.rst): the number of the loader in the high nibble, its version in the low one. */
export const LOADER_XEN = 0x90;
export const LOADER_KEXEC = 0xd0;
/** A loader without a number of its own; neither lguest nor "paravirtualized" ever got one. */
export const LOADER_UNDEFINED = 0xff;

/** Bits of loadflags. */
export const LOADED_HIGH = 1 << 0;
export const KEEP_SEGMENTS = 1 << 6;
export const CAN_USE_HEAP = 1 << 7;

/** Protocol versions (boot.rst, version history). */
export const VERSION_2_02 = 0x0202;
export const VERSION_2_03 = 0x0203;
export const VERSION_2_05 = 0x0205;
export const VERSION_2_06 = 0x0206;
export const VERSION_2_07 = 0x0207;
export const VERSION_2_10 = 0x020a;

/** hardware_subarch (bootparam.h). Xen's was never entered through it: only `xen-startup32` does. */
export const SUBARCH_PC = 0;
export const SUBARCH_LGUEST = 1;
export const SUBARCH_XEN = 2;

/** e820 types (bootparam.h). */
export const E820_RAM = 1;
export const E820_RESERVED = 2;
