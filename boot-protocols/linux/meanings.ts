/** What the numbers in boot_params mean: Linux 6.1 Documentation/x86/boot.rst and include/uapi/asm/bootparam.h. */
import { protocolVersion } from '../../src/kernel-image/read-setup-header.ts';
import { setupFlagNames } from '../../src/kernel-image/setup-header.ts';
import { BOOT_FLAG_MAGIC, CL_MAGIC_VALUE, HEADER_MAGIC } from './layout.ts';

/** boot.rst, "type_of_loader": the high nibble. */
const LOADERS: Readonly<Record<number, string>> = {
  0: 'LILO',
  1: 'Loadlin',
  2: 'bootsect-loader',
  3: 'Syslinux',
  4: 'Etherboot, gPXE, iPXE',
  5: 'ELILO',
  7: 'GRUB',
  8: 'U-Boot',
  9: 'Xen',
  10: 'Gujin',
  11: 'Qemu',
  12: 'Arcturus Networks uCbootloader',
  13: 'kexec-tools',
};

const LOADER_EXTENDED = 0xe;
const LOADER_UNDEFINED = 0xff;
/** ext_loader_type is stored with this much less (boot.rst, "ext_loader_type"). */
const EXTENDED_BASE = 0x10;
const EXTENDED_LOADERS: Readonly<Record<number, string>> = {
  17: 'Minimal Linux Bootloader',
  18: 'OVMF UEFI virtualization stack',
};

/** `Xen, version 0` for 0x90. */
export function loaderName(typeOfLoader: number): string {
  if (typeOfLoader === LOADER_UNDEFINED) return 'a loader without a number of its own';
  const id = typeOfLoader >>> 4;
  if (id === LOADER_EXTENDED) return 'see ext_loader_type';
  return `${LOADERS[id] ?? `loader 0x${id.toString(16)}`}, version ${typeOfLoader & 0xf}`;
}

const extendedLoaderName = (stored: number): string => {
  const id = stored + EXTENDED_BASE;
  return EXTENDED_LOADERS[id] ?? `loader 0x${id.toString(16)}`;
};

const flagNames =
  (field: 'loadflags' | 'xloadflags') =>
  (value: number): string | undefined =>
    setupFlagNames(field, value).join(', ') || undefined;

/** bootparam.h, enum x86_hardware_subarch. */
const SUBARCHES: Readonly<Record<number, string>> = {
  0: 'PC',
  1: 'lguest',
  2: 'Xen',
  3: 'Intel MID (Moorestown)',
  4: 'CE4100',
};

/** boot.rst, "vid_mode". */
const VIDEO_MODES: Readonly<Record<number, string>> = {
  65535: 'normal',
  65534: 'ext',
  65533: 'ask',
};

const E820_TYPES: Readonly<Record<number, string>> = {
  1: 'RAM',
  2: 'reserved',
  3: 'ACPI reclaimable',
  4: 'ACPI NVS',
  5: 'unusable',
  7: 'persistent memory',
};

const DEFAULT_SETUP_SECTS = 4;

/** By the field's name; an entry of e820_table by `e820_table.type`. */
const MEANINGS: Readonly<Record<string, (value: number) => string | undefined>> = {
  'screen_info.cl_magic': value =>
    value === CL_MAGIC_VALUE ? 'a command line as before protocol 2.02' : undefined,
  'screen_info.cl_offset': value => (value === 0 ? undefined : 'of the command line, from 0x90000'),
  'hdr.setup_sects': value => (value === 0 ? `${DEFAULT_SETUP_SECTS} sectors` : `${value} sectors`),
  'hdr.root_flags': value => (value === 0 ? 'root writable' : 'root read-only'),
  'hdr.syssize': value => `${value * 16} bytes of protected-mode code`,
  'hdr.vid_mode': value => VIDEO_MODES[value],
  'hdr.boot_flag': value => (value === BOOT_FLAG_MAGIC ? 'a boot sector' : undefined),
  'hdr.header': value => (value === HEADER_MAGIC ? '"HdrS"' : undefined),
  'hdr.version': protocolVersion,
  'hdr.type_of_loader': loaderName,
  'hdr.loadflags': flagNames('loadflags'),
  'hdr.ext_loader_type': extendedLoaderName,
  'hdr.relocatable_kernel': value => (value === 0 ? 'not relocatable' : 'relocatable'),
  'hdr.min_alignment': value => (value === 0 ? undefined : `2^${value} bytes`),
  'hdr.xloadflags': flagNames('xloadflags'),
  'hdr.hardware_subarch': value => SUBARCHES[value],
  'e820_table.type': value => E820_TYPES[value],
};

/** Fields whose number says something only where a loader wrote it: in an image's file they are placeholders. */
const OF_THE_LOADER: ReadonlySet<string> = new Set(['hdr.type_of_loader', 'hdr.ext_loader_type']);

/** What the value of a field means, if that is more than its number. */
export function meaningOf(field: string, value: number, by: 'image' | 'loader'): string | undefined {
  if (by === 'image' && OF_THE_LOADER.has(field)) return undefined;
  const key = field.replace(/\[\d+\]/, '');
  return Object.hasOwn(MEANINGS, key) ? MEANINGS[key]?.(value) : undefined;
}
