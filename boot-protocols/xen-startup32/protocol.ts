/**
 * `xen-startup32`: what was proposed in 2007 and never shipped: Xen enters Linux by the 32-bit boot protocol, at startup_32,
 * with a hardware_subarch of its own. docs/protocols/xen-startup32.md.
 */
import { CR0_PG, CR4_OSFXSR, CR4_OSXMMEXCPT, CR4_PAE } from '../../emulator/control-bits.ts';
import type { ControlRegisters } from '../../emulator/cpu-state.ts';
import type { EntryState, MemoryRegion, PageMapping, PagingMode } from '../../emulator/entry-state.ts';
import { FLAG_IF, FLAG_RESERVED_1, FLAG_VM } from '../../emulator/flags.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { advise } from '../advice.ts';
import { type KnobbedProtocol, type Knobs, settleKnobs, startedBy } from '../knobs.ts';
import {
  type BootData,
  loadedHigh,
  loadflags,
  placeBootData,
  placeImage,
  shownVersion,
} from '../linux/boot-data.ts';
import { checkCommandLine } from '../linux/boot-params.ts';
import * as linux from '../linux/layout.ts';
import { checkEntry, checkFits, type PlacedImage } from '../linux/placement.ts';
import { HYPERVISOR_PROMISES } from '../promises.ts';
import type { BootOptions } from '../protocol.ts';
import { react } from '../reactions.ts';
import { arrangeRegions, endOf, type Range, writtenRegion } from '../regions.ts';
import { CR0_HYPERVISOR, entryControl, entryRegisters } from '../registers.ts';
import { gdtr, NO_SYSTEM_TABLES } from '../segments.ts';
import { tryStart } from '../startable.ts';
import { BUILDER_SOURCE } from '../xen/builder.ts';
import { xenHypercallName, xenPlatform } from '../xen/hypercalls.ts';
import { GDT_ENTRIES, xenGdt, xenSegments } from '../xen/segments.ts';
import { MAX_GUEST_CMDLINE, sharedInfo } from '../xen/structures.ts';
import { machineToPhys, type XenContents, xenBanks, xenMemory, xenRegions } from '../xen/xen-memory.ts';
import { handOver } from './hand-over.ts';
import { domainTables, holeOf, layOut, mappings, placeTables, type StartOfDay } from './layout.ts';
import { STARTUP32_ADVICE, STARTUP32_REACTIONS } from './reactions.ts';

/** J. Fitzhardinge, 2007-04-30: a boot_params in %esi, with room for a pointer to Xen's own structure. */
const PROPOSAL = 'lkml.iu.edu/hypermail/linux/kernel/0704.3/3820.html';

function entryState(image: KernelImage, options: BootOptions): EntryState {
  const knobs = settleKnobs(xenStartup32, options, image);
  const { ring, memory, paging, xenHost } = knobs;
  const placed = placeImage(image, knobs);
  checkFits(image, placed, memory);
  checkEntry(image, placed);
  checkCommandLine(knobs.cmdline, MAX_GUEST_CMDLINE - 1, 'start_info');

  const hole = holeOf(paging);
  const xen = xenMemory(hole.m2p, hole.m2pEnd);
  const m2p = machineToPhys(0, memory);
  const map = (tables: Range | undefined): readonly PageMapping[] =>
    paging === 'off' ? [] : mappings(memory, tables, hole, m2p.length, ring === 3);
  // How many there are does not hang on where they go: all memory is mapped.
  const tableCount = paging === 'off' ? 0 : domainTables(paging, map(undefined), hole).length;
  const { data, day } = place(image, knobs, placed, tableCount);
  const mapped = map(day.pageTables);
  const tables = placeTables(paging, mapped, tableCount, day.pageTables.start, xen.tables);
  const handedOver = handOver(knobs, day, data.initrd, xen.sharedInfo, tableCount);
  const shared = sharedInfo(BUILDER_SOURCE.domU[xenHost]);
  const contents: XenContents = {
    m2p,
    gdt: xenGdt(xenHost, ring, hole.m2pEnd),
    sharedInfo: shared.bytes,
    tables: tables.xen,
  };
  const banks = xenBanks({ start: 0, size: memory }, xen, contents);
  const regions: readonly MemoryRegion[] = [
    ...placed.regions,
    ...data.regions,
    ...handedOver.regions,
    writtenRegion('page tables', day.pageTables.start, 'boot-data', tables.domain),
    { name: 'boot stack', start: day.stack, size: PAGE_SIZE, owner: 'boot-data', defined: false },
    ...xenRegions(xen, contents),
  ];
  return {
    ...startedBy(xenStartup32, knobs),
    ring,
    registers: entryRegisters(
      {
        esi: { value: data.bootParams.start, meaning: 'boot_params (virtual = physical)' },
        esp: { value: day.stack + PAGE_SIZE, meaning: 'top of the boot stack' },
      },
      'zero',
    ),
    eip: placed.entry,
    eflags: FLAG_RESERVED_1 | FLAG_IF,
    segments: xenSegments(xenHost, ring, hole.m2pEnd),
    ...NO_SYSTEM_TABLES,
    gdtr: gdtr('flat', xen.gdt, GDT_ENTRIES),
    control: controlOf(paging, tables.cr3),
    // Flat segments and a GDT; boot.rst's "interrupts disabled" cannot be kept.
    promises: { ...HYPERVISOR_PROMISES, selectors: false, eflags: FLAG_VM, cr4: CR4_PAE },
    paging: { mode: paging, mappings: mapped },
    banks,
    regions: arrangeRegions(regions, banks),
    structures: [data.structure, ...handedOver.structures, shared.describe(xen.sharedInfo)],
    platform: xenPlatform(knobs.cpu),
  };
}

/** As a domain has them, with the paging that the knob asks for. */
function controlOf(paging: PagingMode, cr3: number): ControlRegisters {
  const control = entryControl((CR0_HYPERVISOR & ~CR0_PG) >>> 0, paging, cr3);
  return { ...control, cr4: control.cr4 | CR4_OSFXSR | CR4_OSXMMEXCPT };
}

/** boot_params holds the address of start_info, and start_info that of the initrd: place all, then write. */
function place(
  image: KernelImage,
  knobs: Knobs,
  placed: PlacedImage,
  tables: number,
): { readonly data: BootData; readonly day: StartOfDay } {
  const { memory } = knobs;
  const room = { below: memory, initrdFrom: 0, taken: placed.regions };
  const withStartInfo = (at: number): BootData =>
    placeBootData(image, knobs, room, bootParamsFields(image, knobs, placed, at));
  const taken = [...placed.regions, ...withStartInfo(0).regions];
  const imageEnd = Math.max(...placed.regions.map(endOf));
  const day = layOut(image.name, memory, imageEnd, tables, taken);
  return { data: withStartInfo(day.startInfo), day };
}

function bootParamsFields(
  image: KernelImage,
  knobs: Knobs,
  placed: PlacedImage,
  startInfoAt: number,
): Parameters<typeof placeBootData>[3] {
  return {
    signature: true,
    version: shownVersion(image, linux.VERSION_2_07, true),
    // Linux's own Xen entry writes the same into its boot_params.
    typeOfLoader: linux.LOADER_XEN,
    loadflags: loadflags(knobs.keepSegments, loadedHigh(image)),
    hardwareSubarch: knobs.subarch,
    ...(placed.code32Start === undefined ? {} : { code32Start: placed.code32Start }),
    ...(placed.kernelAlignment === undefined ? {} : { kernelAlignment: placed.kernelAlignment }),
    e820: [{ start: 0, size: knobs.memory, type: linux.E820_RAM }],
    ...(knobs.subarch === linux.SUBARCH_XEN
      ? {
          others: {
            'hdr.hardware_subarch_data': {
              value: startInfoAt,
              meaning: 'start_info (virtual = physical)',
              citation: PROPOSAL,
            },
          },
        }
      : {}),
  };
}

export const xenStartup32: KnobbedProtocol = {
  name: 'xen-startup32',
  summary:
    'proposed in 2007, never shipped: Xen enters at startup_32, hardware_subarch 2, paging on 1:1, ring 1',
  page: 'protocols/xen-startup32.md',
  knobs: [
    'memory',
    'cmdline',
    'initrd',
    'loadAddress',
    'ring',
    'paging',
    'keepSegments',
    'subarch',
    'poison',
    'cpu',
    'xenHost',
  ],
  unpacks: false,
  defaults: {
    ring: 1,
    paging: 'pae',
    gdt: 'flat',
    keepSegments: true,
    subarch: linux.SUBARCH_XEN,
    cpu: 'i686-hv',
    xenHost: 64,
  },
  canStart: image => tryStart(image, entryState),
  entryState,
  reaction: (stop, entry) => react(STARTUP32_REACTIONS, stop, entry),
  advice: (stop, image, entry) => advise(STARTUP32_ADVICE, stop, image, entry),
  hypercallName: xenHypercallName,
};
