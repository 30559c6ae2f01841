/** What kexec-tools loads, whatever the format of the kernel. */
import type { EntryStructure, MemoryRegion } from '../../emulator/entry-state.ts';
import type { Knobs } from '../knobs.ts';
import { bootParamsRegion } from '../linux/boot-data.ts';
import { type BootParams, describeBootParams, type E820Entry } from '../linux/boot-params.ts';
import { placeInitrd } from '../linux/initrd.ts';
import type { PlacedImage } from '../linux/placement.ts';
import * as pcMap from '../pc/memory-map.ts';
import { ProtocolError } from '../protocol.ts';
import type { Range } from '../regions.ts';
import * as layout from './layout.ts';
import type { Purgatory } from './purgatory.ts';

/** The kernel, the purgatory, boot_params with the command line, the initrd. */
export interface Load {
  readonly image: PlacedImage;
  readonly purgatory: Purgatory;
  readonly bootParams: number;
  readonly structure: EntryStructure;
  readonly regions: readonly MemoryRegion[];
}

/** The BIOS's memory map as a running Linux reports it. */
export const e820 = (memory: number): readonly E820Entry[] =>
  pcMap
    .e820(memory)
    .map(entry =>
      entry.start === 0 ? { ...entry, start: layout.RAM_START, size: entry.size - layout.RAM_START } : entry,
    );

/** @param base physical address of boot_params */
export function loaded(
  image: PlacedImage,
  own: Purgatory,
  params: BootParams,
  base: number,
  data: readonly MemoryRegion[],
): Load {
  return {
    image,
    purgatory: own,
    bootParams: base,
    structure: describeBootParams(params, base),
    regions: [
      bootParamsRegion(params.contents, base),
      ...data.filter(({ size }) => size > 0),
      ...own.regions,
    ],
  };
}

/** @throws {ProtocolError} `initrd-too-big` */
export function kexecInitrd(
  knobs: Knobs,
  addrMax: number,
  taken: readonly Range[],
): MemoryRegion | undefined {
  return knobs.initrd && placeInitrd(knobs.initrd, layout.INITRD_MIN, knobs.memory, addrMax, taken);
}

export const noRoom = (name: string, memory: number): ProtocolError =>
  new ProtocolError(
    'image-too-big',
    `kexec-tools finds no room for ${name} and its purgatory; --memory gives ${memory} bytes`,
  );
