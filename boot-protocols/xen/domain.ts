/**
 * A 32-bit PAE domain at its first instruction. Machine frames are chosen so that machine address = virtual address.
 */
import { CR4_OSFXSR, CR4_OSXMMEXCPT, CR4_PAE } from '../../emulator/control-bits.ts';
import type { Ring } from '../../emulator/cpu-state.ts';
import type {
  EntryState,
  MemoryBank,
  MemoryRegion,
  PageMapping,
  Platform,
} from '../../emulator/entry-state.ts';
import { FLAG_IF, FLAG_RESERVED_1 } from '../../emulator/flags.ts';
import { PTE_ACCESSED, PTE_PRESENT, PTE_USER, PTE_WRITABLE } from '../../emulator/page-tables.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { type KnobbedProtocol, type Knobs, settleKnobs, spellKnobs } from '../knobs.ts';
import { checkCommandLine } from '../linux/boot-params.ts';
import { type BootOptions, ProtocolError } from '../protocol.ts';
import { arrangeRegions, endOf, hex, roundUp } from '../regions.ts';
import { CR0_HYPERVISOR, entryRegisters } from '../registers.ts';
import { NULL_SEGMENT } from '../segments.ts';
import { BUILDER_SOURCE, type DomainBuilder, M2P, M2P_END, XEN_MEMORY } from './builder.ts';
import { HYPERCALL_ARGUMENTS, HYPERCALL_VECTOR, hypercallPage, hypercallPageOfRing0 } from './hypercalls.ts';
import { fillHypercallPage, readXenImage, type XenImage } from './image.ts';
import { layOut, mapping, type StartOfDay } from './layout.ts';
import { GDT_SIZE, XEN_CS, xenGdt, xenSegments } from './segments.ts';
import { startInfo, vgaInfo } from './start-info.ts';
import { encodeWords, MAX_GUEST_CMDLINE, sharedInfo, VGA_INFO_OFFSET } from './structures.ts';
import { fillTables, xenTables } from './tables.ts';

// Xen's own memory, in address order; the page tables follow.
const GDT = XEN_MEMORY;
const SHARED_INFO = GDT + GDT_SIZE;
const XEN_TABLES = SHARED_INFO + PAGE_SIZE;

/** #BP and #OF: their gates in Xen's IDT have DPL 3 (Xen 4.14 xen/arch/x86/traps.c). */
const OPEN_VECTORS = [3, 4];

/** Where a 32-bit Xen is linked: __PAGE_OFFSET + 1 MiB (Xen 4.2 asm-x86/config.h). That `hypercall` is there is this builder's choice. */
const RING0_HYPERCALL_ENTRY = 0xff100000;

/** INVALID_M2P_ENTRY: a frame that is not this domain's. */
const INVALID_M2P_ENTRY = 0xffffffff;

/** What a kernel that is paravirtual in ring 0 is to ask Xen for, in place of what it can do there by itself. */
export type Instead = NonNullable<Platform['instead']>;

export interface DomainRequest {
  readonly protocol: KnobbedProtocol;
  readonly image: KernelImage;
  readonly options: BootOptions;
  readonly builder: (knobs: Knobs) => DomainBuilder;
  readonly instead?: Instead;
}

/** @throws {ProtocolError} when the image or a knob does not fit */
export function domainEntry({
  protocol,
  image,
  options,
  builder: builderOf,
  instead,
}: DomainRequest): EntryState {
  const knobs = settleKnobs(protocol, options, image);
  const builder = builderOf(knobs);
  const { host } = builder;
  const ring: Ring = builder.supervisor ? 0 : knobs.ring;
  const guest = readNamed(protocol, image, () => readXenImage(image, builder));
  checkCommandLine(knobs.cmdline, MAX_GUEST_CMDLINE - 1, 'start_info');
  if (guest.virtBase + knobs.memory > M2P) {
    throw new ProtocolError(
      'bad-knob',
      `--memory is ${knobs.memory}; with VIRT_BASE ${hex(guest.virtBase)} at most ${M2P - guest.virtBase} bytes end below Xen's ${hex(M2P)}`,
      true,
    );
  }
  // libxc 4.2 maps an initrd whatever the note says.
  const byPfn = (guest.guest.modStartPfn ?? 0) !== 0 && (builder.domain === 'dom0' || host === 64);
  const day = layOut({
    name: image.name,
    builder,
    virtBase: guest.virtBase,
    imageEnd: guest.end,
    memory: knobs.memory,
    initrdSize: knobs.initrd?.length ?? 0,
    initrdUnmapped: byPfn,
  });
  const page = builder.supervisor ? hypercallPageOfRing0(XEN_CS, RING0_HYPERCALL_ENTRY) : hypercallPage();
  const kernel = readNamed(protocol, image, () => fillHypercallPage(guest, page, day.mappedEnd));
  const m2p = machineToPhys(guest.virtBase, knobs.memory);
  const mappings = entryMappings(day, m2p.length, ring);
  const tables = placeTables(day, mappings);
  const banks: readonly MemoryBank[] = [
    { name: 'domain memory', start: guest.virtBase, size: knobs.memory, kind: 'ram' },
    { name: 'machine-to-phys table', start: M2P, size: m2p.length, kind: 'ram' },
    {
      name: 'Xen memory',
      start: XEN_MEMORY,
      size: XEN_TABLES + tables.xen.length - XEN_MEMORY,
      kind: 'ram',
    },
  ];
  const handedOver = handOver(builder, day, knobs, byPfn);
  const shared = sharedInfo(BUILDER_SOURCE[builder.domain][host]);
  const regions = [
    ...kernel,
    ...handedOver.regions,
    region('page tables', day.pageTables.start, 'boot-data', tables.domain),
    { name: 'boot stack', start: day.stack, size: PAGE_SIZE, owner: 'boot-data', defined: false } as const,
    region('machine-to-phys table', M2P, 'boot-data', m2p),
    { ...region('Xen GDT', GDT, 'loader', xenGdt(host, ring, M2P_END)), guarded: true },
    region('shared_info', SHARED_INFO, 'boot-data', shared.bytes, PAGE_SIZE),
    region('Xen page tables', XEN_TABLES, 'loader', tables.xen),
  ];
  return {
    protocol: protocol.name,
    knobs: spellKnobs(protocol, knobs),
    ring,
    ...cpuState(guest, day, knobs, tables.cr3),
    segments: xenSegments(host, ring, M2P_END),
    paging: { mode: 'pae', mappings },
    banks,
    regions: arrangeRegions(regions, banks),
    structures: [...handedOver.structures, shared.describe(SHARED_INFO)],
    platform: platformOf(guest, builder, knobs, instead),
    ...(knobs.poison ? { poison: true } : {}),
  };
}

/** A refusal as a whole sentence. */
function readNamed<T>(protocol: KnobbedProtocol, image: KernelImage, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new ProtocolError(
      error.code,
      `${image.name} cannot be started by ${protocol.name}: ${error.message}`,
    );
  }
}

function platformOf(
  guest: XenImage,
  { supervisor }: DomainBuilder,
  knobs: Knobs,
  instead: Instead | undefined,
): Platform {
  return {
    hypervisor: 'xen',
    hypercallVectors: [HYPERCALL_VECTOR],
    openVectors: OPEN_VECTORS,
    hypercallArguments: HYPERCALL_ARGUMENTS,
    ...(guest.hypercallPage === undefined ? {} : { hypercallPage: guest.hypercallPage }),
    ...(supervisor ? { hypercallEntry: { selector: XEN_CS, offset: RING0_HYPERCALL_ENTRY } } : {}),
    ...(instead === undefined ? {} : { instead }),
    cpuModel: knobs.cpu,
  };
}

export const region = (
  name: string,
  start: number,
  owner: MemoryRegion['owner'],
  contents: Uint8Array,
  size = contents.length,
): MemoryRegion => ({ name, start, size, owner, contents, defined: true });

/** Word n is the pseudo-physical frame of machine frame n: from frame 0 to the last of the domain, in whole pages. */
export function machineToPhys(virtBase: number, memory: number): Uint8Array {
  const first = virtBase / PAGE_SIZE;
  const end = first + memory / PAGE_SIZE;
  const bytes = new Uint8Array(roundUp(end * 4, PAGE_SIZE)).fill(INVALID_M2P_ENTRY & 0xff);
  bytes.set(
    encodeWords(end - first, index => index),
    first * 4,
  );
  return bytes;
}

/** Everything of the area is writable but its page tables; Xen's part is read-only to a guest, or not its business. */
function entryMappings(day: StartOfDay, m2pSize: number, ring: Ring): readonly PageMapping[] {
  // A kernel in ring 3 needs user pages; rings 0 to 2 are supervisor to paging.
  const user = ring === 3;
  const { virtBase, pageTables, mappedEnd } = day;
  return [
    mapping('domain memory', virtBase, pageTables.start - virtBase, true, user),
    mapping('page tables', pageTables.start, pageTables.size, false, user),
    mapping('domain memory', endOf(pageTables), mappedEnd - endOf(pageTables), true, user),
    mapping('machine-to-phys table', M2P, m2pSize, false, user),
    mapping('Xen GDT', GDT, GDT_SIZE, true),
  ];
}

/** L1_PROT of libxc and of construct_dom0 for a 32-bit domain. */
const leafFlags = (page: PageMapping): number =>
  PTE_PRESENT | (page.writable ? PTE_WRITABLE : 0) | (page.user ? PTE_USER : 0) | PTE_ACCESSED;

/** The domain's tables where the layout has room for them, Xen's L1 tables in Xen's memory. */
function placeTables(day: StartOfDay, mappings: readonly PageMapping[]) {
  const placed = [
    ...day.tables.map((table, index) => ({ ...table, machine: day.pageTables.start + index * PAGE_SIZE })),
    ...xenTables(mappings).map((table, index) => ({ ...table, machine: XEN_TABLES + index * PAGE_SIZE })),
  ];
  const pages = fillTables(placed, mappings, leafFlags);
  return {
    cr3: day.pageTables.start,
    domain: joinPages(pages.slice(0, day.tables.length)),
    xen: joinPages(pages.slice(day.tables.length)),
  };
}

function joinPages(pages: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pages.length * PAGE_SIZE);
  for (const [index, page] of pages.entries()) bytes.set(page, index * PAGE_SIZE);
  return bytes;
}

/** What the builder puts into the domain besides the image, its tables and its stack. */
function handOver(
  builder: DomainBuilder,
  day: StartOfDay,
  knobs: Knobs,
  byPfn: boolean,
): Pick<EntryState, 'regions' | 'structures'> {
  const nrPages = knobs.memory / PAGE_SIZE;
  const firstMfn = day.virtBase / PAGE_SIZE;
  const { initrd, rings } = day;
  const info = startInfo(builder, {
    nrPages,
    sharedInfo: SHARED_INFO,
    rings,
    pageTables: day.pageTables.start,
    tables: day.tables.length,
    p2m: day.p2m.start,
    initrd,
    initrdPfn: initrd && byPfn ? (initrd.start - day.virtBase) / PAGE_SIZE : undefined,
    cmdline: knobs.cmdline,
    firstPages: day.firstPages,
  });
  const page = new Uint8Array(PAGE_SIZE);
  page.set(info.bytes);
  const structures = [info.describe(day.startInfo)];
  if (builder.domain === 'dom0') {
    const vga = vgaInfo(builder.host);
    const offset = VGA_INFO_OFFSET[builder.host];
    page.set(vga.bytes, offset);
    structures.push(vga.describe(day.startInfo + offset));
  }
  const empty = new Uint8Array(0);
  const p2m = encodeWords(nrPages, pfn => pfn + firstMfn);
  return {
    regions: [
      ...(initrd && knobs.initrd
        ? [region('initrd', initrd.start, 'boot-data', knobs.initrd, initrd.size)]
        : []),
      region('phys-to-machine list', day.p2m.start, 'boot-data', p2m),
      region('start_info', day.startInfo, 'boot-data', page),
      ...(rings
        ? [
            region('xenstore page', rings.store, 'boot-data', empty, PAGE_SIZE),
            region('console page', rings.console, 'boot-data', empty, PAGE_SIZE),
          ]
        : []),
    ],
    structures,
  };
}

/** xc_dom_x86.c vcpu_x86_32, construct_dom0: everything else is zero. The real IF is always 1. */
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
    ldtr: NULL_SEGMENT,
    tr: NULL_SEGMENT,
    gdtr: knobs.gdt === 'flat' ? { base: GDT, limit: GDT_SIZE - 1 } : { base: 0, limit: 0 },
    idtr: { base: 0, limit: 0 },
    // CR4 is Xen's own; SSE state is on in every Xen (Xen 4.14 xen/arch/x86/setup.c).
    control: { cr0: CR0_HYPERVISOR, cr2: 0, cr3, cr4: CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT, efer: 0 },
  };
}
