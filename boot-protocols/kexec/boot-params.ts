/** boot_params as kexec-tools fills it: kexec/arch/i386/x86-linux-setup.c, kexec-bzImage.c and kexec-elf-x86.c of 2.0.25. */
import type { SetupHeader } from '../../src/kernel-image/setup-header.ts';
import type { Knobs } from '../knobs.ts';
import { type BootParams, buildBootParams, type E820Entry, type FieldValue } from '../linux/boot-params.ts';
import * as layout from '../linux/layout.ts';
import { COMMAND_LINE_SIZE, HEADER_COPY_MAX, INITRD_ADDR_MAX } from './layout.ts';

const SETUP_C = 'kexec-tools kexec/arch/i386/x86-linux-setup.c';

// What setup_linux_system_parameters takes for the screen of any machine.
const COLUMNS = 80;
const LINES = 25;
const VGA = 1;
const FONT_POINTS = 16;

const ROOT_READ_ONLY = 0xffff;
/** Major number 3, minor 0. */
const ROOT_DEV_HDA = 0x300;
/** The most that ext_mem_k says: 64 MiB less the first. */
const EXT_MEM_K_MAX = 0xfc00;
const ONE_MIB_IN_KIB = 1024;

/** The version of the header that kexec-tools makes up: too old for the fields of 2.07. */
const FAKED_VERSION = layout.VERSION_2_06;

const E820_FIELDS = ['addr', 'size', 'type'] as const;

export interface KexecBootParams {
  /** Absent: a vmlinux. */
  readonly setup: SetupHeader | undefined;
  readonly knobs: Pick<Knobs, 'keepSegments' | 'subarch'>;
  readonly commandLine: { readonly start: number; readonly offset: number };
  readonly initrd: { readonly start: number; readonly size: number } | undefined;
  readonly e820: readonly E820Entry[];
}

export function kexecBootParams(request: KexecBootParams): BootParams {
  const { setup, knobs, commandLine, initrd, e820 } = request;
  const by = (value: number, meaning?: string): FieldValue => ({
    value,
    ...(meaning === undefined ? {} : { meaning }),
    citation: SETUP_C,
  });
  const version = setup?.version ?? FAKED_VERSION;
  return buildBootParams({
    ...(setup ? { header: setup.raw.subarray(0, HEADER_COPY_MAX) } : {}),
    e820,
    others: {
      ...(setup ? {} : fakedHeader(by)),
      'hdr.type_of_loader': by(layout.LOADER_KEXEC),
      'hdr.loadflags': by(knobs.keepSegments ? layout.KEEP_SEGMENTS : 0),
      'hdr.ramdisk_image': by(initrd?.start ?? 0),
      'hdr.ramdisk_size': by(initrd?.size ?? 0),
      'screen_info.cl_magic': by(layout.CL_MAGIC_VALUE),
      'screen_info.cl_offset': by(commandLine.offset, 'of the command line, from boot_params'),
      ...(version >= layout.VERSION_2_02 ? { 'hdr.cmd_line_ptr': by(commandLine.start) } : {}),
      'hdr.hardware_subarch': by(knobs.subarch),
      'screen_info.orig_video_cols': by(COLUMNS),
      'screen_info.orig_video_lines': by(LINES),
      'screen_info.orig_video_isVGA': by(VGA, 'a colour VGA in text mode'),
      'screen_info.orig_video_points': by(FONT_POINTS),
      'hdr.root_flags': by(ROOT_READ_ONLY),
      'hdr.root_dev': by(ROOT_DEV_HDA, '/dev/hda'),
      // aux_device_info at 0x1ff is cleared, which is the upper byte of boot_flag.
      'hdr.boot_flag': by(
        setup ? layout.BOOT_FLAG_MAGIC & 0xff : 0,
        'its upper byte is cleared as aux_device_info',
      ),
      ...memorySize(e820, by),
    },
    citations: Object.fromEntries(
      [
        'e820_entries',
        ...e820.flatMap((_, index) => E820_FIELDS.map(field => `e820_table[${index}].${field}`)),
      ].map(name => [name, SETUP_C]),
    ),
  });
}

/** What init_linux_parameters gives to a kernel without a header. */
const fakedHeader = (by: (value: number, meaning?: string) => FieldValue): Record<string, FieldValue> => ({
  'hdr.header': by(layout.HEADER_MAGIC),
  'hdr.version': by(FAKED_VERSION),
  'hdr.initrd_addr_max': by(INITRD_ADDR_MAX),
  'hdr.cmdline_size': by(COMMAND_LINE_SIZE),
});

/** The RAM that goes on past 1 MiB, in whole KiB up to its last byte. */
function memorySize(
  e820: readonly E820Entry[],
  by: (value: number) => FieldValue,
): Readonly<Record<string, FieldValue>> {
  const oneMib = ONE_MIB_IN_KIB * 1024;
  const above = e820.find(
    ({ start, size, type }) => type === layout.E820_RAM && start <= oneMib && start + size - 1 > oneMib,
  );
  if (!above) return {};
  const kib = Math.floor((above.start + above.size - 1) / 1024) - ONE_MIB_IN_KIB;
  return { 'screen_info.ext_mem_k': by(Math.min(kib, EXT_MEM_K_MAX)), alt_mem_k: by(kib) };
}
