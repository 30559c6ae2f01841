/**
 * `xen-startup32`: what was proposed in 2007 and never shipped: Xen enters Linux by the 32-bit boot protocol, at startup_32,
 * with a hardware_subarch of its own. docs/protocols/xen-startup32.md.
 */
import { CR0_PG, CR4_OSFXSR, CR4_OSXMMEXCPT } from '../../emulator/control-bits.ts';
import type { ControlRegisters } from '../../emulator/cpu-state.ts';
import type { EntryState, MemoryBank, PageMapping, PagingMode } from '../../emulator/entry-state.ts';
import { FLAG_IF, FLAG_RESERVED_1 } from '../../emulator/flags.ts';
import { type PlacedTablePage, placePageTables } from '../../emulator/page-tables.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { advise } from '../advice.ts';
import { type KnobbedProtocol, type Knobs, settleKnobs, spellKnobs } from '../knobs.ts';
import { loadedHigh, loadflags, placeBootData, placeImage, shownVersion } from '../linux/boot-data.ts';
import { checkCommandLine } from '../linux/boot-params.ts';
import * as linux from '../linux/layout.ts';
import { checkEntry, checkFits } from '../linux/placement.ts';
import type { BootOptions } from '../protocol.ts';
import { react } from '../reactions.ts';
import { arrangeRegions, endOf } from '../regions.ts';
import { CR0_HYPERVISOR, entryControl, entryRegisters } from '../registers.ts';
import { NULL_SEGMENT } from '../segments.ts';
import { tryStart } from '../startable.ts';
import { BUILDER_SOURCE, type DomainBuilder } from '../xen/builder.ts';
import { machineToPhys, region } from '../xen/domain.ts';
import { HYPERCALL_ARGUMENTS, HYPERCALL_VECTOR, xenHypercallName } from '../xen/hypercalls.ts';
import { GDT_SIZE, xenGdt, xenSegments } from '../xen/segments.ts';
import { startInfo } from '../xen/start-info.ts';
import { encodeWords, MAX_GUEST_CMDLINE, sharedInfo } from '../xen/structures.ts';
import { domainTables, type Hole, holeOf, layOut, mappings, type StartOfDay } from './layout.ts';
import { STARTUP32_ADVICE, STARTUP32_REACTIONS } from './reactions.ts';

/** type_of_loader: 9 is Xen, version 0 (boot.rst); Linux's own Xen entry writes the same into its boot_params. */
const LOADER_XEN = 0x90;
const SUBARCH_XEN = 2;

/** J. Fitzhardinge, 2007-04-30: a boot_params in %esi, with room for a pointer to Xen's own structure. */
const PROPOSAL = 'lkml.iu.edu/hypermail/linux/kernel/0704.3/3820.html';

/** #BP and #OF, as for any paravirtual guest. */
const OPEN_VECTORS = [3, 4];

function entryState(image: KernelImage, options: BootOptions): EntryState {
  const knobs = settleKnobs(xenStartup32, options, image);
  const { ring, memory, paging, xenHost } = knobs;
  const placed = placeImage(image, knobs);
  checkFits(image, placed, memory);
  checkEntry(image, placed);
  checkCommandLine(knobs.cmdline, MAX_GUEST_CMDLINE - 1, 'start_info');

  const hole = holeOf(paging);
  const m2p = machineToPhys(0, memory);
  const user = ring === 3;
  // How many there are does not hang on where they go: all memory is mapped.
  const tableCount =
    paging === 'off'
      ? 0
      : domainTables(paging, mappings(memory, undefined, hole, m2p.length, user), hole).length;
  // boot_params holds the address of start_info, and start_info that of the initrd: place all, then write.
  const fields = (startInfoAt: number) => bootParamsFields(image, knobs, placed, startInfoAt);
  const room = { below: memory, initrdFrom: 0, taken: placed.regions };
  const imageEnd = Math.max(...placed.regions.map(endOf));
  const found = placeBootData(image, knobs, room, fields(0));
  const day = layOut(image.name, memory, imageEnd, tableCount, [...placed.regions, ...found.regions]);
  const data = placeBootData(image, knobs, room, fields(day.startInfo));

  const mapped = paging === 'off' ? [] : mappings(memory, day.pageTables, hole, m2p.length, user);
  const xen = xenMemory(hole);
  const tables = placeTables(knobs, mapped, day, hole, xen.tables);
  const banks: readonly MemoryBank[] = [
    { name: 'domain memory', start: 0, size: memory, kind: 'ram' },
    { name: 'machine-to-phys table', start: hole.m2p, size: m2p.length, kind: 'ram' },
    { name: 'Xen memory', start: xen.gdt, size: xen.tables + tables.xen.length - xen.gdt, kind: 'ram' },
  ];
  const builder: DomainBuilder = { domain: 'domU', host: xenHost, supervisor: false };
  const info = startInfo(builder, {
    nrPages: memory / PAGE_SIZE,
    sharedInfo: xen.sharedInfo,
    rings: day.rings,
    pageTables: paging === 'off' ? 0 : day.pageTables.start,
    tables: tableCount,
    p2m: day.p2m.start,
    initrd: data.initrd,
    initrdPfn: undefined,
    cmdline: knobs.cmdline,
    firstPages: undefined,
  });
  const shared = sharedInfo(BUILDER_SOURCE.domU[xenHost]);
  const empty = new Uint8Array(0);
  const regions = [
    ...placed.regions,
    ...data.regions,
    region(
      'phys-to-machine list',
      day.p2m.start,
      'boot-data',
      encodeWords(memory / PAGE_SIZE, pfn => pfn),
    ),
    region('start_info', day.startInfo, 'boot-data', info.bytes, PAGE_SIZE),
    region('xenstore page', day.rings.store, 'boot-data', empty, PAGE_SIZE),
    region('console page', day.rings.console, 'boot-data', empty, PAGE_SIZE),
    region('page tables', day.pageTables.start, 'boot-data', tables.domain),
    { name: 'boot stack', start: day.stack, size: PAGE_SIZE, owner: 'boot-data', defined: false } as const,
    region('machine-to-phys table', hole.m2p, 'boot-data', m2p),
    { ...region('Xen GDT', xen.gdt, 'loader', xenGdt(xenHost, ring, hole.m2pEnd)), guarded: true },
    region('shared_info', xen.sharedInfo, 'boot-data', shared.bytes, PAGE_SIZE),
    region('Xen page tables', xen.tables, 'loader', tables.xen),
  ];
  return {
    protocol: xenStartup32.name,
    knobs: spellKnobs(xenStartup32, knobs),
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
    ldtr: NULL_SEGMENT,
    tr: NULL_SEGMENT,
    gdtr: { base: xen.gdt, limit: GDT_SIZE - 1 },
    idtr: { base: 0, limit: 0 },
    control: controlOf(paging, tables.cr3),
    paging: { mode: paging, mappings: mapped },
    banks,
    regions: arrangeRegions(regions, banks),
    structures: [data.structure, info.describe(day.startInfo), shared.describe(xen.sharedInfo)],
    platform: {
      hypervisor: 'xen',
      hypercallVectors: [HYPERCALL_VECTOR],
      openVectors: OPEN_VECTORS,
      hypercallArguments: HYPERCALL_ARGUMENTS,
      cpuModel: knobs.cpu,
    },
    ...(knobs.poison ? { poison: true } : {}),
  };
}

/** As a domain has them, with the paging that the knob asks for. */
function controlOf(paging: PagingMode, cr3: number): ControlRegisters {
  const control = entryControl((CR0_HYPERVISOR & ~CR0_PG) >>> 0, paging, cr3);
  return { ...control, cr4: control.cr4 | CR4_OSFXSR | CR4_OSXMMEXCPT };
}

/** Xen's own memory, in address order; its page tables come last. */
function xenMemory({ m2pEnd }: Hole) {
  const sharedInfoAt = m2pEnd + GDT_SIZE;
  return { gdt: m2pEnd, sharedInfo: sharedInfoAt, tables: sharedInfoAt + PAGE_SIZE };
}

function bootParamsFields(
  image: KernelImage,
  knobs: Knobs,
  placed: ReturnType<typeof placeImage>,
  startInfoAt: number,
): Parameters<typeof placeBootData>[3] {
  return {
    signature: true,
    version: shownVersion(image, linux.VERSION_2_07, true),
    typeOfLoader: LOADER_XEN,
    loadflags: loadflags(knobs.keepSegments, loadedHigh(image)),
    hardwareSubarch: knobs.subarch,
    ...(placed.code32Start === undefined ? {} : { code32Start: placed.code32Start }),
    ...(placed.kernelAlignment === undefined ? {} : { kernelAlignment: placed.kernelAlignment }),
    e820: [{ start: 0, size: knobs.memory, type: linux.E820_RAM }],
    ...(knobs.subarch === SUBARCH_XEN
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

function placeTables(
  { paging }: Knobs,
  mapped: readonly PageMapping[],
  day: StartOfDay,
  hole: Hole,
  xenTables: number,
) {
  if (paging === 'off') return { cr3: 0, domain: new Uint8Array(0), xen: new Uint8Array(0) };
  const count = domainTables(paging, mapped, hole).length;
  const { cr3, pages } = placePageTables(paging, mapped, (_, index) =>
    index < count ? day.pageTables.start + index * PAGE_SIZE : xenTables + (index - count) * PAGE_SIZE,
  );
  return { cr3, domain: join(pages.slice(0, count)), xen: join(pages.slice(count)) };
}

function join(pages: readonly PlacedTablePage[]): Uint8Array {
  const bytes = new Uint8Array(pages.length * PAGE_SIZE);
  for (const [index, { contents }] of pages.entries()) bytes.set(contents, index * PAGE_SIZE);
  return bytes;
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
    subarch: SUBARCH_XEN,
    cpu: 'i686-hv',
    xenHost: 64,
  },
  canStart: image => tryStart(image, entryState),
  entryState,
  reaction: (stop, entry) => react(STARTUP32_REACTIONS, stop, entry),
  advice: (stop, image, entry) => advise(STARTUP32_ADVICE, stop, image, entry),
  hypercallName: xenHypercallName,
};
