/**
 * `lguest`: Linux's own small hypervisor, as of Linux 4.13.
 * tools/lguest/lguest.c (the launcher), drivers/lguest/x86/core.c and segments.c (the host).
 */
import { CR0_PG, CR4_PAE } from '../../emulator/control-bits.ts';
import type { EntryState, MemoryBank, MemoryRegion } from '../../emulator/entry-state.ts';
import { FLAG_IF, FLAG_RESERVED_1 } from '../../emulator/flags.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import { flatCode, flatData } from '../../emulator/segmentation.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { advise } from '../advice.ts';
import { type KnobbedProtocol, type Knobs, settleKnobs, spellKnobs } from '../knobs.ts';
import { bootParamsRegion, commandLineRegion, loadflags } from '../linux/boot-data.ts';
import { buildBootParams, checkCommandLine, encodeCommandLine } from '../linux/boot-params.ts';
import { initrdRegion } from '../linux/initrd.ts';
import * as layout from '../linux/layout.ts';
import { checkEntry, checkFits, type PlacedImage, placeCode, placeElf } from '../linux/placement.ts';
import { loaderMemory } from '../loader-memory.ts';
import { type BootOptions, ProtocolError, type Startable } from '../protocol.ts';
import { react } from '../reactions.ts';
import { arrangeRegions, mapIdentity, roundUp } from '../regions.ts';
import { CR0_HYPERVISOR, entryRegisters } from '../registers.ts';
import { encodeGdt, flatSegments, NULL_SEGMENT } from '../segments.ts';
import { tryStart } from '../startable.ts';
import { LGUEST_TRAP_ENTRY, lguestHypercallName } from './hypercalls.ts';
import { LGUEST_ADVICE, LGUEST_REACTIONS } from './reactions.ts';

// Guest-physical memory, in address order (lguest.c, main and load_bzimage).
const BOOT_PARAMS = 0x0;
const COMMAND_LINE = 0x1000;
const BZIMAGE_LOAD = 0x100000;
/** The launcher copies the command line without a limit; Linux reads this much (COMMAND_LINE_SIZE less the NUL). */
const COMMAND_LINE_LIMIT = 2047;
/** lguest.c: the decompressor asks for it since 2.6.31. */
const KERNEL_ALIGNMENT = 0x1000000;

// The host's GDT for a guest (asm/segment.h, drivers/lguest/segments.c).
const GDT_ENTRIES = 32;
const LGUEST_CS_INDEX = 10;
const LGUEST_DS_INDEX = 11;
const KERNEL_CS_INDEX = 12;
const KERNEL_DS_INDEX = 13;

function checkType(image: KernelImage): Startable {
  if (image.format === 'elf' && image.type !== 'ET_EXEC') {
    return {
      ok: false,
      code: 'elf-type',
      reason: `e_type is ${image.type}; the lguest launcher takes ET_EXEC only`,
    };
  }
  return { ok: true };
}

/** The launcher always loads a bzImage at 1 MiB and starts it at code32_start, relocatable or not. */
function placeImage(image: KernelImage): PlacedImage {
  return image.format === 'elf' ? placeElf(image) : placeCode(image, BZIMAGE_LOAD, image.setup.code32Start);
}

function bootData(knobs: Knobs): readonly MemoryRegion[] {
  checkCommandLine(knobs.cmdline, COMMAND_LINE_LIMIT, 'Linux');
  const { initrd, memory } = knobs;
  const initrdSize = initrd ? roundUp(initrd.length, PAGE_SIZE) : 0;
  if (initrdSize >= memory) {
    throw new ProtocolError(
      'initrd-too-big',
      `the initrd is ${initrd?.length} bytes long; --memory gives ${memory}`,
    );
  }
  const initrdStart = memory - initrdSize;
  const params = buildBootParams({
    version: layout.VERSION_2_07,
    loadflags: loadflags(knobs.keepSegments, 0),
    hardwareSubarch: knobs.subarch,
    kernelAlignment: KERNEL_ALIGNMENT,
    cmdLinePtr: COMMAND_LINE,
    e820: [{ start: 0, size: memory, type: layout.E820_RAM }],
    ...(initrd
      ? { typeOfLoader: layout.LOADER_UNDEFINED, initrd: { start: initrdStart, size: initrd.length } }
      : {}),
  });
  return [
    bootParamsRegion(params, BOOT_PARAMS),
    commandLineRegion(encodeCommandLine(knobs.cmdline), COMMAND_LINE),
    ...(initrd ? [initrdRegion(initrd, initrdStart)] : []),
  ];
}

const hostGdt = (knobs: Knobs): Uint8Array =>
  encodeGdt(GDT_ENTRIES, {
    [LGUEST_CS_INDEX]: flatCode(0),
    [LGUEST_DS_INDEX]: flatData(0),
    [KERNEL_CS_INDEX]: flatCode(knobs.ring),
    [KERNEL_DS_INDEX]: flatData(knobs.ring),
  });

function entryState(image: KernelImage, options: BootOptions): EntryState {
  const knobs = settleKnobs(lguest, options, image);
  const startable = checkType(image);
  if (!startable.ok) throw new ProtocolError(startable.code, `${image.name}: ${startable.reason}`);
  const placed = placeImage(image);
  checkFits(image, placed, knobs.memory);
  checkEntry(image, placed);
  const ram: MemoryBank = { name: 'guest memory', start: 0, size: knobs.memory, kind: 'ram' };
  const host = loaderMemory({
    owner: 'lguest host',
    mode: knobs.paging,
    mappings: mapIdentity([ram]),
    ...(knobs.gdt === 'flat' ? { gdt: hostGdt(knobs) } : {}),
  });
  const banks = [ram, ...host.banks];
  return {
    protocol: lguest.name,
    knobs: spellKnobs(lguest, knobs),
    ring: knobs.ring,
    // drivers/lguest/x86/core.c lguest_arch_setup_regs: everything zero but segments, EFLAGS, EIP and ESI.
    registers: entryRegisters({ esi: { value: BOOT_PARAMS, meaning: 'boot_params (physical)' } }, 'zero'),
    eip: placed.entry,
    eflags: FLAG_RESERVED_1 | FLAG_IF,
    segments: flatSegments(knobs.ring, KERNEL_CS_INDEX, KERNEL_DS_INDEX, { value: 'null', promised: true }),
    ldtr: NULL_SEGMENT,
    tr: NULL_SEGMENT,
    gdtr: knobs.gdt === 'flat' ? { base: host.gdtBase, limit: GDT_ENTRIES * 8 - 1 } : { base: 0, limit: 0 },
    idtr: { base: 0, limit: 0 },
    control: {
      cr0: knobs.paging === 'off' ? CR0_HYPERVISOR & ~CR0_PG : CR0_HYPERVISOR,
      cr2: 0,
      cr3: host.cr3,
      cr4: knobs.paging === 'pae' ? CR4_PAE : 0,
      efer: 0,
    },
    paging: host.paging,
    banks,
    regions: arrangeRegions([...placed.regions, ...bootData(knobs), ...host.regions], banks),
    platform: {
      hypervisor: 'lguest',
      hypercallVectors: [LGUEST_TRAP_ENTRY],
      cpuModel: knobs.cpu,
    },
    ...(knobs.poison ? { poison: true } : {}),
  };
}

export const lguest: KnobbedProtocol = {
  name: 'lguest',
  summary: 'the lguest hypervisor of Linux 4.13: ring 1, boot_params at 0, subarch 1, paging on 1:1',
  page: 'protocols/lguest.md',
  knobs: ['memory', 'cmdline', 'initrd', 'ring', 'paging', 'gdt', 'keepSegments', 'subarch', 'poison', 'cpu'],
  defaults: {
    ring: 1,
    paging: '32-bit',
    gdt: 'flat',
    keepSegments: true,
    subarch: layout.SUBARCH_LGUEST,
    cpu: 'i686-hv',
  },
  canStart: image => tryStart(image, entryState),
  entryState,
  reaction: (stop, entry) => react(LGUEST_REACTIONS, stop, entry),
  advice: (stop, image, entry) => advise(LGUEST_ADVICE, stop, image, entry),
  hypercallName: lguestHypercallName,
};
