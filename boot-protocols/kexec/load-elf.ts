/** kexec-tools' way with a vmlinux: kexec/arch/i386/kexec-elf-x86.c of 2.0.25. */
import { PAGE_SIZE } from '../../emulator/paging.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import type { Knobs } from '../knobs.ts';
import { asLoaded, commandLineRegion } from '../linux/boot-data.ts';
import { checkCommandLine, encodeCommandLine } from '../linux/boot-params.ts';
import { placeElf } from '../linux/placement.ts';
import * as pcMap from '../pc/memory-map.ts';
import { ProtocolError } from '../protocol.ts';
import { endOf, findLow, type Range, roundDown, roundUp } from '../regions.ts';
import { kexecBootParams } from './boot-params.ts';
import * as layout from './layout.ts';
import { e820, kexecInitrd, type Load, loaded, noRoom } from './load.ts';
import { purgatory } from './purgatory.ts';

/**
 * elf_x86_load with --args-linux.
 *
 * @throws {ProtocolError} `elf-type`, `image-too-big`, `initrd-too-big`, `cmdline-too-long` (usage)
 */
export function loadElf(image: KernelImage, knobs: Knobs): Load {
  const loadedImage = asLoaded(image, knobs);
  if (loadedImage.format !== 'elf') throw new ProtocolError('elf-type', `${image.name} is no ELF file`);
  checkCommandLine(knobs.cmdline, layout.COMMAND_LINE_SIZE - 1, 'kexec-tools');
  const { memory, ring } = knobs;
  const placed = placeElf(loadedImage);
  const kernel = placed.regions.map(region => {
    const start = roundDown(region.start, PAGE_SIZE);
    return { start, size: roundUp(endOf(region), PAGE_SIZE) - start };
  });
  const hole = (size: number, taken: readonly Range[]): number | undefined =>
    findLow(size, layout.RAM_START, layout.LOW_MEMORY_END, taken) ??
    findLow(size, pcMap.EXTENDED_MEMORY, memory, taken);
  const place = hole(layout.PURGATORY_SIZE, kernel);
  const taken = place === undefined ? kernel : [...kernel, { start: place, size: layout.PURGATORY_SIZE }];
  const base = hole(layout.FAKED_PARAMS_SPACE, taken);
  if (place === undefined || base === undefined) throw noRoom(image.name, memory);
  const initrd = kexecInitrd(knobs, layout.INITRD_ADDR_MAX, [
    ...taken,
    { start: base, size: layout.FAKED_PARAMS_SPACE },
  ]);
  const commandLine = { start: base + layout.FAKED_COMMAND_LINE, offset: layout.FAKED_COMMAND_LINE };
  const params = kexecBootParams({ setup: undefined, knobs, commandLine, initrd, e820: e820(memory) });
  return loaded(placed, purgatory(place, ring), params, base, [
    commandLineRegion(encodeCommandLine(knobs.cmdline), commandLine.start),
    ...(initrd ? [initrd] : []),
  ]);
}
