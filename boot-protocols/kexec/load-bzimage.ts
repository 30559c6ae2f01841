/** kexec-tools' way with a bzImage: kexec/arch/i386/kexec-bzImage.c of 2.0.25. */
import type { MemoryRegion } from '../../emulator/entry-state.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import type { BzImage } from '../../src/kernel-image/kernel-image.ts';
import type { Knobs } from '../knobs.ts';
import { commandLineRegion } from '../linux/boot-data.ts';
import { checkCommandLine, encodeCommandLine } from '../linux/boot-params.ts';
import * as linux from '../linux/layout.ts';
import { type PlacedImage, placeBzImage } from '../linux/placement.ts';
import { ProtocolError } from '../protocol.ts';
import { endOf, findHigh, findLow, overlaps, type Range, roundUp } from '../regions.ts';
import { kexecBootParams } from './boot-params.ts';
import * as layout from './layout.ts';
import { e820, kexecInitrd, type Load, loaded, noRoom } from './load.ts';
import { purgatory } from './purgatory.ts';

/**
 * do_bzImage_load, with the 32-bit entry.
 *
 * @throws {ProtocolError} `zimage`, `image-too-big`, `initrd-too-big`, `cmdline-too-long` (usage)
 */
export function loadBzImage(image: BzImage, knobs: Knobs): Load {
  const { setup, name } = image;
  if ((setup.loadflags & linux.LOADED_HIGH) === 0) {
    throw new ProtocolError(
      'zimage',
      `${name} is a zImage (loadflags has no LOADED_HIGH); kexec-tools takes a bzImage`,
    );
  }
  checkCommandLine(knobs.cmdline, bzImageCommandLineLimit(image), name);
  const text = encodeCommandLine(knobs.cmdline);
  const { memory, ring } = knobs;

  const relocatable = setup.relocatable && setup.version >= linux.VERSION_2_05;
  const high = Math.min(memory, layout.PURGATORY_END);
  const place =
    (relocatable ? findHigh(layout.PURGATORY_SIZE, layout.KERNEL_MIN, high, []) : undefined) ??
    findHigh(layout.PURGATORY_SIZE, layout.SETUP_MIN, layout.LOW_MEMORY_END, []);
  const code = setup.setupSects * layout.SECTOR_SIZE + layout.SECTOR_SIZE;
  const setupSize = Math.max(code, layout.SETUP_SIZE_MIN);
  const segmentSize = roundUp(setupSize + text.length + layout.PURGATORY_CMDLINE_SIZE, PAGE_SIZE);
  const taken: Range[] = place === undefined ? [] : [{ start: place, size: layout.PURGATORY_SIZE }];
  const base = findLow(segmentSize, layout.SETUP_MIN, layout.LOW_MEMORY_END, taken);
  if (place === undefined || base === undefined) throw noRoom(name, memory);
  taken.push({ start: base, size: segmentSize });

  const placed = placeKernel(image, knobs, relocatable, taken);
  const limit = setup.version >= linux.VERSION_2_03 ? setup.initrdAddrMax : 0;
  const initrd = kexecInitrd(knobs, limit || layout.INITRD_ADDR_MAX, [...taken, ...placed.regions]);
  const commandLine = { start: base + setupSize, offset: setupSize };
  const params = kexecBootParams({ setup, knobs, commandLine, initrd, e820: e820(memory) });
  const rest: MemoryRegion = {
    name: 'room for the setup code',
    start: base + linux.BOOT_PARAMS_SIZE,
    size: setupSize - linux.BOOT_PARAMS_SIZE,
    owner: 'boot-data',
    defined: true,
  };
  return loaded(placed, purgatory(place, ring), params, base, [
    rest,
    commandLineRegion(text, commandLine.start),
    ...(initrd ? [initrd] : []),
  ]);
}

/** A relocatable kernel goes to the lowest multiple of kernel_alignment that has room for its file; any other to 1 MiB. */
function placeKernel(
  image: BzImage,
  knobs: Knobs,
  relocatable: boolean,
  taken: readonly Range[],
): PlacedImage {
  if (!relocatable) return placeBzImage(image, knobs.loadAddress);
  const { setup, segments, name } = image;
  const from = knobs.loadAddress ?? layout.KERNEL_MIN;
  const size = segments[0]?.contents.length ?? 0;
  const alignment = setup.kernelAlignment || PAGE_SIZE;
  const below = Math.min(
    knobs.memory,
    layout.KERNEL_ADDR_MAX + 1,
    (setup.initrdAddrMax || layout.INITRD_ADDR_MAX) + 1,
  );
  let start = roundUp(Math.max(from, layout.KERNEL_MIN), Math.max(alignment, PAGE_SIZE));
  for (const range of [...taken].sort((a, b) => a.start - b.start)) {
    if (overlaps({ start, size }, range)) start = roundUp(endOf(range), alignment);
  }
  if (start + size > below) throw noRoom(name, knobs.memory);
  return placeBzImage(image, start);
}

/** With its NUL it may have cmdline_size bytes, and kexec-tools cuts it after 2048. */
function bzImageCommandLineLimit({ setup }: BzImage): number {
  const own = setup.version >= linux.VERSION_2_06 ? setup.cmdlineSize : layout.COMMAND_LINE_SIZE;
  return Math.max(0, Math.min(own, layout.COMMAND_LINE_SIZE) - 1);
}
