/**
 * A 32-bit PAE domain at its first instruction. Machine frames are chosen so that machine address = virtual address.
 */
import { CR4_OSFXSR, CR4_OSXMMEXCPT, CR4_PAE } from '../../emulator/control-bits.ts';
import type { Ring } from '../../emulator/cpu-state.ts';
import {
  ALL_BITS,
  type EntryState,
  type MemoryRegion,
  type PageMapping,
  type Platform,
} from '../../emulator/entry-state.ts';
import { FLAG_IF, FLAG_RESERVED_1 } from '../../emulator/flags.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { type KnobbedProtocol, type Knobs, settleKnobs, startedBy } from '../knobs.ts';
import { checkCommandLine } from '../linux/boot-params.ts';
import { HYPERVISOR_PROMISES } from '../promises.ts';
import { type BootOptions, ProtocolError } from '../protocol.ts';
import { arrangeRegions, endOf, hex, writtenRegion } from '../regions.ts';
import { CR0_HYPERVISOR, entryRegisters } from '../registers.ts';
import { gdtr, NO_SYSTEM_TABLES } from '../segments.ts';
import { BUILDER_SOURCE, type DomainBuilder, M2P, M2P_END } from './builder.ts';
import { handOver } from './hand-over.ts';
import { hypercallPage, hypercallPageOfRing0, xenPlatform } from './hypercalls.ts';
import { readXenImage, type XenImage } from './image.ts';
import { fillHypercallPage } from './image-regions.ts';
import { layOut, mapping, type StartOfDay } from './layout.ts';
import { readNamed } from './refusal.ts';
import { GDT_ENTRIES, GDT_SIZE, XEN_CS, xenGdt, xenSegments } from './segments.ts';
import { MAX_GUEST_CMDLINE, sharedInfo } from './structures.ts';
import { placeTables } from './tables.ts';
import { machineToPhys, type XenContents, xenBanks, xenMemory, xenRegions } from './xen-memory.ts';

const XEN = xenMemory(M2P, M2P_END);

/** Where a 32-bit Xen is linked: __PAGE_OFFSET + 1 MiB (Xen 4.2 asm-x86/config.h). That `hypercall` is there is this builder's choice. */
const RING0_HYPERCALL_ENTRY = 0xff100000;

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
  const kernel = readNamed(protocol, image, () => fillHypercallPage(guest, guest.guest, page, day.mappedEnd));
  const m2p = machineToPhys(guest.virtBase, knobs.memory);
  const mappings = entryMappings(day, m2p.length, ring);
  const tables = placeTables(day.tables, day.pageTables.start, XEN.tables, mappings);
  const shared = sharedInfo(BUILDER_SOURCE[builder.domain][host]);
  const contents: XenContents = {
    m2p,
    gdt: xenGdt(host, ring, M2P_END),
    sharedInfo: shared.bytes,
    tables: tables.xen,
  };
  const banks = xenBanks({ start: guest.virtBase, size: knobs.memory }, XEN, contents);
  const handedOver = handOver(builder, day, knobs, byPfn, XEN.sharedInfo);
  const regions: readonly MemoryRegion[] = [
    ...kernel,
    ...handedOver.regions,
    writtenRegion('page tables', day.pageTables.start, 'boot-data', tables.domain),
    { name: 'boot stack', start: day.stack, size: PAGE_SIZE, owner: 'boot-data', defined: false },
    ...xenRegions(XEN, contents),
  ];
  return {
    ...startedBy(protocol, knobs),
    ring,
    ...cpuState(guest, day, knobs, tables.cr3),
    segments: xenSegments(host, ring, M2P_END),
    paging: { mode: 'pae', mappings },
    banks,
    regions: arrangeRegions(regions, banks),
    structures: [...handedOver.structures, shared.describe(XEN.sharedInfo)],
    platform: platformOf(guest, builder, knobs, instead),
  };
}

function platformOf(
  guest: XenImage,
  { supervisor }: DomainBuilder,
  knobs: Knobs,
  instead: Instead | undefined,
): Platform {
  return {
    ...xenPlatform(knobs.cpu),
    ...(guest.hypercallPage === undefined ? {} : { hypercallPage: guest.hypercallPage }),
    ...(supervisor ? { hypercallEntry: { selector: XEN_CS, offset: RING0_HYPERCALL_ENTRY } } : {}),
    ...(instead === undefined ? {} : { instead }),
  };
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
    mapping('Xen GDT', XEN.gdt, GDT_SIZE, true),
  ];
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
    ...NO_SYSTEM_TABLES,
    gdtr: gdtr(knobs.gdt, XEN.gdt, GDT_ENTRIES),
    // CR4 is Xen's own; SSE state is on in every Xen (Xen 4.14 xen/arch/x86/setup.c).
    control: { cr0: CR0_HYPERVISOR, cr2: 0, cr3, cr4: CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT, efer: 0 },
    // xen/include/public/xen.h, "Start-of-day memory layout": CR3 has the page directory of start_info's pt_base.
    promises: {
      ...HYPERVISOR_PROMISES,
      gdt: knobs.gdt === 'flat',
      cr3: ALL_BITS,
      cr4: CR4_PAE,
    },
  };
}
