/** boot_params and the command line as regions, and what of the knobs goes into them. */
import type { EntryStructure, MemoryRegion } from '../../emulator/entry-state.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { relocate } from '../../src/kernel-image/payload/relocate.ts';
import { protocolVersion } from '../../src/kernel-image/read-setup-header.ts';
import type { SetupHeader } from '../../src/kernel-image/setup-header.ts';
import type { Knobs } from '../knobs.ts';
import { ProtocolError } from '../protocol.ts';
import { findLow, hex, type Range, writtenRegion } from '../regions.ts';
import {
  type BootParamsFields,
  buildBootParams,
  checkCommandLine,
  describeBootParams,
  encodeCommandLine,
} from './boot-params.ts';
import { INITRD_ADDR_MAX_DEFAULT, placeInitrd } from './initrd.ts';
import * as layout from './layout.ts';
import { type PlacedImage, placeBzImage, placeElf } from './placement.ts';

/** cmdline_size before protocol 2.06 (boot.rst). */
const CMDLINE_SIZE_BEFORE_2_06 = 255;
/** COMMAND_LINE_SIZE of Linux on x86, less the NUL (arch/x86/include/asm/setup.h): for a bare vmlinux. */
const CMDLINE_SIZE_VMLINUX = 2047;

/** Where boot_params stands unless the image is there. */
const BOOT_PARAMS = 0x10000;
/** Where the command line stands unless the image is there. */
const COMMAND_LINE = 0x20000;

/** An offset of 16 bits ends below this. */
const OFFSET_LIMIT = 0x10000;

/** The setup header that a loader has of an image: a bzImage's own, or that of the bzImage which the kernel proper came out of. */
const setupOf = (image: KernelImage): SetupHeader | undefined =>
  image.format === 'bzimage' ? image.setup : image.container?.setup;

/** The longest command line in bytes, without the NUL. */
function commandLineLimit(image: KernelImage): number {
  const setup = setupOf(image);
  return setup ? setup.cmdlineSize || CMDLINE_SIZE_BEFORE_2_06 : CMDLINE_SIZE_VMLINUX;
}

/**
 * The image as it stands in memory: a kernel proper that is to be loaded elsewhere than it was linked for has its words
 * changed, as its decompressor would have done. Done twice it is the same.
 *
 * @throws {ProtocolError} (usage) `bad-knob`, `not-relocatable`, `bad-alignment`
 */
export function asLoaded(
  image: KernelImage,
  options: { readonly loadAddress?: number | undefined },
): KernelImage {
  const { loadAddress } = options;
  if (loadAddress === undefined || image.format === 'bzimage') return image;
  const { name, container, relocations } = image;
  const found = `--load-address is ${hex(loadAddress)}`;
  if (!container) {
    throw new ProtocolError(
      'bad-knob',
      `${found}; ${name} is an ELF file, and its program headers say where it loads`,
      true,
    );
  }
  if (!relocations) {
    throw new ProtocolError(
      'not-relocatable',
      `${found}; the kernel proper of ${name} has no relocation list and loads where its program headers say`,
      true,
    );
  }
  const alignment = container.setup.kernelAlignment;
  if (alignment > 0 && loadAddress % alignment !== 0) {
    throw new ProtocolError(
      'bad-alignment',
      `${found}; kernel_alignment of ${name} is ${hex(alignment)}, and its kernel proper runs at a multiple of that`,
      true,
    );
  }
  return relocate(image, loadAddress);
}

/** Places an image as the boot protocol wants it: an ELF by its program headers, a bzImage by header or knob. */
export function placeImage(image: KernelImage, knobs: Knobs): PlacedImage {
  const loaded = asLoaded(image, knobs);
  return loaded.format === 'bzimage' ? placeBzImage(loaded, knobs.loadAddress) : placeElf(loaded);
}

export interface BootData {
  readonly bootParams: MemoryRegion;
  readonly commandLine: MemoryRegion;
  readonly initrd: MemoryRegion | undefined;
  /** All three. */
  readonly regions: readonly MemoryRegion[];
  /** boot_params, field by field. */
  readonly structure: EntryStructure;
}

/**
 * boot_params, command line and initrd for `pc` and `contract`.
 *
 * @param room where boot_params and the command line may stand, and from where on the initrd may
 * @param fields what differs between the two: signature, version, loader id and so on
 * @throws {ProtocolError} `cmdline-too-long` (usage), `no-room`, `initrd-too-big`
 */
export function placeBootData(
  image: KernelImage,
  knobs: Knobs,
  room: { readonly below: number; readonly initrdFrom: number; readonly taken: readonly Range[] },
  fields: Omit<BootParamsFields, 'header' | 'cmdLinePtr' | 'oldCommandLine' | 'initrd'>,
): BootData {
  const setup = setupOf(image);
  checkCommandLine(knobs.cmdline, commandLineLimit(image), image.name);

  const text = encodeCommandLine(knobs.cmdline);
  // boot.rst, "The kernel command line": before 2.02 both are found through 0x90000, whatever %esi is.
  const old = setup !== undefined && setup.version < layout.VERSION_2_02;
  const base = old ? layout.OLD_REAL_MODE_BASE : BOOT_PARAMS;
  const params = findLow(layout.BOOT_PARAMS_SIZE, base, room.below, room.taken);
  const taken =
    params === undefined ? room.taken : [...room.taken, { start: params, size: layout.BOOT_PARAMS_SIZE }];
  const below = old ? Math.min(room.below, base + OFFSET_LIMIT) : room.below;
  const line = findLow(text.length, old ? base : COMMAND_LINE, below, taken);
  if (params === undefined || line === undefined || (old && params !== base)) {
    throw new ProtocolError(
      'no-room',
      old
        ? `${image.name} has protocol ${protocolVersion(setup.version)} and leaves no room for boot_params at ${hex(base)} and the command line behind it`
        : `${image.name} leaves no room for boot_params and the command line between ${hex(base)} and ${hex(room.below)}`,
    );
  }
  const commandLine = commandLineRegion(text, line);
  const initrd =
    knobs.initrd &&
    placeInitrd(
      knobs.initrd,
      room.initrdFrom,
      knobs.memory,
      setup?.initrdAddrMax || INITRD_ADDR_MAX_DEFAULT,
      [...taken, commandLine],
    );
  const built = buildBootParams({
    ...fields,
    ...(setup ? { header: setup.raw } : {}),
    ...(initrd ? { initrd } : {}),
    ...(old ? { oldCommandLine: line - base } : { cmdLinePtr: line }),
  });
  const bootParams = bootParamsRegion(built.contents, params);
  return {
    bootParams,
    commandLine,
    initrd,
    regions: [bootParams, commandLine, ...(initrd ? [initrd] : [])],
    structure: describeBootParams(built, params),
  };
}

export const bootParamsRegion = (contents: Uint8Array, start: number): MemoryRegion =>
  writtenRegion('boot_params', start, 'boot-data', contents);

export const commandLineRegion = (contents: Uint8Array, start: number): MemoryRegion =>
  writtenRegion('command line', start, 'boot-data', contents);

/** The flags of loadflags that a loader sets besides KEEP_SEGMENTS, which is as the knob has it. */
export const loadflags = (
  keepSegments: boolean,
  others: number,
): { readonly set: number; readonly clear: number } => ({
  set: others | (keepSegments ? layout.KEEP_SEGMENTS : 0),
  clear: layout.KEEP_SEGMENTS,
});

/** LOADED_HIGH is the image's own affair; a bare vmlinux is as high as a bzImage (boot.rst, "loadflags"). */
export const loadedHigh = (image: KernelImage): number => (setupOf(image) ? 0 : layout.LOADED_HIGH);

/**
 * The version that boot_params shows: the image's own, or for a bare vmlinux the given one; raised to 2.07 when a
 * field of 2.07 has to be read.
 */
export function shownVersion(image: KernelImage, bare: number, needs207: boolean): number {
  const own = setupOf(image)?.version ?? bare;
  return needs207 ? Math.max(own, layout.VERSION_2_07) : own;
}
