/** A 32-bit CPU's architectural state as plain data. Addresses and registers are numbers from 0 to 2^32 - 1. */
import type { SegmentName, SegmentRegister } from './segmentation.ts';

/** In the order of the instruction encoding (SDM vol. 2, table 2-2). */
export const GENERAL_REGISTERS = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'] as const;
export type GeneralRegister = (typeof GENERAL_REGISTERS)[number];
export type GeneralRegisters = Readonly<Record<GeneralRegister, number>>;

export type Ring = 0 | 1 | 2 | 3;

/** GDTR or IDTR: linear base, limit in bytes (inclusive). */
export interface TableRegister {
  readonly base: number;
  readonly limit: number;
}

export interface ControlRegisters {
  readonly cr0: number;
  readonly cr2: number;
  readonly cr3: number;
  readonly cr4: number;
  readonly efer: number;
}

export interface CpuState {
  readonly registers: GeneralRegisters;
  readonly eip: number;
  readonly eflags: number;
  readonly segments: Readonly<Record<SegmentName, SegmentRegister>>;
  readonly ldtr: SegmentRegister;
  readonly tr: SegmentRegister;
  readonly gdtr: TableRegister;
  readonly idtr: TableRegister;
  readonly control: ControlRegisters;
  /** Current privilege level: the DPL of SS's hidden part (SDM vol. 3, 5.5). */
  readonly cpl: Ring;
}

/** Linear address of the instruction at EIP. */
export const linearEip = (cpu: Pick<CpuState, 'eip' | 'segments'>): number =>
  ((cpu.segments.cs.descriptor?.base ?? 0) + cpu.eip) >>> 0;
