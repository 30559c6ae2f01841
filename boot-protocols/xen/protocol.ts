/**
 * `xen`: a 32-bit PAE paravirtual guest (domU) as the domain builder of Xen 4.14 starts it: tools/libxc/xc_dom_x86.c,
 * xen/include/public/arch-x86/xen-x86_32.h. Machine frames are chosen so that machine address = virtual address.
 */
import { CR4_OSFXSR, CR4_OSXMMEXCPT, CR4_PAE } from '../../emulator/control-bits.ts';
import type { EntryState, MemoryBank, MemoryRegion, PageMapping } from '../../emulator/entry-state.ts';
import { FLAG_IF, FLAG_RESERVED_1 } from '../../emulator/flags.ts';
import {
  type EntryFlags,
  type PlacedTablePage,
  PTE_ACCESSED,
  PTE_DIRTY,
  PTE_PRESENT,
  PTE_USER,
  PTE_WRITABLE,
  placePageTables,
  planPageTables,
} from '../../emulator/page-tables.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import { DESCRIPTOR_SIZE, flatCode, flatData } from '../../emulator/segmentation.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { advise } from '../advice.ts';
import { type KnobbedProtocol, type Knobs, settleKnobs, spellKnobs } from '../knobs.ts';
import { checkCommandLine, encodeCommandLine } from '../linux/boot-params.ts';
import { type BootOptions, ProtocolError } from '../protocol.ts';
import { react } from '../reactions.ts';
import { arrangeRegions, endOf, hex, roundUp } from '../regions.ts';
import { CR0_HYPERVISOR, entryRegisters } from '../registers.ts';
import { encodeGdt, flatSegments, NULL_SEGMENT } from '../segments.ts';
import { tryStart } from '../startable.ts';
import { HYPERCALL_ARGUMENTS, HYPERCALL_VECTOR, xenHypercallName } from './hypercalls.ts';
import { checkNotes, readXenImage, type XenImage } from './image.ts';
import { inDomain, layOut, M2P, mapping, type StartOfDay, XEN_MEMORY } from './layout.ts';
import { XEN_ADVICE, XEN_REACTIONS } from './reactions.ts';
import {
  encodeSharedInfo,
  encodeStartInfo,
  encodeWords,
  MAX_GUEST_CMDLINE,
  SIF_MOD_START_PFN,
} from './structures.ts';

// GDT indices of FLAT_RING1_CS 0xe019, FLAT_RING1_DS 0xe021, FLAT_RING3_CS 0xe02b, FLAT_RING3_DS 0xe033.
const RING1_CS_INDEX = 7171;
const RING1_DS_INDEX = 7172;
const RING3_CS_INDEX = 7173;
const RING3_DS_INDEX = 7174;
/** 14 pages for the guest's own descriptors, then one of Xen's (FIRST_RESERVED_GDT_ENTRY 7168). */
const GDT_SIZE = 15 * PAGE_SIZE;

// Xen's own memory, in address order; the page tables follow.
const GDT = XEN_MEMORY;
const SHARED_INFO = GDT + GDT_SIZE;
const XEN_TABLES = SHARED_INFO + PAGE_SIZE;

/** #BP and #OF: their gates in Xen's IDT have DPL 3 (Xen 4.14 xen/arch/x86/traps.c). */
const OPEN_VECTORS = [3, 4];

const STORE_EVTCHN = 1;
const CONSOLE_EVTCHN = 2;

/** INVALID_M2P_ENTRY: a frame that is not this domain's. */
const INVALID_M2P_ENTRY = 0xffffffff;

/**
 * Entry bits as libxc writes them, but for L3. There libxc writes 0x67, and a 64-bit Xen keeps U and RW in the guest's own
 * page (Xen 4.14 pv/mm.h, adjust_guest_l3e), so that a guest that reads its L3 table sees them. Here the CPU itself walks
 * that page as a PAE page-directory-pointer table, whose entries reserve every low bit but P, PWT and PCD (SDM vol. 3,
 * table 4-8); the engines check them.
 */
const FLAGS: EntryFlags = {
  pdpt: PTE_PRESENT,
  directory: PTE_PRESENT | PTE_WRITABLE | PTE_USER | PTE_ACCESSED | PTE_DIRTY,
  leaf: page => PTE_PRESENT | (page.writable ? PTE_WRITABLE : 0) | (page.user ? PTE_USER : 0) | PTE_ACCESSED,
};

function entryState(image: KernelImage, options: BootOptions): EntryState {
  const knobs = settleKnobs(xen, options, image);
  const guest = readXenImage(image);
  checkCommandLine(knobs.cmdline, MAX_GUEST_CMDLINE - 1, 'start_info');
  if (guest.virtBase + knobs.memory > M2P) {
    throw new ProtocolError(
      'bad-knob',
      `--memory is ${knobs.memory}; with VIRT_BASE ${hex(guest.virtBase)} at most ${M2P - guest.virtBase} bytes end below Xen's ${hex(M2P)}`,
      true,
    );
  }
  const initrdUnmapped = (guest.guest.modStartPfn ?? 0) !== 0;
  const day = layOut({
    name: image.name,
    virtBase: guest.virtBase,
    imageEnd: guest.end,
    memory: knobs.memory,
    initrdSize: knobs.initrd?.length ?? 0,
    initrdUnmapped,
  });
  const m2p = machineToPhys(guest.virtBase, knobs.memory);
  const mappings = entryMappings(day, m2p.length, knobs);
  const tables = placeTables(day, mappings);
  const xenTables = tables.pages.filter(page => !inDomain(page));
  const banks: readonly MemoryBank[] = [
    { name: 'domain memory', start: guest.virtBase, size: knobs.memory, kind: 'ram' },
    { name: 'machine-to-phys table', start: M2P, size: m2p.length, kind: 'ram' },
    {
      name: 'Xen memory',
      start: XEN_MEMORY,
      size: XEN_TABLES + xenTables.length * PAGE_SIZE - XEN_MEMORY,
      kind: 'ram',
    },
  ];
  const regions = [
    ...guest.regions,
    ...domainRegions(day, knobs, initrdUnmapped, tables.pages),
    region('machine-to-phys table', M2P, 'boot-data', m2p),
    { ...region('Xen GDT', GDT, 'loader', gdt(knobs)), guarded: true },
    region('shared_info', SHARED_INFO, 'boot-data', encodeSharedInfo(), PAGE_SIZE),
    region('Xen page tables', XEN_TABLES, 'loader', joinPages(xenTables)),
  ];
  return {
    protocol: xen.name,
    knobs: spellKnobs(xen, knobs),
    ring: knobs.ring,
    ...cpuState(guest, day, knobs, tables.cr3),
    paging: { mode: 'pae', mappings },
    banks,
    regions: arrangeRegions(regions, banks),
    platform: {
      hypervisor: 'xen',
      hypercallVectors: [HYPERCALL_VECTOR],
      openVectors: OPEN_VECTORS,
      hypercallArguments: HYPERCALL_ARGUMENTS,
      ...(guest.hypercallPage === undefined ? {} : { hypercallPage: guest.hypercallPage }),
      cpuModel: knobs.cpu,
    },
    ...(knobs.poison ? { poison: true } : {}),
  };
}

const region = (
  name: string,
  start: number,
  owner: MemoryRegion['owner'],
  contents: Uint8Array,
  size = contents.length,
): MemoryRegion => ({ name, start, size, owner, contents, defined: true });

/** Word n is the pseudo-physical frame of machine frame n: from frame 0 to the last of the domain, in whole pages. */
function machineToPhys(virtBase: number, memory: number): Uint8Array {
  const first = virtBase / PAGE_SIZE;
  const end = first + memory / PAGE_SIZE;
  const bytes = new Uint8Array(roundUp(end * 4, PAGE_SIZE)).fill(INVALID_M2P_ENTRY & 0xff);
  bytes.set(
    encodeWords(end - first, index => index),
    first * 4,
  );
  return bytes;
}

const gdt = (knobs: Knobs): Uint8Array =>
  encodeGdt(GDT_SIZE / DESCRIPTOR_SIZE, {
    [RING1_CS_INDEX]: flatCode(knobs.ring),
    [RING1_DS_INDEX]: flatData(knobs.ring),
    [RING3_CS_INDEX]: flatCode(3),
    [RING3_DS_INDEX]: flatData(3),
  });

/** Everything of the area is writable but its page tables; Xen's part is read-only to a guest, or not its business. */
function entryMappings(day: StartOfDay, m2pSize: number, knobs: Knobs): readonly PageMapping[] {
  // A kernel in ring 3 needs user pages, as under a 64-bit Xen; rings 0 to 2 are supervisor to paging.
  const user = knobs.ring === 3;
  const { virtBase, pageTables, mappedEnd } = day;
  return [
    mapping('domain memory', virtBase, pageTables.start - virtBase, true, user),
    mapping('page tables', pageTables.start, pageTables.size, false, user),
    mapping('domain memory', endOf(pageTables), mappedEnd - endOf(pageTables), true, user),
    mapping('machine-to-phys table', M2P, m2pSize, false, user),
    mapping('Xen GDT', GDT, GDT_SIZE, true),
  ];
}

/** The domain's tables where the layout has room for them, Xen's L1 tables in Xen's memory. */
function placeTables(day: StartOfDay, mappings: readonly PageMapping[]) {
  const inDomainCount = planPageTables('pae', mappings).filter(inDomain).length;
  return placePageTables(
    'pae',
    mappings,
    (page, index) =>
      inDomain(page)
        ? day.pageTables.start + index * PAGE_SIZE
        : XEN_TABLES + (index - inDomainCount) * PAGE_SIZE,
    FLAGS,
  );
}

function joinPages(pages: readonly PlacedTablePage[]): Uint8Array {
  const bytes = new Uint8Array(pages.length * PAGE_SIZE);
  for (const [index, page] of pages.entries()) bytes.set(page.contents, index * PAGE_SIZE);
  return bytes;
}

const pfnOf = (address: number): number => address / PAGE_SIZE;

/** What the builder puts into the domain besides the image. */
function domainRegions(
  day: StartOfDay,
  knobs: Knobs,
  initrdUnmapped: boolean,
  tables: readonly PlacedTablePage[],
): readonly MemoryRegion[] {
  const nrPages = knobs.memory / PAGE_SIZE;
  const firstMfn = pfnOf(day.virtBase);
  const { initrd } = day;
  const startInfo = encodeStartInfo({
    nrPages,
    sharedInfo: SHARED_INFO,
    flags: initrd && initrdUnmapped ? SIF_MOD_START_PFN : 0,
    storeMfn: pfnOf(day.store),
    storeEvtchn: STORE_EVTCHN,
    consoleMfn: pfnOf(day.console),
    consoleEvtchn: CONSOLE_EVTCHN,
    ptBase: day.pageTables.start,
    nrPtFrames: day.pageTables.size / PAGE_SIZE,
    mfnList: day.p2m.start,
    modStart: initrd ? (initrdUnmapped ? pfnOf(initrd.start - day.virtBase) : initrd.start) : 0,
    modLen: initrd?.size ?? 0,
    cmdLine: encodeCommandLine(knobs.cmdline),
  });
  const empty = new Uint8Array(0);
  return [
    ...(initrd && knobs.initrd ? [region('initrd', initrd.start, 'boot-data', knobs.initrd)] : []),
    region(
      'phys-to-machine list',
      day.p2m.start,
      'boot-data',
      encodeWords(nrPages, pfn => pfn + firstMfn),
    ),
    region('start_info', day.startInfo, 'boot-data', startInfo, PAGE_SIZE),
    region('xenstore page', day.store, 'boot-data', empty, PAGE_SIZE),
    region('console page', day.console, 'boot-data', empty, PAGE_SIZE),
    region('page tables', day.pageTables.start, 'boot-data', joinPages(tables.filter(inDomain))),
    { name: 'boot stack', start: day.stack, size: PAGE_SIZE, owner: 'boot-data', defined: false },
  ];
}

/** xc_dom_x86.c vcpu_x86_32: everything else is zero. The real IF is always 1. */
function cpuState(guest: XenImage, day: StartOfDay, knobs: Knobs, cr3: number) {
  return {
    registers: entryRegisters(
      {
        esi: { value: day.startInfo, meaning: 'start_info (virtual)' },
        esp: { value: day.stack + PAGE_SIZE, meaning: 'top of the boot stack' },
      },
      'zero',
    ),
    eip: guest.entry,
    eflags: FLAG_RESERVED_1 | FLAG_IF,
    segments: flatSegments(knobs.ring, RING1_CS_INDEX, RING1_DS_INDEX, { value: 'data', promised: true }),
    ldtr: NULL_SEGMENT,
    tr: NULL_SEGMENT,
    gdtr: knobs.gdt === 'flat' ? { base: GDT, limit: GDT_SIZE - 1 } : { base: 0, limit: 0 },
    idtr: { base: 0, limit: 0 },
    // CR4 is Xen's own; SSE state is on in every Xen (Xen 4.14 xen/arch/x86/setup.c).
    control: { cr0: CR0_HYPERVISOR, cr2: 0, cr3, cr4: CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT, efer: 0 },
  };
}

export const xen: KnobbedProtocol = {
  name: 'xen',
  summary: 'a Xen 4.14 domain builder: 32-bit PAE PV guest by its ELF notes, ring 1, %esi = start_info',
  page: 'protocols/xen.md',
  knobs: ['memory', 'cmdline', 'initrd', 'ring', 'gdt', 'poison', 'cpu'],
  defaults: { ring: 1, paging: 'pae', gdt: 'flat', keepSegments: false, subarch: 0, cpu: 'i686-hv' },
  canStart: image => {
    const startable = checkNotes(image);
    return startable.ok ? tryStart(image, entryState) : startable;
  },
  entryState,
  reaction: (stop, entry) => react(XEN_REACTIONS, stop, entry),
  advice: (stop, image, entry) => advise(XEN_ADVICE, stop, image, entry),
  hypercallName: xenHypercallName,
};
