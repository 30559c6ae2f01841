/**
 * `multiboot`: a boot loader of the Multiboot Specification 0.6.96 on a PC, where the specification leaves a choice as
 * GRUB 2.06 does it.
 */
import { CR0_PE, CR0_PG } from '../../emulator/control-bits.ts';
import type { EntryState, MemoryRegion } from '../../emulator/entry-state.ts';
import { FLAG_IF, FLAG_RESERVED_1, FLAG_VM } from '../../emulator/flags.ts';
import { flatCode, flatData } from '../../emulator/segmentation.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { advise } from '../advice.ts';
import { type KnobbedProtocol, type Knobs, settleKnobs, startedBy } from '../knobs.ts';
import { checkClash, checkFits, checkInRam } from '../linux/placement.ts';
import * as map from '../pc/memory-map.ts';
import { NOTHING_PROMISED } from '../promises.ts';
import { type BootOptions, ProtocolError } from '../protocol.ts';
import { react } from '../reactions.ts';
import { arrangeRegions, endOf, findLow, hex, type Range, writtenRegion } from '../regions.ts';
import { CR0_PROTECTED, entryRegisters } from '../registers.ts';
import { encodeGdt, flatSegments, gdtr, NO_SYSTEM_TABLES } from '../segments.ts';
import { tryStart } from '../startable.ts';
import { placeMultiboot } from './image.ts';
import { MULTIBOOT_ADVICE, MULTIBOOT_REACTIONS } from './reactions.ts';
import {
  BOOTLOADER_MAGIC,
  buildMultibootInfo,
  type MultibootModule,
  type MultibootRequest,
  multibootInfoSize,
} from './structures.ts';

/** CODE_SEGMENT 0x10 and DATA_SEGMENT 0x18 of GRUB 2.06 grub-core/lib/i386/relocator_common.S. */
const CS_INDEX = 2;
const DS_INDEX = 3;
const GDT_ENTRIES = 4;
/** grub_multiboot_make_mbi asks for memory from here up to 0xa0000. */
const INFO_FROM = 0x10000;

function entryState(image: KernelImage, options: BootOptions): EntryState {
  const knobs = settleKnobs(multiboot, options, image);
  if (knobs.memory <= map.EXTENDED_MEMORY) {
    throw new ProtocolError(
      'bad-knob',
      `--memory is ${knobs.memory}; a PC needs more than 1048576 bytes`,
      true,
    );
  }
  const placed = placeMultiboot(image);
  checkFits(image, placed, knobs.memory);
  const banks = map.banks(knobs.memory);
  checkInRam(image, placed, banks);
  const machine = [...map.firmware(), ...(knobs.gdt === 'flat' ? [gdtRegion()] : [])];
  checkClash(image, placed, machine, 'a PC');
  const fixed = [...machine, ...placed.regions];
  const modules = placeModules(knobs, Math.max(...placed.regions.map(endOf)), fixed);
  const taken = [...fixed, ...modules.map(({ region }) => region)];
  const info = placeInfo(
    {
      cmdline: knobs.cmdline,
      modules: modules.map(({ module }) => module),
      memoryMap: map.e820(knobs.memory),
      lower: map.EBDA,
      upper: knobs.memory - map.EXTENDED_MEMORY,
    },
    taken,
  );
  return {
    ...startedBy(multiboot, knobs),
    ring: 0,
    ...cpuState(knobs, placed.entry, info.region.start),
    paging: { mode: 'off', mappings: [] },
    banks,
    regions: arrangeRegions([...taken, info.region], banks),
    structures: info.structures,
    platform: { hypervisor: 'none', hypercallVectors: [], cpuModel: knobs.cpu },
  };
}

const gdtRegion = (): MemoryRegion => {
  const contents = encodeGdt(GDT_ENTRIES, { [CS_INDEX]: flatCode(0), [DS_INDEX]: flatData(0) });
  return writtenRegion('loader GDT', map.GDT, 'loader', contents);
};

interface Placed {
  readonly module: MultibootModule;
  readonly region: MemoryRegion;
}

/** Each at the start of a page, as GRUB has them whether the image asks for it or not; the first behind the kernel. */
function placeModules(knobs: Knobs, kernelEnd: number, taken: readonly Range[]): readonly Placed[] {
  const files = [
    ...(knobs.initrd ? [{ name: 'initrd', contents: knobs.initrd, cmdline: '' }] : []),
    ...knobs.modules.map(({ name, contents, cmdline = '' }) => ({ name, contents, cmdline })),
  ];
  const placed: Placed[] = [];
  let from = Math.max(kernelEnd, map.EXTENDED_MEMORY);
  for (const [index, { name, contents, cmdline }] of files.entries()) {
    const size = contents.length;
    const start = findLow(size, from, knobs.memory, taken);
    if (start === undefined) {
      throw new ProtocolError(
        'module-too-big',
        `module ${name} is ${size} bytes long; there is no such room between ${hex(from)} and ${hex(knobs.memory)}`,
      );
    }
    const isInitrd = knobs.initrd !== undefined && index === 0;
    placed.push({
      module: { name, start, size, cmdline },
      region: {
        name: isInitrd ? 'initrd' : `module ${index}`,
        start,
        size,
        owner: 'boot-data',
        contents,
        defined: true,
      },
    });
    from = start + Math.max(size, 1);
  }
  return placed;
}

function placeInfo(request: MultibootRequest, taken: readonly Range[]) {
  const size = multibootInfoSize(request);
  const start = findLow(size, INFO_FROM, map.EBDA, taken);
  if (start === undefined) {
    throw new ProtocolError(
      'no-room',
      `multiboot_info with its command lines is ${size} bytes long; there is no such room between ${hex(INFO_FROM)} and ${hex(map.EBDA)}`,
    );
  }
  return buildMultibootInfo(request, start);
}

/**
 * Multiboot Specification, 3.2. GRUB 2.06 also gives %ecx = %edx = 0, a stack at 0x7ff00 for kernels that do not keep to
 * the specification, and its own GDT: an OS image must count on none of that.
 */
function cpuState(knobs: Knobs, entry: number, info: number) {
  return {
    registers: entryRegisters(
      {
        eax: { value: BOOTLOADER_MAGIC, meaning: 'started by a Multiboot loader' },
        ebx: { value: info, meaning: 'multiboot_info (physical)' },
      },
      'poison',
    ),
    eip: entry,
    eflags: FLAG_RESERVED_1,
    segments: flatSegments(0, CS_INDEX, DS_INDEX, { value: 'data', promised: true }),
    ...NO_SYSTEM_TABLES,
    gdtr: gdtr(knobs.gdt, map.GDT, GDT_ENTRIES),
    control: { cr0: CR0_PROTECTED, cr2: 0, cr3: 0, cr4: 0, efer: 0 },
    promises: { ...NOTHING_PROMISED, eflags: FLAG_VM | FLAG_IF, cr0: (CR0_PE | CR0_PG) >>> 0 },
  };
}

export const multiboot: KnobbedProtocol = {
  name: 'multiboot',
  summary: 'a Multiboot loader: Multiboot 0.6.96 as GRUB 2 does it, ring 0, %ebx = multiboot_info',
  page: 'protocols/multiboot.md',
  knobs: ['memory', 'cmdline', 'initrd', 'modules', 'gdt', 'poison', 'cpu'],
  unpacks: false,
  defaults: { ring: 0, paging: 'off', gdt: 'none', keepSegments: false, subarch: 0, cpu: 'i686' },
  canStart: image => tryStart(image, entryState),
  entryState,
  reaction: (stop, entry) => react(MULTIBOOT_REACTIONS, stop, entry),
  advice: (stop, image, entry) => advise(MULTIBOOT_ADVICE, stop, image, entry),
};
