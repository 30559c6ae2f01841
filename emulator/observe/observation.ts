/**
 * Observation: an instruction at which no CPU faults and which a kernel should not have run all the same. Outside ring 0 a
 * silent one, and what the kernel was given is set beside what a PC gives it; in ring 0, of a kernel that is paravirtual
 * there, a privileged or IOPL-sensitive one. Plain data; the sentences are made in `src/report/`.
 */
import type { Instead } from '../entry-state.ts';
import type { FlagRow } from '../flags.ts';
import type { Operand } from '../operands/types.ts';
import type { SegmentName } from '../segmentation.ts';

export interface ObservedPlace {
  /** Linear. */
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Of the code segment; absent: 32. */
  readonly bits?: 16;
  /** Instructions retired before it; 0 when the run was not counted. */
  readonly instruction: number;
}

/** What an instruction gives the kernel, or does for it. */
export type Sight =
  /** PUSHF: the image on the stack. */
  | { readonly what: 'flags'; readonly image: number; readonly operandSize: 16 | 32 }
  /** POPF and IRET: EFLAGS. */
  | {
      readonly what: 'flags-loaded';
      readonly before: number;
      readonly requested: number;
      readonly after: number;
    }
  /** SGDT and SIDT. */
  | { readonly what: 'table'; readonly base: number; readonly limit: number }
  /** SGDT and SIDT: the table that the boot loader made, wherever it is. */
  | { readonly what: 'boot-loader-table' }
  /** SLDT, STR, MOV and PUSH of a segment register. */
  | { readonly what: 'selector'; readonly register: SegmentName | 'ldtr' | 'tr'; readonly selector: number }
  /** A segment register that is loaded; no DPL for the null selector. */
  | {
      readonly what: 'segment-loaded';
      readonly register: SegmentName;
      readonly selector: number;
      readonly dpl?: number;
    }
  /** Far transfers, IRET and SYSENTER: CS, and the level that the code there runs at. */
  | { readonly what: 'transfer'; readonly selector: number; readonly cpl: number }
  /** A hardware task switch; by IRET with NT set no selector is named. */
  | { readonly what: 'task-switch'; readonly selector?: number }
  /** INT n, INT3, INTO, INT1. */
  | { readonly what: 'interrupt'; readonly vector: number; readonly taken: boolean }
  /** SMSW. */
  | { readonly what: 'cr0'; readonly value: number; readonly operandSize: 16 | 32 }
  /** LAR, LSL, VERR, VERW: ZF, and the value that LAR and LSL give with ZF = 1. */
  | { readonly what: 'descriptor'; readonly selector: number; readonly zf: 0 | 1; readonly value?: number }
  | {
      readonly what: 'cpuid';
      readonly leaf: number;
      readonly eax: number;
      readonly ebx: number;
      readonly ecx: number;
      readonly edx: number;
      /** Of leaf 1: ECX bit 31. */
      readonly hypervisor?: boolean;
    }
  /** A privileged or IOPL-sensitive instruction in ring 0: it does what it does on any PC. */
  | { readonly what: 'done'; readonly operand?: Operand }
  /** XGETBV. */
  | { readonly what: 'xcr'; readonly number: number; readonly value: number };

/** What an instruction gave the kernel, and what it gives on a PC in ring 0. */
export interface Comparison {
  readonly saw: Sight;
  /** At CPL 0, started by a PC boot loader (boot.rst), with what the kernel itself has asked for so far. */
  readonly bare: Sight;
  readonly differs: boolean;
  /** POPF and IRET: the flags asked for and not given. */
  readonly lost?: readonly FlagRow[];
  /** What a kernel that is paravirtual in ring 0 was to do in place of it: running it is a violation. */
  readonly instead?: Instead;
}

export interface Observation extends Comparison {
  /** A silent rule of `emulator/privilege/`, e.g. `pushf`; of a violation one of any class. */
  readonly rule: string;
  /** How often it ran. */
  readonly count: number;
  /** False when the run was not counted: `count` is then a lower bound, and the places have no ordinal. */
  readonly counted: boolean;
  /** Where it ran first. */
  readonly first: ObservedPlace;
  /** Where `saw` and `bare` are from: the first place looked at where they differ, or else the first of all. */
  readonly place: ObservedPlace;
}
