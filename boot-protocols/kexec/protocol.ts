/**
 * `kexec`: one Linux starts the next. kexec-tools 2.0.25 loads it (kexec/arch/i386), the running kernel jumps into the
 * purgatory (Linux arch/x86/kernel/{machine_kexec_32.c,relocate_kernel_32.S}), and that to the new kernel
 * (purgatory/arch/i386/entry32.S).
 */
import { CR0_MP, CR0_NE } from '../../emulator/control-bits.ts';
import type { EntryState, EntryStructure, MemoryRegion } from '../../emulator/entry-state.ts';
import { FLAG_RESERVED_1 } from '../../emulator/flags.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import type { BzImage, KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { advise } from '../advice.ts';
import { type KnobbedProtocol, type Knobs, settleKnobs, spellKnobs } from '../knobs.ts';
import { asLoaded, bootParamsRegion, commandLineRegion } from '../linux/boot-data.ts';
import {
  type BootParams,
  checkCommandLine,
  describeBootParams,
  encodeCommandLine,
} from '../linux/boot-params.ts';
import { placeInitrd } from '../linux/initrd.ts';
import * as linux from '../linux/layout.ts';
import {
  checkClash,
  checkEntry,
  checkFits,
  checkInRam,
  type PlacedImage,
  placeBzImage,
  placeElf,
} from '../linux/placement.ts';
import { loaderMemory } from '../loader-memory.ts';
import * as pcMap from '../pc/memory-map.ts';
import { type BootOptions, ProtocolError } from '../protocol.ts';
import { react } from '../reactions.ts';
import {
  arrangeRegions,
  findHigh,
  findLow,
  mapIdentity,
  type Range,
  roundDown,
  roundUp,
} from '../regions.ts';
import { CR0_PROTECTED, entryControl, entryRegisters } from '../registers.ts';
import { flatSegments, NULL_SEGMENT } from '../segments.ts';
import { tryStart } from '../startable.ts';
import { kexecBootParams } from './boot-params.ts';
import * as layout from './layout.ts';
import { BOOT_CS_INDEX, BOOT_DS_INDEX, GDT_LIMIT, type Purgatory, purgatory } from './purgatory.ts';
import { KEXEC_ADVICE, KEXEC_REACTIONS } from './reactions.ts';

/** Linux's CR0 (0x80050033) as relocate_kernel leaves it: without PG, AM, WP, TS and EM. */
const CR0_RELOCATE_KERNEL = CR0_PROTECTED | CR0_MP | CR0_NE;

/** What kexec-tools loads: the kernel, the purgatory, boot_params with the command line, the initrd. */
interface Load {
  readonly image: PlacedImage;
  readonly purgatory: Purgatory;
  readonly bootParams: number;
  readonly structure: EntryStructure;
  readonly regions: readonly MemoryRegion[];
}

function entryState(image: KernelImage, options: BootOptions): EntryState {
  const knobs = settleKnobs(kexec, options, image);
  const { ring, paging } = knobs;
  if (knobs.memory <= pcMap.EXTENDED_MEMORY) {
    throw new ProtocolError(
      'bad-knob',
      `--memory is ${knobs.memory}; a PC needs more than 1048576 bytes`,
      true,
    );
  }
  const ram = pcMap.banks(knobs.memory);
  const load = image.format === 'bzimage' ? loadBzImage(image, knobs) : loadElf(image, knobs);
  checkEntry(image, load.image);
  checkFits(image, load.image, knobs.memory);
  checkInRam(image, load.image, ram);
  checkClash(image, load.image, pcMap.firmware(), 'a PC');
  checkClash(image, load.image, load.regions, 'kexec-tools');
  const own = loaderMemory({
    owner: 'loader',
    mode: paging,
    mappings: mapIdentity(ram.map(bank => ({ ...bank, writable: bank.kind === 'ram' }))),
  });
  const banks = [...ram, ...own.banks];
  return {
    protocol: kexec.name,
    knobs: spellKnobs(kexec, knobs),
    ring,
    registers: entryRegisters(
      {
        esi: { value: load.bootParams, meaning: 'boot_params (physical)' },
        esp: { value: load.purgatory.stackEnd, meaning: "the end of the purgatory's stack" },
      },
      'zero',
    ),
    eip: load.image.entry,
    eflags: FLAG_RESERVED_1,
    segments: flatSegments(ring, BOOT_CS_INDEX, BOOT_DS_INDEX, { value: 'data', promised: true }),
    ldtr: NULL_SEGMENT,
    tr: NULL_SEGMENT,
    gdtr: knobs.gdt === 'flat' ? { base: load.purgatory.gdtBase, limit: GDT_LIMIT } : { base: 0, limit: 0 },
    idtr: { base: 0, limit: 0 },
    control: entryControl(CR0_RELOCATE_KERNEL, paging, own.cr3),
    paging: own.paging,
    banks,
    regions: arrangeRegions(
      [...pcMap.firmware(), ...load.image.regions, ...load.regions, ...own.regions],
      banks,
    ),
    structures: [load.structure],
    platform: { hypervisor: ring === 0 ? 'none' : 'generic', hypercallVectors: [], cpuModel: knobs.cpu },
    ...(knobs.poison ? { poison: true } : {}),
  };
}

/** The BIOS's memory map as a running Linux reports it. */
const e820 = (memory: number) =>
  pcMap
    .e820(memory)
    .map(entry =>
      entry.start === 0 ? { ...entry, start: layout.RAM_START, size: entry.size - layout.RAM_START } : entry,
    );

/** kexec-bzImage.c, do_bzImage_load, with the 32-bit entry. */
function loadBzImage(image: BzImage, knobs: Knobs): Load {
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
  const code = setup.setupSects * SECTOR_SIZE + SECTOR_SIZE;
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

const SECTOR_SIZE = 512;

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
    if (start < range.start + range.size && range.start < start + size)
      start = roundUp(range.start + range.size, alignment);
  }
  if (start + size > below) throw noRoom(name, knobs.memory);
  return placeBzImage(image, start);
}

/** kexec-elf-x86.c, elf_x86_load with --args-linux. */
function loadElf(image: KernelImage, knobs: Knobs): Load {
  const loadedImage = asLoaded(image, knobs);
  if (loadedImage.format !== 'elf') throw new ProtocolError('elf-type', `${image.name} is no ELF file`);
  checkCommandLine(knobs.cmdline, layout.COMMAND_LINE_SIZE - 1, 'kexec-tools');
  const { memory, ring } = knobs;
  const placed = placeElf(loadedImage);
  const kernel = placed.regions.map(({ start, size }) => ({
    start: roundDown(start, PAGE_SIZE),
    size: roundUp(start + size, PAGE_SIZE) - roundDown(start, PAGE_SIZE),
  }));
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

function loaded(
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

function kexecInitrd(knobs: Knobs, addrMax: number, taken: readonly Range[]): MemoryRegion | undefined {
  return knobs.initrd && placeInitrd(knobs.initrd, layout.INITRD_MIN, knobs.memory, addrMax, taken);
}

/** With its NUL it may have cmdline_size bytes, and kexec-tools cuts it after 2048. */
function bzImageCommandLineLimit({ setup }: BzImage): number {
  const own = setup.version >= linux.VERSION_2_06 ? setup.cmdlineSize : layout.COMMAND_LINE_SIZE;
  return Math.max(0, Math.min(own, layout.COMMAND_LINE_SIZE) - 1);
}

const noRoom = (name: string, memory: number): ProtocolError =>
  new ProtocolError(
    'image-too-big',
    `kexec-tools finds no room for ${name} and its purgatory; --memory gives ${memory} bytes`,
  );

export const kexec: KnobbedProtocol = {
  name: 'kexec',
  summary: 'one Linux starts the next: what kexec-tools and its purgatory hand over, ring 0, paging off',
  page: 'protocols/kexec.md',
  knobs: [
    'memory',
    'cmdline',
    'initrd',
    'loadAddress',
    'ring',
    'paging',
    'gdt',
    'keepSegments',
    'subarch',
    'poison',
    'cpu',
  ],
  unpacks: false,
  defaults: {
    ring: 0,
    paging: 'off',
    gdt: 'flat',
    keepSegments: false,
    subarch: linux.SUBARCH_PC,
    cpu: 'i686',
  },
  canStart: image => tryStart(image, entryState),
  entryState,
  reaction: (stop, entry) => react(KEXEC_REACTIONS, stop, entry),
  advice: (stop, image, entry) => advise(KEXEC_ADVICE, stop, image, entry),
};
