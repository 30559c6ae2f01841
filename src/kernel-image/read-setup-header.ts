/** Reads the setup_header of a bzImage: Linux 6.1 Documentation/x86/boot.rst and arch/x86/include/uapi/asm/bootparam.h. */
import { hex, stringAt, u16, u32, u64 } from './bytes.ts';
import { KernelImageError, type Warning } from './kernel-image.ts';
import {
  BOOT_FLAG_MAGIC,
  HEADER_MAGIC,
  SETUP_HEADER_FIELDS,
  type SetupHeader,
  type SetupHeaderField,
} from './setup-header.ts';

export const SECTOR_SIZE = 512;

const SETUP_HEADER_START = SETUP_HEADER_FIELDS.setup_sects.offset;
const BOOT_FLAG_OFFSET = SETUP_HEADER_FIELDS.boot_flag.offset;
const JUMP_OPCODE_OFFSET = SETUP_HEADER_FIELDS.jump.offset;
/** jmp rel8; its displacement tells where the header ends. */
const JUMP_SHORT = 0xeb;
const MAGIC_OFFSET = SETUP_HEADER_FIELDS.header.offset;
const VERSION_OFFSET = SETUP_HEADER_FIELDS.version.offset;
const OLDEST_VERSION = 0x0200;
const NEWEST_VERSION = 0x020f;
const DEFAULT_SETUP_SECTS = 4;
/** Just past code32_start, the last field that every version since 2.00 needs to be started. */
const SHORTEST_END = 0x218;
/** boot_params has edd_mbr_sig_buffer from here: a longer header would overwrite it. */
const LONGEST_END = 0x290;
const KERNEL_VERSION_LIMIT = 256;

/** syssize has 2 bytes before 2.04; the two after it are swap_dev. */
const SYSSIZE_WIDENED = 0x0204;

/** Looks at the magic number alone. */
export function hasSetupHeader(bytes: Uint8Array): boolean {
  return bytes.length >= MAGIC_OFFSET + 4 && u32(bytes, MAGIC_OFFSET) === HEADER_MAGIC;
}

/** A boot sector, which may be a kernel from before protocol 2.00. */
export function hasBootFlag(bytes: Uint8Array): boolean {
  return bytes.length >= BOOT_FLAG_OFFSET + 2 && u16(bytes, BOOT_FLAG_OFFSET) === BOOT_FLAG_MAGIC;
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
  for (const [name, field] of Object.entries(SETUP_HEADER_FIELDS)) {
    const { offset, since } = field;
    if (since > version) continue;
    const size = name === 'syssize' && version < SYSSIZE_WIDENED ? 2 : field.size;
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
