/**
 * struct boot_params (the "zero page") and the setup_header inside it: its parts in address order, and values of fields.
 * Linux 6.1 Documentation/x86/zero-page.rst and boot.rst, arch/x86/include/uapi/asm/bootparam.h.
 * Offsets are from the start of boot_params; those of the header are the same in a bzImage file. Every field:
 * boot-params-layout.ts.
 */
import { SETUP_HEADER_FIELDS } from '../../src/kernel-image/setup-header.ts';

export {
  BOOT_FLAG_MAGIC,
  CAN_USE_HEAP,
  HEADER_MAGIC,
  KEEP_SEGMENTS,
  LOADED_HIGH,
} from '../../src/kernel-image/setup-header.ts';

export const BOOT_PARAMS_SIZE = 0x1000;

// 0x000: screen_info, apm_bios_info, …: zero means "not there". With mode, lines and cols zero the decompressor
// prints nothing to the screen (Linux commit a24e785111a, 2.6.24).
// 0x1f1: setup_header
export const SETUP_HEADER = SETUP_HEADER_FIELDS.setup_sects.offset;
export const LOADFLAGS = SETUP_HEADER_FIELDS.loadflags.offset;

// 0x2d0: e820 table
export const E820_TABLE = 0x2d0;
export const E820_ENTRY_SIZE = 20;

/** screen_info.cl_magic: before protocol 2.02 the command line is found by it and the offset behind it (boot.rst). */
export const CL_MAGIC_VALUE = 0xa33f;
/** What screen_info.cl_offset is relative to, and where a kernel before 2.02 expects boot_params. */
export const OLD_REAL_MODE_BASE = 0x90000;

/** type_of_loader (boot.rst): the number of the loader in the high nibble, its version in the low one. */
export const LOADER_XEN = 0x90;
export const LOADER_KEXEC = 0xd0;
/** A loader without a number of its own; neither lguest nor "paravirtualized" ever got one. */
export const LOADER_UNDEFINED = 0xff;

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
