/** Operand: what a sensitive instruction was about to do. Plain data, a union by `type`; `operandOf` makes it. */
import type { Descriptor, SegmentName } from '../segmentation.ts';

/** A register of 64 bits, or EDX:EAX. */
export interface Quadword {
  readonly low: number;
  readonly high: number;
}

/**
 * Why memory cannot be read.
 * - `null-segment`, `segment-limit`: the segment register holds a null selector, or the bytes are beyond its limit
 * - `page-not-present`: the guest's tables map nothing there
 * - `no-memory`: behind the physical address there is none
 */
export type Unreadable = 'null-segment' | 'segment-limit' | 'page-not-present' | 'no-memory';

/** An operand in memory. */
export interface OperandMemory {
  readonly segment: SegmentName;
  /** In the segment. */
  readonly offset: number;
  readonly linear: number;
  /** Bytes that the instruction reads there. */
  readonly size: number;
  readonly unreadable?: Unreadable;
}

/** A named bit that a write changes. */
export interface BitChange {
  /** As the manual writes it; `bit 21` for one that has no name. */
  readonly bit: string;
  readonly from: 0 | 1;
  readonly to: 0 | 1;
}

/** An entry of a descriptor table that is not all zero. */
export interface TableEntry {
  /** With RPL 0. */
  readonly selector: number;
  readonly descriptor: Descriptor;
}

/** Why there is no descriptor for a selector. `not-gdt`: LDTR and TR take a selector of the GDT only. */
export type NoDescriptor = 'null' | 'no-gdt' | 'no-ldt' | 'limit' | 'not-gdt' | Unreadable;

/** LGDT and LIDT: the pseudo-descriptor, decoded. */
export interface TableOperand {
  readonly type: 'descriptor-table';
  readonly register: 'gdtr' | 'idtr';
  readonly operandSize: 16 | 32;
  readonly memory: OperandMemory;
  /** Absent when the memory cannot be read; `base` is cut to 24 bits with 16-bit operands. */
  readonly table?: {
    readonly base: number;
    readonly limit: number;
    /** Whole entries of 8 bytes within the limit. */
    readonly entries: number;
    /** LGDT: of the first eight entries, those that are not zero. */
    readonly first?: readonly TableEntry[];
    /** LIDT: gates with the present bit. */
    readonly present?: number;
    /** Why the table itself cannot be looked at. */
    readonly unreadable?: Unreadable;
  };
}

/** A segment register, LDTR, TR or (for a far transfer) CS is about to be loaded. */
export interface SegmentOperand {
  readonly type: 'segment';
  readonly register: SegmentName | 'ldtr' | 'tr';
  /** Where the selector is read from, when it is in memory. */
  readonly memory?: OperandMemory;
  /** Absent when that cannot be read. */
  readonly selector?: number;
  /** A far transfer goes to this offset; LDS and its like load it into a general register. */
  readonly offset?: number;
  readonly descriptor?: Descriptor;
  readonly noDescriptor?: NoDescriptor;
}

export type ControlRegisterName = `cr${number}`;

export interface ControlRegisterOperand {
  readonly type: 'control-register';
  readonly register: ControlRegisterName;
  readonly access: 'read' | 'write';
  /** Its value now, which a read gives. */
  readonly current: number;
  /** Where LMSW reads its word. */
  readonly memory?: OperandMemory;
  /** What a write asks for. */
  readonly requested?: number;
  /** Bits that the write changes; of CR2 and CR3, which hold addresses, none. */
  readonly changes?: readonly BitChange[];
  /** Named bits that are set in what is read. */
  readonly set?: readonly string[];
  /** CR3: the top table that is asked for (a write) or in use (a read), and its cache bits. */
  readonly pageDirectory?: {
    readonly level: 'PD' | 'PDPT';
    readonly physical: number;
    readonly writeThrough: boolean;
    readonly cacheDisabled: boolean;
  };
}

export interface DebugRegisterOperand {
  readonly type: 'debug-register';
  readonly number: number;
  readonly access: 'read' | 'write';
  /** Of DR6 and DR7. */
  readonly current?: number;
  readonly requested?: number;
  /** DR6 and DR7: what is set in the value that is read or written, by name. */
  readonly set?: readonly string[];
}

/** INVLPG. */
export interface PageOperand {
  readonly type: 'page';
  readonly linear: number;
  /** What the tables say of it; the TLB may hold something else, which is why the instruction is there. */
  readonly mapping?: {
    readonly physical: number;
    readonly pageSize: number;
    readonly writable: boolean;
    readonly user: boolean;
  };
  readonly unmapped?: 'paging-off' | 'page-not-present' | 'null-segment';
}

export interface MsrOperand {
  readonly type: 'msr';
  readonly access: 'read' | 'write';
  readonly index: number;
  readonly name?: string;
  /** What a read gives under this CPU model, and what stands there before a write. */
  readonly current: Quadword;
  readonly requested?: Quadword;
  /** Of MSRs whose bits have names. */
  readonly changes?: readonly BitChange[];
  readonly set?: readonly string[];
}

export interface PortOperand {
  readonly type: 'port';
  readonly direction: 'in' | 'out';
  readonly number: number;
  readonly name?: string;
  /** Bytes of one transfer. */
  readonly size: 1 | 2 | 4;
  /** What goes out: of OUTS, its first element. */
  readonly value?: number;
  /** INS and OUTS: where the data goes to or comes from. */
  readonly memory?: OperandMemory;
  /** With a REP prefix: how many transfers. */
  readonly count?: number;
}

export interface ExtendedControlRegisterOperand {
  readonly type: 'extended-control-register';
  readonly index: number;
  readonly requested: Quadword;
  readonly set: readonly string[];
}

export interface CounterOperand {
  readonly type: 'counter';
  readonly counter: 'time-stamp' | 'performance';
  /** Of a performance counter: ECX. */
  readonly index?: number;
  readonly value: Quadword;
}

export interface HaltOperand {
  readonly type: 'halt';
  readonly interruptsEnabled: boolean;
}

export type GateKind =
  | 'task gate'
  | '16-bit interrupt gate'
  | '16-bit trap gate'
  | '32-bit interrupt gate'
  | '32-bit trap gate'
  | 'no gate';

export interface Gate {
  readonly kind: GateKind;
  readonly selector: number;
  readonly offset: number;
  readonly dpl: number;
  readonly present: boolean;
}

export interface InterruptOperand {
  readonly type: 'interrupt';
  readonly vector: number;
  readonly gate?: Gate;
  /** `hypervisor`: the IDT that counts is not the kernel's. `limit`: the gate is beyond the IDT. */
  readonly noGate?: 'hypervisor' | 'limit' | Unreadable;
}

/** SYSENTER and SYSEXIT: where they go. */
export interface FastCallOperand {
  readonly type: 'fast-call';
  readonly instruction: 'sysenter' | 'sysexit';
  /** IA32_SYSENTER_CS as it is; 0 is #GP(0). */
  readonly sysenterCs: number;
  readonly cs: number;
  readonly ss: number;
  readonly eip: number;
  readonly esp: number;
}

export type Operand =
  | TableOperand
  | SegmentOperand
  | ControlRegisterOperand
  | DebugRegisterOperand
  | PageOperand
  | MsrOperand
  | PortOperand
  | ExtendedControlRegisterOperand
  | CounterOperand
  | HaltOperand
  | InterruptOperand
  | FastCallOperand;
