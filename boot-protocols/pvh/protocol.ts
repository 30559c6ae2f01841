/**
 * `pvh`: a PVH guest as the domain builder of Xen 4.14 starts it: by the note PHYS32_ENTRY, ring 0 of a virtual machine,
 * paging off, %ebx = hvm_start_info. Xen 4.14 docs/misc/pvh.pandoc; tools/libxc/xc_dom_x86.c, vcpu_hvm and bootlate_hvm.
 */
import { ALL_BITS, type EntryState, type MemoryBank, type MemoryRegion } from '../../emulator/entry-state.ts';
import { FLAG_IF, FLAG_RESERVED_1, FLAG_TF, FLAG_VM } from '../../emulator/flags.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import { flatCode, flatData } from '../../emulator/segmentation.ts';
import type { ElfImage, KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { decodeXenNotes } from '../../src/kernel-image/xen-notes.ts';
import { advise } from '../advice.ts';
import { type KnobbedProtocol, type Knobs, settleKnobs, startedBy } from '../knobs.ts';
import { checkCommandLine } from '../linux/boot-params.ts';
import { checkFits, type PlacedImage, placeElf } from '../linux/placement.ts';
import { NOTHING_PROMISED } from '../promises.ts';
import { type BootOptions, ProtocolError } from '../protocol.ts';
import { react } from '../reactions.ts';
import { arrangeRegions, endOf, hex, roundUp, spellRange } from '../regions.ts';
import { CR0_PROTECTED, entryRegisters } from '../registers.ts';
import { busyTss, NO_TABLE, NULL_SEGMENT } from '../segments.ts';
import { tryStart } from '../startable.ts';
import { HYPERCALL_ARGUMENTS, vmcallPage, xenHypercallName } from '../xen/hypercalls.ts';
import { PVH_ADVICE, PVH_REACTIONS } from './reactions.ts';
import { SPECIAL_PAGES, SPECIAL_SIZE, specialPages } from './special-pages.ts';
import { buildStartInfo, MEMMAP_RAM, MEMMAP_RESERVED, type PlacedModule } from './structures.ts';

/** vcpu_hvm. */
const TSS_LIMIT = 0x67;
/** The MSR that CPUID leaf 0x40000002 names: Xen 4.14 xen/arch/x86/cpuid.c. */
const HYPERCALL_MSR = 0x40000000;
/** MAX_GUEST_CMDLINE of public/xen.h; libxl hands the builder no longer one. */
const MAX_CMDLINE = 1023;

function entryState(image: KernelImage, options: BootOptions): EntryState {
  const knobs = settleKnobs(pvh, options, image);
  const kernel = elfOf(image);
  const entry = physicalEntry(kernel);
  checkCommandLine(knobs.cmdline, MAX_CMDLINE, "Xen's domain builder");
  const placed = { ...placeElf(kernel), entry };
  checkFits(image, placed, knobs.memory);
  if (!placed.regions.some(region => region.start <= entry && entry < endOf(region))) {
    throw new ProtocolError(
      'bad-xen-note',
      `the note PHYS32_ENTRY of ${image.name} is ${hex(entry)}, which is in no segment as loaded (${placed.regions.map(spellRange).join(', ')})`,
    );
  }
  const { modules, start } = placeModules(placed, knobs);
  const data = buildStartInfo({
    start,
    cmdline: knobs.cmdline === '' ? undefined : knobs.cmdline,
    modules: modules.map(({ module }) => module),
    memmap: [
      { start: 0, size: knobs.memory, type: MEMMAP_RAM, meaning: 'the domain' },
      { start: SPECIAL_PAGES, size: SPECIAL_SIZE, type: MEMMAP_RESERVED, meaning: 'HVM special pages' },
    ],
  });
  checkRoom(image, data.region, knobs);
  const banks: readonly MemoryBank[] = [
    { name: 'RAM', start: 0, size: knobs.memory, kind: 'ram' },
    { name: 'HVM special pages', start: SPECIAL_PAGES, size: SPECIAL_SIZE, kind: 'ram' },
  ];
  return {
    ...startedBy(pvh, knobs),
    ring: 0,
    ...cpuState(entry, start),
    paging: { mode: 'off', mappings: [] },
    banks,
    regions: arrangeRegions(
      [...placed.regions, ...modules.map(({ region }) => region), data.region, ...specialPages()],
      banks,
    ),
    structures: data.structures,
    platform: {
      hypervisor: 'none',
      hypercallVectors: [],
      hypercallArguments: HYPERCALL_ARGUMENTS,
      vmcall: true,
      hypercallMsr: { index: HYPERCALL_MSR, page: vmcallPage() },
      cpuModel: knobs.cpu,
    },
  };
}

/** @throws {ProtocolError} `needs-elf` */
function elfOf(image: KernelImage): ElfImage {
  if (image.format === 'elf') return image;
  throw new ProtocolError(
    'needs-elf',
    `${image.name} is a bzImage; Xen's domain builder unpacks the ELF file in it, and starts that (here: --payload)`,
  );
}

/** @throws {ProtocolError} `no-xen-note` */
function physicalEntry(image: ElfImage): number {
  const entry = decodeXenNotes(image.notes)?.phys32Entry;
  if (entry === undefined) {
    throw new ProtocolError(
      'no-xen-note',
      `${image.name} has no Xen note PHYS32_ENTRY, the physical address at which a PVH guest starts (Linux: CONFIG_PVH)`,
    );
  }
  return entry;
}

interface Placed {
  readonly module: PlacedModule;
  readonly region: MemoryRegion;
}

/**
 * The builder's order: kernel, modules, start_info, each in whole pages right behind the one before.
 *
 * @returns the modules, and where start_info begins
 */
function placeModules(
  placed: PlacedImage,
  knobs: Knobs,
): { readonly modules: readonly Placed[]; readonly start: number } {
  const files = [
    ...(knobs.initrd ? [{ name: 'initrd', contents: knobs.initrd }] : []),
    ...knobs.modules.map(({ name, contents, cmdline }) => ({ name, contents, cmdline })),
  ];
  let start = roundUp(Math.max(...placed.regions.map(endOf)), PAGE_SIZE);
  const modules: Placed[] = [];
  for (const [index, file] of files.entries()) {
    const { contents } = file;
    const cmdline = 'cmdline' in file ? file.cmdline : undefined;
    modules.push({
      module: {
        name: file.name,
        start,
        size: contents.length,
        ...(cmdline === undefined ? {} : { cmdline }),
      },
      region: {
        name: knobs.initrd && index === 0 ? 'initrd' : `module ${index}`,
        start,
        size: contents.length,
        owner: 'boot-data',
        contents,
        defined: true,
      },
    });
    start = roundUp(start + contents.length, PAGE_SIZE);
  }
  return { modules, start };
}

function checkRoom(image: KernelImage, last: MemoryRegion, knobs: Knobs): void {
  if (endOf(last) <= knobs.memory) return;
  throw new ProtocolError(
    'image-too-big',
    `${image.name}, its modules and hvm_start_info need memory up to ${hex(endOf(last))}; --memory gives ${hex(knobs.memory)}`,
  );
}

/**
 * vcpu_hvm sets the hidden parts of CS, DS, ES, SS and TR, CR0, EIP and EBX, and leaves the rest zero: the selectors
 * too. pvh.pandoc promises the hidden parts alone.
 */
function cpuState(entry: number, startInfo: number) {
  const data = { selector: 0, descriptor: flatData(0), promised: true };
  const none = { ...NULL_SEGMENT, promised: false };
  return {
    registers: entryRegisters({ ebx: { value: startInfo, meaning: 'hvm_start_info (physical)' } }, 'poison'),
    eip: entry,
    eflags: FLAG_RESERVED_1,
    segments: {
      es: data,
      cs: { selector: 0, descriptor: flatCode(0), promised: true },
      ss: data,
      ds: data,
      fs: none,
      gs: none,
    },
    ldtr: NULL_SEGMENT,
    tr: { selector: 0, descriptor: busyTss(0, TSS_LIMIT) },
    gdtr: NO_TABLE,
    idtr: NO_TABLE,
    control: { cr0: CR0_PROTECTED, cr2: 0, cr3: 0, cr4: 0, efer: 0 },
    promises: {
      ...NOTHING_PROMISED,
      tr: true,
      eflags: FLAG_VM | FLAG_IF | FLAG_TF,
      cr0: ALL_BITS,
      cr4: ALL_BITS,
    },
  };
}

export const pvh: KnobbedProtocol = {
  name: 'pvh',
  summary: 'a Xen 4.14 domain builder: PVH guest by its note PHYS32_ENTRY, ring 0, %ebx = hvm_start_info',
  page: 'protocols/pvh.md',
  knobs: ['memory', 'cmdline', 'initrd', 'modules', 'poison', 'cpu'],
  unpacks: true,
  defaults: { ring: 0, paging: 'off', gdt: 'none', keepSegments: false, subarch: 0, cpu: 'i686-xen' },
  canStart: image => tryStart(image, entryState),
  entryState,
  reaction: (stop, entry) => react(PVH_REACTIONS, stop, entry),
  advice: (stop, image, entry) => advise(PVH_ADVICE, stop, image, entry),
  hypercallName: xenHypercallName,
};
