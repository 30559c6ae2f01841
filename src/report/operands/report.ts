/** An operand as the JSON report has it: addresses and values as hex strings, sizes and counts as numbers. */
import type { GateKind, NoDescriptor, Unreadable } from '../../../emulator/operands/index.ts';
import type { SegmentName } from '../../../emulator/segmentation.ts';
import type { DescriptorReport } from '../parts.ts';

export interface OperandMemoryReport {
  segment: SegmentName;
  /** In the segment. */
  offset: string;
  linear: string;
  size: number;
  /** Why it cannot be read. */
  unreadable?: Unreadable;
}

export interface BitChangeReport {
  bit: string;
  from: 0 | 1;
  to: 0 | 1;
}

/** What the instruction was about to do; `type` says which member it is. */
export type OperandReport =
  | {
      type: 'descriptor-table';
      register: 'gdtr' | 'idtr';
      operandSize: 16 | 32;
      memory: OperandMemoryReport;
      table?: {
        base: string;
        limit: string;
        entries: number;
        first?: { selector: string; descriptor: DescriptorReport }[];
        present?: number;
        unreadable?: Unreadable;
      };
    }
  | {
      type: 'segment';
      register: SegmentName | 'ldtr' | 'tr';
      memory?: OperandMemoryReport;
      selector?: string;
      offset?: string;
      descriptor?: DescriptorReport;
      noDescriptor?: NoDescriptor;
    }
  | {
      type: 'control-register';
      register: string;
      access: 'read' | 'write';
      current: string;
      memory?: OperandMemoryReport;
      requested?: string;
      changes?: BitChangeReport[];
      set?: string[];
      pageDirectory?: {
        level: 'PD' | 'PDPT';
        physical: string;
        writeThrough: boolean;
        cacheDisabled: boolean;
      };
    }
  | {
      type: 'debug-register';
      number: number;
      access: 'read' | 'write';
      current?: string;
      requested?: string;
      set?: string[];
    }
  | {
      type: 'page';
      linear: string;
      mapping?: { physical: string; pageSize: number; writable: boolean; user: boolean };
      unmapped?: 'paging-off' | 'page-not-present' | 'null-segment';
    }
  | {
      type: 'msr';
      access: 'read' | 'write';
      index: string;
      name?: string;
      current: string;
      requested?: string;
      changes?: BitChangeReport[];
      set?: string[];
    }
  | {
      type: 'port';
      direction: 'in' | 'out';
      number: string;
      name?: string;
      size: 1 | 2 | 4;
      value?: string;
      memory?: OperandMemoryReport;
      count?: number;
    }
  | { type: 'extended-control-register'; index: number; requested: string; set: string[] }
  | { type: 'counter'; counter: 'time-stamp' | 'performance'; index?: number; value: string }
  | { type: 'halt'; interruptsEnabled: boolean }
  | {
      type: 'interrupt';
      vector: string;
      gate?: { kind: GateKind; selector: string; offset: string; dpl: number; present: boolean };
      noGate?: 'hypervisor' | 'limit' | Unreadable;
    }
  | {
      type: 'fast-call';
      instruction: 'sysenter' | 'sysexit';
      sysenterCs: string;
      cs: string;
      ss: string;
      eip: string;
      esp: string;
    };
