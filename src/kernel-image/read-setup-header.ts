/** Reads the setup_header of a bzImage: Linux 6.1 Documentation/x86/boot.rst and arch/x86/include/uapi/asm/bootparam.h. */
import { hex, stringAt, u16, u32, u64 } from './bytes.ts';
import { KernelImageError, type Warning } from './kernel-image.ts';
import type { SetupHeader, SetupHeaderField } from './setup-header.ts';

export const SETUP_HEADER_START = 0x1f1;
export const SECTOR_SIZE = 512;

const BOOT_FLAG_OFFSET = 0x1fe;
const BOOT_FLAG = 0xaa55;
const JUMP_OPCODE_OFFSET = 0x200;
/** jmp rel8; its displacement tells where the header ends. */
const JUMP_SHORT = 0xeb;
const MAGIC_OFFSET = 0x202;
/** "HdrS" */
const MAGIC = 0x53726448;
const VERSION_OFFSET = 0x206;
const OLDEST_VERSION = 0x0200;
const NEWEST_VERSION = 0x020f;
const DEFAULT_SETUP_SECTS = 4;
/** Just past code32_start, the last field that every version since 2.00 needs to be started. */
const SHORTEST_END = 0x218;
/** boot_params has edd_mbr_sig_buffer from here: a longer header would overwrite it. */
const LONGEST_END = 0x290;
const KERNEL_VERSION_LIMIT = 256;

type FieldSpec = readonly [name: string, offset: number, size: 1 | 2 | 4 | 8, since: number];

/** Every field, in file order. `since` 0: older than version 2.00, in every image. */
const FIELDS: readonly FieldSpec[] = [
  ['setup_sects', 0x1f1, 1, 0],
  ['root_flags', 0x1f2, 2, 0],
  ['syssize', 0x1f4, 4, 0],
  ['ram_size', 0x1f8, 2, 0],
  ['vid_mode', 0x1fa, 2, 0],
  ['root_dev', 0x1fc, 2, 0],
  ['boot_flag', 0x1fe, 2, 0],
  ['jump', 0x200, 2, 0x0200],
  ['header', 0x202, 4, 0x0200],
  ['version', 0x206, 2, 0x0200],
  ['realmode_swtch', 0x208, 4, 0x0200],
  ['start_sys_seg', 0x20c, 2, 0x0200],
  ['kernel_version', 0x20e, 2, 0x0200],
  ['type_of_loader', 0x210, 1, 0x0200],
  ['loadflags', 0x211, 1, 0x0200],
  ['setup_move_size', 0x212, 2, 0x0200],
  ['code32_start', 0x214, 4, 0x0200],
  ['ramdisk_image', 0x218, 4, 0x0200],
  ['ramdisk_size', 0x21c, 4, 0x0200],
  ['bootsect_kludge', 0x220, 4, 0x0200],
  ['heap_end_ptr', 0x224, 2, 0x0201],
  ['ext_loader_ver', 0x226, 1, 0x0202],
  ['ext_loader_type', 0x227, 1, 0x0202],
  ['cmd_line_ptr', 0x228, 4, 0x0202],
  ['initrd_addr_max', 0x22c, 4, 0x0203],
  ['kernel_alignment', 0x230, 4, 0x0205],
  ['relocatable_kernel', 0x234, 1, 0x0205],
  ['min_alignment', 0x235, 1, 0x020a],
  ['xloadflags', 0x236, 2, 0x020c],
  ['cmdline_size', 0x238, 4, 0x0206],
  ['hardware_subarch', 0x23c, 4, 0x0207],
  ['hardware_subarch_data', 0x240, 8, 0x0207],
  ['payload_offset', 0x248, 4, 0x0208],
  ['payload_length', 0x24c, 4, 0x0208],
  ['setup_data', 0x250, 8, 0x0209],
  ['pref_address', 0x258, 8, 0x020a],
  ['init_size', 0x260, 4, 0x020a],
  ['handover_offset', 0x264, 4, 0x020b],
  ['kernel_info_offset', 0x268, 4, 0x020f],
];

/** syssize has 2 bytes before 2.04; the two after it are swap_dev. */
const SYSSIZE_WIDENED = 0x0204;

/** Looks at the magic number alone. */
export function hasSetupHeader(bytes: Uint8Array): boolean {
  return bytes.length >= MAGIC_OFFSET + 4 && u32(bytes, MAGIC_OFFSET) === MAGIC;
}

/** A boot sector, which may be a kernel from before protocol 2.00. */
export function hasBootFlag(bytes: Uint8Array): boolean {
  return bytes.length >= BOOT_FLAG_OFFSET + 2 && u16(bytes, BOOT_FLAG_OFFSET) === BOOT_FLAG;
}

/** `2.15` for 0x020f: both bytes are printed in decimal, the minor one with two digits. */
export function protocolVersion(version: number): string {
  return `${version >>> 8}.${String(version & 0xff).padStart(2, '0')}`;
}

/**
 * @param bytes the whole file, for which {@link hasSetupHeader} holds.
 * @throws {KernelImageError} when the header is cut off, too short to be one, or of a version before 2.00.
 */
export function readSetupHeader(bytes: Uint8Array, name: string, warnings: Warning[]): SetupHeader {
  if (bytes.length < SHORTEST_END) {
    throw new KernelImageError(
      'truncated-file',
      `${name}: the file ends at offset ${hex(bytes.length)}, inside its setup header; expected at least ${hex(SHORTEST_END)} bytes`,
    );
  }
  const version = u16(bytes, VERSION_OFFSET);
  if (version < OLDEST_VERSION) {
    throw new KernelImageError(
      'boot-protocol-version',
      `${name}: the boot protocol version at offset 0x206 is ${hex(version)}; expected 0x200 (2.00) or later`,
    );
  }
  if (version > NEWEST_VERSION) {
    warnings.push({
      code: 'boot-protocol-version-unknown',
      message: `the boot protocol version at offset 0x206 is ${hex(version)}, later than ${protocolVersion(NEWEST_VERSION)}; fields that are newer are not shown`,
    });
  }
  if (!hasBootFlag(bytes)) {
    warnings.push({
      code: 'boot-flag',
      message: `boot_flag at offset 0x1fe is ${hex(u16(bytes, BOOT_FLAG_OFFSET))}, not 0xaa55`,
    });
  }
  const end = headerEnd(bytes, name, warnings);
  const fields = readFields(bytes, version, end, warnings);
  const number = (field: string): number => Number(fields.find(({ name }) => name === field)?.value ?? 0);
  const setupSects = number('setup_sects') || DEFAULT_SETUP_SECTS;
  const kernelVersion = readKernelVersion(bytes, number('kernel_version'), setupSects, warnings);
  return {
    version,
    setupSects,
    end,
    raw: bytes.subarray(SETUP_HEADER_START, end),
    fields,
    loadflags: number('loadflags'),
    code32Start: number('code32_start'),
    relocatable: number('relocatable_kernel') !== 0,
    kernelAlignment: number('kernel_alignment'),
    prefAddress: number('pref_address'),
    initSize: number('init_size'),
    initrdAddrMax: number('initrd_addr_max'),
    cmdlineSize: number('cmdline_size'),
    xloadflags: number('xloadflags'),
    ...(kernelVersion !== undefined && { kernelVersion }),
  };
}

function headerEnd(bytes: Uint8Array, name: string, warnings: Warning[]): number {
  const opcode = bytes[JUMP_OPCODE_OFFSET] ?? 0;
  const end = MAGIC_OFFSET + (bytes[JUMP_OPCODE_OFFSET + 1] ?? 0);
  if (opcode !== JUMP_SHORT) {
    warnings.push({
      code: 'setup-header-jump',
      message: `the byte at offset 0x200 is ${hex(opcode)}, not the short jump 0xeb; the header end ${hex(end)} is taken from the byte after it all the same`,
    });
  }
  if (end < SHORTEST_END) {
    throw new KernelImageError(
      'setup-header-end',
      `${name}: the setup header ends at offset ${hex(end)} (0x202 + the byte at 0x201); expected ${hex(SHORTEST_END)} or more`,
    );
  }
  if (end > bytes.length) {
    throw new KernelImageError(
      'truncated-file',
      `${name}: the file ends at offset ${hex(bytes.length)}, inside its setup header; expected at least ${hex(end)} bytes`,
    );
  }
  if (end > LONGEST_END) {
    warnings.push({
      code: 'setup-header-end',
      message: `the setup header ends at offset ${hex(end)}, and boot_params has room for it up to ${hex(LONGEST_END)}`,
    });
  }
  return end;
}

/** A loader copies the header up to its end and no further, so a field past the end is not there, whatever the version. */
function readFields(
  bytes: Uint8Array,
  version: number,
  end: number,
  warnings: Warning[],
): SetupHeaderField[] {
  const fields: SetupHeaderField[] = [];
  const missing: string[] = [];
  for (const [name, offset, fullSize, since] of FIELDS) {
    if (since > version) continue;
    const size = name === 'syssize' && version < SYSSIZE_WIDENED ? 2 : fullSize;
    if (offset + size > end) {
      missing.push(name);
      continue;
    }
    fields.push({ name, offset, size, value: readValue(bytes, offset, size), since });
  }
  if (missing.length > 0) {
    warnings.push({
      code: 'setup-header-short',
      message: `the setup header ends at offset ${hex(end)}, before fields that version ${protocolVersion(version)} has: ${missing.join(', ')}`,
    });
  }
  return fields;
}

function readValue(bytes: Uint8Array, offset: number, size: 1 | 2 | 4 | 8): number | bigint {
  switch (size) {
    case 1:
      return bytes[offset] ?? 0;
    case 2:
      return u16(bytes, offset);
    case 4:
      return u32(bytes, offset);
    case 8:
      return u64(bytes, offset);
  }
}

function readKernelVersion(
  bytes: Uint8Array,
  pointer: number,
  setupSects: number,
  warnings: Warning[],
): string | undefined {
  if (pointer === 0) return undefined;
  const offset = pointer + 0x200;
  if (pointer >= setupSects * SECTOR_SIZE || offset >= bytes.length) {
    warnings.push({
      code: 'kernel-version-outside-setup',
      message: `kernel_version at offset 0x20e points to offset ${hex(offset)}, outside the setup code; it is not shown`,
    });
    return undefined;
  }
  const setupEnd = (setupSects + 1) * SECTOR_SIZE;
  return stringAt(bytes, offset, Math.min(KERNEL_VERSION_LIMIT, setupEnd - offset));
}
