/**
 * `lguest`: Linux's own small hypervisor, from Linux 2.6.23, the first with it, to 4.13, the last. The launcher is
 * lguest.c, the host drivers/lguest/x86/core.c (2.6.23: lguest_user.c) and segments.c.
 */
import { CR0_PG, CR4_PAE } from '../../emulator/control-bits.ts';
import type { EntryState, MemoryBank, Platform } from '../../emulator/entry-state.ts';
import { FLAG_IF, FLAG_RESERVED_1 } from '../../emulator/flags.ts';
import { flatCode, flatData } from '../../emulator/segmentation.ts';
import type { BzImage, ElfImage, KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { advise } from '../advice.ts';
import { type KnobbedProtocol, type Knobs, settleKnobs, startedBy } from '../knobs.ts';
import * as layout from '../linux/layout.ts';
import { checkEntry, checkFits, type PlacedImage, placeCode, placeElf } from '../linux/placement.ts';
import { loaderMemory } from '../loader-memory.ts';
import { HYPERVISOR_PROMISES } from '../promises.ts';
import { type BootOptions, ProtocolError } from '../protocol.ts';
import { react } from '../reactions.ts';
import { arrangeRegions, endOf, writtenRegion } from '../regions.ts';
import { CR0_HYPERVISOR, entryRegisters } from '../registers.ts';
import { encodeGdt, flatSegments, gdtr, NO_SYSTEM_TABLES } from '../segments.ts';
import { tryStart } from '../startable.ts';
import { BOOT_PARAMS, launcherData } from './boot-data.ts';
import { type LguestEra, lguestEra } from './eras.ts';
import { behindMagic, findGenuineEntry, noMagic } from './genuine.ts';
import { LGUEST_TRAP_ENTRY, lguestHypercallName } from './hypercalls.ts';
import {
  guestMappings,
  guestTables,
  guestTablesSize,
  PAGE_OFFSET,
  type TablesRequest,
} from './page-tables.ts';
import { eraOf, LGUEST_ADVICE, LGUEST_REACTIONS } from './reactions.ts';
import { intuitPageOffset, unpackBzImage } from './unpack.ts';

const BZIMAGE_LOAD = 0x100000;

// The host's GDT for a guest (asm/segment.h, drivers/lguest/segments.c).
const GDT_ENTRIES = 32;
const LGUEST_CS_INDEX = 10;
const LGUEST_DS_INDEX = 11;
const KERNEL_CS_INDEX = 12;
const KERNEL_DS_INDEX = 13;

interface Loaded {
  readonly placed: PlacedImage;
  /** Linear address of the first instruction. */
  readonly eip: number;
  /** What the launcher of 2.6.23 finds. */
  readonly pageOffset?: number;
}

function loadElf(image: ElfImage, era: LguestEra): Loaded {
  if (image.type !== 'ET_EXEC') {
    throw new ProtocolError(
      'elf-type',
      `${image.name}: e_type is ${image.type}; the lguest launcher takes ET_EXEC only`,
    );
  }
  const parts = placeElf(image);
  if (era.findsEntry) {
    const { physical, pageOffset } = findGenuineEntry(image);
    return { placed: { ...parts, entry: physical }, eip: (physical + pageOffset) >>> 0, pageOffset };
  }
  // The launcher takes e_entry as it is; where memory is at PAGE_OFFSET too, that may be a virtual address.
  const { entry } = image;
  const isHigh = era.tables === 'both' && entry >= PAGE_OFFSET;
  return { placed: { ...parts, entry: isHigh ? entry - PAGE_OFFSET : entry }, eip: entry };
}

/** The kernel inside, found and guessed as the launcher of 2.6.23 does. */
function loadUnpacked(image: BzImage, memory: number): Loaded {
  const kernel = unpackBzImage(image, memory - BZIMAGE_LOAD);
  const pageOffset = intuitPageOffset(image, kernel);
  const at = behindMagic(kernel);
  if (at < 0) throw noMagic(`the kernel in ${image.name}`);
  const region = writtenRegion('unpacked kernel', BZIMAGE_LOAD, 'kernel', kernel);
  const entry = BZIMAGE_LOAD + at;
  return {
    placed: { entry, regions: [region], ranges: [region] },
    eip: (entry + pageOffset) >>> 0,
    pageOffset,
  };
}

/** From 2.6.24 on the launcher loads every bzImage at 1 MiB and starts it at code32_start, relocatable or not. */
function loadBzImage(image: BzImage, era: LguestEra, memory: number): Loaded {
  if (era.findsEntry) return loadUnpacked(image, memory);
  const { code32Start } = image.setup;
  return { placed: placeCode(image, BZIMAGE_LOAD, code32Start), eip: code32Start };
}

/** The knobs, as far as the era has them. */
function settle(
  image: KernelImage,
  options: BootOptions,
): { readonly knobs: Knobs; readonly era: LguestEra } {
  const knobs = settleKnobs(lguest, options, image);
  const era = lguestEra(knobs.era);
  if (knobs.paging === 'pae' && !era.pae) {
    throw new ProtocolError(
      'bad-knob',
      `--paging is pae; lguest of Linux ${era.version} has 32-bit paging only, and PAE from 2.6.31 on`,
      true,
    );
  }
  if (knobs.paging === 'off' && era.findsEntry) {
    throw new ProtocolError(
      'bad-knob',
      `--paging is off; lguest of Linux ${era.version} enters the kernel at its virtual address, where nothing is without paging`,
      true,
    );
  }
  const keepSegments = options.keepSegments ?? (era.bootProtocol && knobs.keepSegments);
  return { knobs: { ...knobs, keepSegments }, era };
}

const hostGdt = (knobs: Knobs): Uint8Array =>
  encodeGdt(GDT_ENTRIES, {
    [LGUEST_CS_INDEX]: flatCode(0),
    [LGUEST_DS_INDEX]: flatData(0),
    [KERNEL_CS_INDEX]: flatCode(knobs.ring),
    [KERNEL_DS_INDEX]: flatData(knobs.ring),
  });

/** EBX, ECX, EDX, ESI need not be said: they are the default. */
const DEFAULT_ARGUMENTS = 4;

const platformOf = (knobs: Knobs, era: LguestEra): Platform => ({
  hypervisor: 'lguest',
  hypercallVectors: [LGUEST_TRAP_ENTRY],
  ...(era.hypercallArguments.length < DEFAULT_ARGUMENTS
    ? { hypercallArguments: era.hypercallArguments }
    : {}),
  ...(era.vmcall ? { vmcall: true } : {}),
  cpuModel: knobs.cpu,
});

function entryState(image: KernelImage, options: BootOptions): EntryState {
  const { knobs, era } = settle(image, options);
  const { memory, paging: mode } = knobs;
  const { placed, eip, pageOffset } =
    image.format === 'elf' ? loadElf(image, era) : loadBzImage(image, era, memory);
  checkFits(image, placed, memory);
  checkEntry(image, placed);
  const wanted: TablesRequest | undefined =
    mode === 'off' || era.tables === 'none'
      ? undefined
      : { tables: era.tables, mode, memory, ...(pageOffset === undefined ? {} : { pageOffset }) };
  const kernelEnd = Math.max(...placed.regions.map(endOf));
  const data = launcherData(knobs, era, kernelEnd, wanted ? guestTablesSize(wanted) : 0);
  const tables = wanted && guestTables(wanted, data.top);
  const ram: MemoryBank = { name: 'guest memory', start: 0, size: memory, kind: 'ram' };
  const host = loaderMemory({
    owner: 'lguest host',
    mode,
    mappings: mode === 'off' ? [] : guestMappings(era.tables, mode, memory, pageOffset),
    ...(knobs.gdt === 'flat' ? { gdt: hostGdt(knobs) } : {}),
  });
  const banks = [ram, ...host.banks];
  return {
    ...startedBy(lguest, knobs),
    ring: knobs.ring,
    // lguest_arch_setup_regs (2.6.23: setup_regs): everything zero but segments, EFLAGS, EIP and ESI.
    registers: entryRegisters({ esi: { value: BOOT_PARAMS, meaning: 'boot_params (physical)' } }, 'zero'),
    eip,
    eflags: FLAG_RESERVED_1 | FLAG_IF,
    segments: flatSegments(knobs.ring, KERNEL_CS_INDEX, KERNEL_DS_INDEX, { value: 'null', promised: true }),
    ...NO_SYSTEM_TABLES,
    gdtr: gdtr(knobs.gdt, host.gdtBase, GDT_ENTRIES),
    control: {
      cr0: mode === 'off' ? CR0_HYPERVISOR & ~CR0_PG : CR0_HYPERVISOR,
      cr2: 0,
      cr3: host.cr3,
      cr4: mode === 'pae' ? CR4_PAE : 0,
      efer: 0,
    },
    promises: { ...HYPERVISOR_PROMISES, gdt: knobs.gdt === 'flat' },
    paging: host.paging,
    banks,
    regions: arrangeRegions(
      [...placed.regions, ...data.regions, ...(tables ? [tables.region] : []), ...host.regions],
      banks,
    ),
    structures: [data.structure],
    platform: platformOf(knobs, era),
  };
}

export const lguest: KnobbedProtocol = {
  name: 'lguest',
  summary: 'lguest of Linux 2.6.23 to 4.13: ring 1, boot_params at 0, subarch 1, paging on',
  page: 'protocols/lguest.md',
  knobs: [
    'memory',
    'cmdline',
    'initrd',
    'ring',
    'paging',
    'gdt',
    'keepSegments',
    'subarch',
    'poison',
    'cpu',
    'era',
  ],
  unpacks: false,
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
  hypercallName: (number, call) => lguestHypercallName(number, eraOf(call?.entry)),
};
