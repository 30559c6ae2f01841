/** Linux bzImage and zImage: real-mode setup, then the protected-mode code whose first byte is the 32-bit entry (boot.rst). */
import { hex } from './bytes.ts';
import { readFrontElf } from './front-elf.ts';
import { type BzImage, KernelImageError, type Segment, type Warning } from './kernel-image.ts';
import { checkImageCrc } from './payload/image-crc.ts';
import { locatePayload } from './payload/locate.ts';
import { readSetupHeader, SECTOR_SIZE } from './read-setup-header.ts';
import {
  HIGH_LOAD_ADDRESS,
  LOADED_HIGH,
  PARAGRAPH,
  type SetupHeader,
  XLF_KERNEL_64,
} from './setup-header.ts';

/** Where a loader reads a zImage, for its real-mode setup to move it from there. */
const ZIMAGE_READ_ADDRESS = 0x10000;
const VERSION_XLOADFLAGS = 0x020c;
const VERSION_PREF_ADDRESS = 0x020a;
/** Before 2.04, syssize has 16 bits and cannot be trusted. */
const VERSION_SYSSIZE = 0x0204;
const FOUR_GIB = 0x1_0000_0000;

const EI_CLASS = 4;
const ELFCLASS64 = 2;

export type BzImageContents = Omit<BzImage, 'name' | 'size' | 'sha256' | 'symbols'>;

/**
 * @param bytes the whole file, with "HdrS" at 0x202; the segment is a view of it.
 * @param name as the user named the file, for messages.
 * @throws {KernelImageError} when the protected-mode code is not there or cannot be placed.
 */
export function readBzImage(bytes: Uint8Array, name: string): BzImageContents {
  const warnings: Warning[] = [];
  const setup = readSetupHeader(bytes, name, warnings);
  const protectedModeOffset = (setup.setupSects + 1) * SECTOR_SIZE;
  checkLength(bytes, setup, protectedModeOffset, name);

  const code = bytes.subarray(protectedModeOffset);
  const payload = locatePayload(code, setup, protectedModeOffset, warnings);
  checkImageCrc(bytes, setup, protectedModeOffset, warnings);
  const frontElf = readFrontElf(bytes, warnings);
  return {
    format: 'bzimage',
    setup,
    is64Bit: is64Bit(bytes, setup, payload),
    protectedModeOffset,
    segments: [placeCode(code, setup, protectedModeOffset, name, warnings)],
    notes: frontElf?.notes ?? [],
    warnings,
    ...(payload && { payload }),
    ...(frontElf && { frontElf }),
  };
}

function checkLength(bytes: Uint8Array, setup: SetupHeader, start: number, name: string): void {
  if (start >= bytes.length) {
    throw new KernelImageError(
      'truncated-file',
      `${name}: setup_sects at offset 0x1f1 is ${setup.setupSects}, which puts the protected-mode code at offset ${hex(start)}; expected it inside the file of ${hex(bytes.length)} bytes`,
    );
  }
  if (setup.version < VERSION_SYSSIZE) return;
  const syssize = Number(setup.fields.find(field => field.name === 'syssize')?.value ?? 0);
  // syssize counts whole paragraphs, so the last one may be cut.
  const end = start + syssize * PARAGRAPH;
  if (bytes.length <= end - PARAGRAPH) {
    throw new KernelImageError(
      'truncated-file',
      `${name}: the file ends at offset ${hex(bytes.length)}; expected ${hex(end)} bytes, because syssize at offset 0x1f4 is ${hex(syssize)} paragraphs of protected-mode code`,
    );
  }
}

/**
 * boot.rst "Loading The Rest of The Kernel", pref_address. A zImage is read to 0x10000 and moved by its real-mode setup to
 * code32_start, which it is linked for (boot.rst, "code32_start": 0x1000; Linux 2.6.29 arch/x86/boot/pm.c,
 * move_kernel_around): a loader that skips the setup has to put it there.
 */
function defaultLoadAddress(setup: SetupHeader): number {
  if (setup.relocatable && setup.version >= VERSION_PREF_ADDRESS && setup.prefAddress !== 0) {
    return setup.prefAddress;
  }
  return setup.loadflags & LOADED_HIGH ? HIGH_LOAD_ADDRESS : setup.code32Start || ZIMAGE_READ_ADDRESS;
}

function placeCode(
  code: Uint8Array,
  setup: SetupHeader,
  fileOffset: number,
  name: string,
  warnings: Warning[],
): Segment {
  const physical = defaultLoadAddress(setup);
  const memorySize = Math.max(setup.initSize, code.length);
  if (physical + memorySize > FOUR_GIB) {
    const size = setup.initSize > code.length ? 'init_size at offset 0x260' : 'the protected-mode code';
    const address = physical === setup.prefAddress ? 'pref_address at offset 0x258' : 'the load address';
    throw new KernelImageError(
      'segment-wraps',
      `${name}: ${address} is ${hex(physical)} and ${size} has ${hex(memorySize)} bytes, which ends at ${hex(physical + memorySize)}; expected an end of at most ${hex(FOUR_GIB)}`,
    );
  }
  if ((setup.loadflags & LOADED_HIGH) === 0 && physical !== ZIMAGE_READ_ADDRESS) {
    warnings.push({
      code: 'zimage',
      message: `this zImage is loaded at ${hex(physical)}, its code32_start: a boot loader reads it to ${hex(ZIMAGE_READ_ADDRESS)}, and its real-mode setup, which does not run here, moves it from there`,
    });
  }
  return {
    name: 'protected-mode code',
    physical,
    virtual: physical,
    contents: code,
    memorySize,
    fileOffset,
    readable: true,
    writable: true,
    executable: true,
  };
}

/** Before 2.12 only the payload tells, and only one that is not compressed. */
function is64Bit(bytes: Uint8Array, setup: SetupHeader, payload: BzImage['payload']): boolean {
  if (setup.version >= VERSION_XLOADFLAGS) return (setup.xloadflags & XLF_KERNEL_64) !== 0;
  return payload?.format === 'elf' && bytes[payload.offset + EI_CLASS] === ELFCLASS64;
}
