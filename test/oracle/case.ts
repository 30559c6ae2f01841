/**
 * One case of the oracle suite: a CPU state, some memory and a few instructions, the same for startup32, QEMU, Bochs
 * and KVM; and what each of them says came of it. Plain data.
 *
 * A case runs in the arena, 128 KiB of low memory that is filled from a template before each case. It ends with
 * `int $0x40` (gate with DPL 3) or with an exception; in either case the outcome is written down.
 */

import type { GeneralRegisters, Ring } from '../../emulator/cpu-state.ts';
import type { PagingMode } from '../../emulator/entry-state.ts';

/** Physical (and, without overrides, linear) addresses in address order. Everything outside the arena is the runner's. */
export const ARENA = 0x40000;
export const CODE = 0x40000;
export const CODE_SIZE = 0x2000;
export const DATA = 0x42000;
export const DATA_SIZE = 0x2000;
export const STACK = 0x44000;
export const STACK_SIZE = 0x2000;
/** Where ESP usually points. */
export const STACK_TOP = 0x45000;
export const GDT = 0x46000;
export const LDT = 0x47000;
export const IDT = 0x48000;
/** The current task's TSS with its I/O permission bitmap, two pages. */
export const TSS = 0x49000;
/** The TSS that task switches go to. */
export const TSS2 = 0x4b000;
/** Two pages that are free for what a case wants to map, hide or protect. */
export const SPARE = 0x4c000;
export const SPARE_SIZE = 0x2000;
/** Page tables of all three paging modes: see `arena.ts`. */
export const TABLES = 0x50000;
export const ARENA_SIZE = 0x20000;

/** What every GDT of a case holds. Slots from FIRST_FREE to LAST_FREE (selectors) are the case's own. */
export const RUNNER_CODE = 0x08;
export const RUNNER_DATA = 0x10;
export const TSS_SELECTOR = 0x18;
export const LDT_SELECTOR = 0x20;
export const DOUBLE_FAULT_TSS = 0x28;
/** Flat 4 GiB code and data of each ring, DPL = ring; add the ring as RPL. */
export const codeSelector = (ring: Ring): number => 0x30 + 16 * ring + ring;
export const dataSelector = (ring: Ring): number => 0x38 + 16 * ring + ring;
export const FIRST_FREE = 0x70;
export const LAST_FREE = 0xf8;
export const GDT_LIMIT = 0xff;
/** Eight entries, all the case's own. */
export const LDT_LIMIT = 0x3f;

/** The gate that ends a case. */
export const END_VECTOR = 0x40;
/** 0x00 to 0x40: exceptions and the end; above them, a case's own gates. */
export const IDT_LIMIT = 0x50 * 8 - 1;

export interface MemoryWrite {
  /** Physical address inside the arena. */
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** The other CPUs. KVM stands for the silicon of the machine. */
export type Oracle = 'qemu' | 'bochs' | 'kvm';

export interface OracleCase {
  /** What it is about, for the report and the statistics, e.g. `lgdt` or `mov %ax,%ss/rpl`. */
  readonly topic: string;
  readonly mode: 'protected' | 'vm86';
  /** CPL; 3 in virtual-8086 mode. */
  readonly ring: Ring;
  /** IOPL, IF, VM and all. TF is never set. */
  readonly eflags: number;
  /** Linear address of the first instruction; in virtual-8086 mode the offset in CS. */
  readonly eip: number;
  readonly registers: GeneralRegisters;
  /** Selectors as they are loaded before the case starts (each must be loadable at that ring); vm86: paragraphs. */
  readonly selectors: {
    readonly cs: number;
    readonly ss: number;
    readonly ds: number;
    readonly es: number;
    readonly fs: number;
    readonly gs: number;
  };
  /** Bits of CR0 besides PE, ET and (from `paging`) PG: WP, AM, NE, TS, EM, MP. */
  readonly cr0: number;
  /** Bits of CR4 besides (from `paging`) PAE: VME, PVI, TSD, DE, PSE, PCE, UMIP, OSFXSR. */
  readonly cr4: number;
  /** IA32_EFER: 0 or NXE. */
  readonly efer: number;
  readonly paging: PagingMode;
  /** LDT_SELECTOR or 0. TR always is TSS_SELECTOR. */
  readonly ldtr: number;
  /** Over the template, in order: code, data, descriptors, gates, TSS fields, page-table entries. */
  readonly writes: readonly MemoryWrite[];
  /** Registers whose values afterwards are not compared (CPUID, RDTSC). */
  readonly ignore: readonly (keyof GeneralRegisters)[];
  /** EFLAGS bits that the SDM leaves undefined afterwards. */
  readonly undefinedFlags: number;
  /** Oracles that cannot run it: their model has what startup32's has not, or the runner does not survive it. */
  readonly without: readonly Oracle[];
}

export interface Outcome {
  /** END_VECTOR: the case came to its end. */
  readonly vector: number;
  readonly errorCode: number | undefined;
  readonly eip: number;
  /** At an exception: as the handler finds it on its stack, RF taken out. */
  readonly eflags: number;
  readonly registers: GeneralRegisters;
  readonly selectors: OracleCase['selectors'];
  readonly cr0: number;
  /** Only compared at a page fault. */
  readonly cr2: number;
  readonly cr3: number;
  readonly cr4: number;
  readonly gdtr: { readonly base: number; readonly limit: number };
  readonly idtr: { readonly base: number; readonly limit: number };
  readonly ldtr: number;
  readonly tr: number;
  /** Checksums of what the case left in memory; `stack` only outside ring 0, where the handler's frame is elsewhere. */
  readonly data: number;
  readonly stack: number;
  /** GDT, LDT and both TSS: accessed and busy bits show here. */
  readonly tables: number;
}
