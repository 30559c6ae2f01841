/** `pc`: a boot loader of the Linux/x86 32-bit boot protocol on a PC. boot.rst; Linux 6.1 arch/x86/boot/{pm.c,pmjump.S}. */
import type { EntryState, MemoryRegion } from '../../emulator/entry-state.ts';
import { FLAG_PF, FLAG_RESERVED_1, FLAG_ZF } from '../../emulator/flags.ts';
import { flatCode, flatData } from '../../emulator/segmentation.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { advise } from '../advice.ts';
import { type KnobbedProtocol, type Knobs, settleKnobs, startedBy } from '../knobs.ts';
import { loadedHigh, loadflags, placeBootData, placeImage, shownVersion } from '../linux/boot-data.ts';
import * as layout from '../linux/layout.ts';
import { checkClash, checkEntry, checkFits, checkInRam, type PlacedImage } from '../linux/placement.ts';
import { type LoaderMemory, loaderMemory } from '../loader-memory.ts';
import { PROMISES_OF_BOOT_RST } from '../promises.ts';
import { type BootOptions, ProtocolError } from '../protocol.ts';
import { react } from '../reactions.ts';
import { arrangeRegions, mapIdentity, overlaps, writtenRegion } from '../regions.ts';
import { CR0_PROTECTED, entryControl, entryRegisters } from '../registers.ts';
import {
  BOOT_CS_INDEX,
  BOOT_DS_INDEX,
  busyTss,
  encodeGdt,
  flatSegments,
  gdtr,
  NO_TABLE,
  NULL_SEGMENT,
  selectorOf,
} from '../segments.ts';
import { tryStart } from '../startable.ts';
import * as map from './memory-map.ts';
import { PC_ADVICE, PC_REACTIONS } from './reactions.ts';

/** The GDT index of pm.c's TSS 0x20, behind what boot.rst names. */
const BOOT_TSS_INDEX = 4;
const GDT_ENTRIES = 5;

const TSS_LIMIT = 103;
/** Offset in a TSS of the I/O bitmap's offset (SDM vol. 3, figure 7-2); past the limit: there is no bitmap. */
const TSS_IO_MAP_BASE = 0x66;
const NO_IO_MAP = TSS_LIMIT + 1;

/** What GRUB 2 writes for the real-mode heap that a 32-bit start does not use (its linux.c). */
const HEAP_END_PTR = 0x8e00;

function entryState(image: KernelImage, options: BootOptions): EntryState {
  const knobs = settleKnobs(pc, options, image);
  if (knobs.memory <= map.EXTENDED_MEMORY) {
    throw new ProtocolError(
      'bad-knob',
      `--memory is ${knobs.memory}; a PC needs more than 1048576 bytes`,
      true,
    );
  }
  const placed = placeImage(image, knobs);
  checkEntry(image, placed);
  checkFits(image, placed, knobs.memory);
  const ram = map.banks(knobs.memory);
  checkInRam(image, placed, ram);

  const machine = [...map.firmware(), ...lowLoaderRegions(knobs, placed)];
  checkClash(image, placed, machine, 'a PC');
  const fixed = [...machine, ...placed.regions];
  const data = bootData(image, knobs, placed, fixed);
  const own = loaderMemory({
    owner: 'loader',
    mode: knobs.paging,
    mappings: mapIdentity(ram.map(bank => ({ ...bank, writable: bank.kind === 'ram' }))),
  });
  const banks = [...ram, ...own.banks];
  return {
    ...startedBy(pc, knobs),
    ring: knobs.ring,
    ...cpuState(knobs, placed.entry, data.bootParams.start, own),
    paging: own.paging,
    banks,
    regions: arrangeRegions([...fixed, ...data.regions, ...own.regions], banks),
    structures: [data.structure],
    platform: {
      hypervisor: knobs.ring === 0 ? 'none' : 'generic',
      hypercallVectors: [],
      cpuModel: knobs.cpu,
    },
  };
}

/**
 * The loader's GDT and TSS in conventional memory. Linux's setup never writes its TSS, which is there so that TR holds
 * one: a zImage is loaded over it.
 */
function lowLoaderRegions(knobs: Knobs, placed: PlacedImage): readonly MemoryRegion[] {
  const tss = new Uint8Array(TSS_LIMIT + 1);
  new DataView(tss.buffer).setUint16(TSS_IO_MAP_BASE, NO_IO_MAP, true);
  const gdt = encodeGdt(GDT_ENTRIES, {
    [BOOT_CS_INDEX]: flatCode(knobs.ring),
    [BOOT_DS_INDEX]: flatData(knobs.ring),
    [BOOT_TSS_INDEX]: busyTss(map.TSS, TSS_LIMIT),
  });
  const tssRegion = writtenRegion('loader TSS', map.TSS, 'loader', tss);
  return [
    ...(knobs.gdt === 'flat' ? [writtenRegion('loader GDT', map.GDT, 'loader', gdt)] : []),
    ...(placed.regions.some(part => overlaps(part, tssRegion)) ? [] : [tssRegion]),
  ];
}

function bootData(image: KernelImage, knobs: Knobs, placed: PlacedImage, taken: readonly MemoryRegion[]) {
  const needs207 = knobs.keepSegments || knobs.subarch !== layout.SUBARCH_PC;
  const version = shownVersion(image, layout.VERSION_2_06, needs207);
  return placeBootData(
    image,
    knobs,
    { below: map.EBDA, initrdFrom: map.EXTENDED_MEMORY, taken },
    {
      signature: true,
      version,
      typeOfLoader: layout.LOADER_UNDEFINED,
      loadflags: loadflags(knobs.keepSegments, layout.CAN_USE_HEAP | loadedHigh(image)),
      heapEndPtr: HEAP_END_PTR,
      ...(placed.code32Start === undefined ? {} : { code32Start: placed.code32Start }),
      ...(placed.kernelAlignment === undefined ? {} : { kernelAlignment: placed.kernelAlignment }),
      ...(version >= layout.VERSION_2_07 ? { hardwareSubarch: knobs.subarch } : {}),
      e820: map.e820(knobs.memory),
      citations: { 'hdr.heap_end_ptr': 'GRUB 2 grub-core/loader/i386/linux.c' },
    },
  );
}

function cpuState(knobs: Knobs, entry: number, bootParams: number, own: LoaderMemory) {
  const { ring } = knobs;
  const zero = { value: 0 };
  return {
    registers: {
      ...entryRegisters(
        { esi: { value: bootParams, meaning: 'boot_params (physical)' }, ebp: zero, edi: zero, ebx: zero },
        'poison',
      ),
      // Linux 6.1 arch/x86/boot/pmjump.S: not in the protocol, and so on every PC that ran the setup code.
      eax: { value: entry, promised: false, meaning: 'where the setup code jumped through it' },
      ecx: { value: 0, promised: false, meaning: 'cleared by the setup code' },
      edx: { value: 0, promised: false, meaning: 'cleared by the setup code' },
    },
    eip: entry,
    // The last `xor` of pmjump.S gave 0.
    eflags: FLAG_RESERVED_1 | FLAG_PF | FLAG_ZF,
    // FS and GS are what Linux's own setup code loads; the boot protocol does not name them.
    segments: flatSegments(ring, BOOT_CS_INDEX, BOOT_DS_INDEX, { value: 'data', promised: false }),
    ldtr: NULL_SEGMENT,
    tr: { selector: selectorOf(BOOT_TSS_INDEX, 0), descriptor: busyTss(map.TSS, TSS_LIMIT) },
    gdtr: gdtr(knobs.gdt, map.GDT, GDT_ENTRIES),
    idtr: NO_TABLE,
    control: entryControl(CR0_PROTECTED, knobs.paging, own.cr3),
    promises: { ...PROMISES_OF_BOOT_RST, gdt: knobs.gdt === 'flat' },
  };
}

export const pc: KnobbedProtocol = {
  name: 'pc',
  summary: 'a PC boot loader: the Linux/x86 32-bit boot protocol, ring 0, paging off',
  page: 'protocols/pc.md',
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
  defaults: { ring: 0, paging: 'off', gdt: 'flat', keepSegments: false, subarch: 0, cpu: 'i686' },
  canStart: image => tryStart(image, entryState),
  entryState,
  reaction: (stop, entry) => react(PC_REACTIONS, stop, entry),
  advice: (stop, image, entry) => advise(PC_ADVICE, stop, image, entry),
};
