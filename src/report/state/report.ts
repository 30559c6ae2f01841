/**
 * An EntryState as JSON, `startup32/state@1`, as types: everything that is true at the first instruction. Addresses and
 * register values are hex strings of fixed width, sizes are numbers of bytes.
 */
import type { GeneralRegister, Ring } from '../../../emulator/cpu-state.ts';
import type {
  FieldWriter,
  MemoryBank,
  PagingMode,
  Platform,
  RegionOwner,
  StructureField,
} from '../../../emulator/entry-state.ts';
import type { SegmentName } from '../../../emulator/segmentation.ts';
import type { DescriptorReport } from '../parts.ts';

export interface StateRegister {
  value: string;
  /** False: the protocol leaves the value open, and it is a pattern that is easy to recognize. */
  promised: boolean;
  meaning?: string;
}

/** A segment register; without a descriptor it holds the null selector. */
export interface StateSegment {
  selector: string;
  promised: boolean;
  /** False: the hidden part alone is promised. */
  selectorPromised: boolean;
  descriptor?: DescriptorReport;
  /** The descriptor's type in words: `code, readable, accessed`. */
  type?: string;
}

/** GDTR or IDTR; base and limit 0: there is no table. */
export interface StateTable {
  base: string;
  /** In bytes, inclusive. */
  limit: string;
  /** Base and limit. */
  promised: boolean;
  /** Of GDTR: a table with descriptors of the promised selectors, wherever it is. */
  descriptorsPromised?: boolean;
}

/** A register whose bits have names. */
export interface StateBits {
  value: string;
  /** Names of the bits that are set, lowest first. */
  set: string[];
  /** The bits whose values are promised; `0xffffffff`: the register is. */
  promised: string;
}

export interface StateMapping {
  linear: string;
  physical: string;
  size: number;
  writable: boolean;
  user: boolean;
  name: string;
}

export interface StateBank {
  name: string;
  start: string;
  size: number;
  kind: MemoryBank['kind'];
}

export interface StateRegion {
  name: string;
  start: string;
  size: number;
  owner: RegionOwner;
  /** What is behind the contents is zero; else it is unspecified. */
  defined: boolean;
  /** The kernel's touch of it is a Stop. */
  guarded: boolean;
  /** The first bytes, where there are any that are not zero or unspecified. */
  contents?: { size: number; sha256: string };
}

export interface StateField {
  name: string;
  /** Bytes from the start of the structure. */
  offset: string;
  size: number;
  as: StructureField['as'];
  /** A number as hex of its width, a text up to its NUL, or hex bytes. */
  value: string;
  by: FieldWriter;
  meaning?: string;
  citation?: string;
}

export interface StateStructure {
  name: string;
  /** Physical. */
  address: string;
  size: number;
  citation: string;
  fields: StateField[];
}

export interface StatePlatform {
  hypervisor: Platform['hypervisor'];
  /** Software interrupts that are hypercalls. */
  hypercallVectors: string[];
  /** Registers of a hypercall's arguments, its number is in EAX; absent where there are no hypercalls. */
  hypercallArguments?: GeneralRegister[];
  /** VMCALL is a hypercall. */
  vmcall: boolean;
  /** Vectors that INT3 and INTO may raise; absent where no hypervisor decides. */
  openVectors?: string[];
  /** The MSR that has a hypercall page filled. */
  hypercallMsr?: string;
  /** Linear. */
  hypercallPage?: string;
  /** The far pointer that a hypercall page in ring 0 calls: `0xe008:0xf6800000`. */
  hypercallEntry?: string;
  /** Hypercalls by a call of a ROM. */
  serviceEntries?: { address: string; number: string; arguments: GeneralRegister[] }[];
  /** By privilege rule: what a paravirtual kernel in ring 0 is to use in its place. */
  instead?: Record<string, string>;
  cpuModel: string;
}

export interface StateReport {
  schema: 'startup32/state@1';
  image: { name: string; format: 'elf' | 'bzimage'; size: number; sha256: string };
  protocol: string;
  knobs: Record<string, string>;
  ring: Ring;
  registers: Record<GeneralRegister, StateRegister>;
  eip: { value: string; symbol?: string };
  eflags: StateBits & { iopl: number };
  segments: Record<SegmentName, StateSegment>;
  ldtr: StateSegment;
  tr: StateSegment;
  gdtr: StateTable;
  idtr: StateTable;
  control: { cr0: StateBits; cr2: StateBits; cr3: StateBits; cr4: StateBits; efer: StateBits };
  paging: {
    mode: PagingMode;
    /** Pages that hold the tables. */
    tablePages: number;
    /** In the order of linear addresses. */
    mappings: StateMapping[];
  };
  memory: {
    /** The byte that fills memory which no one defines; `0x00` unless poison is asked for. */
    undefinedByte: string;
    /** In address order; what lies in none of them is a hole. */
    banks: StateBank[];
    /** In address order. */
    regions: StateRegion[];
  };
  /** In the order in which a kernel finds them. */
  structures: StateStructure[];
  platform: StatePlatform;
  warnings: { code: string; message: string }[];
}
