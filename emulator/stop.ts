/**
 * Stop: why and where a run ended, in addresses and values. A closed union by `kind`; plain data.
 * Names from the image's symbols and all sentences are added in `src/report/`.
 */
import type { CpuState, Ring } from './cpu-state.ts';
import type { RegionOwner } from './entry-state.ts';
import type { Comparison, Observation } from './observe/observation.ts';
import type { Operand } from './operands/types.ts';
import type { Descriptor, SegmentName } from './segmentation.ts';

/** An exception as the CPU raises it. */
export interface Exception {
  readonly vector: number;
  /** Only for the vectors that push one (SDM vol. 3, table 6-1). */
  readonly errorCode?: number;
}

/** Why an IDT entry cannot be used. */
export type GateProblem = 'idt-limit' | 'gate-type' | 'gate-not-present' | 'gate-unreadable';

/** Where the CPU itself would take the exception if nothing under the kernel caught it. */
export type Delivery =
  | { readonly to: 'hypervisor' }
  | { readonly to: 'gate'; readonly selector: number; readonly offset: number }
  | { readonly to: 'shutdown'; readonly reason: GateProblem };

export interface StopInstruction {
  /** Linear address. */
  readonly address: number;
  /** The whole instruction, prefixes included; up to 15 bytes, fewer where memory ends. */
  readonly bytes: Uint8Array;
}

/** Bytes around the instruction. Decoding from `blockStart` reaches the instruction. */
export interface CodeWindow {
  readonly blockStart: number;
  /** From `blockStart` to some bytes past the instruction, as far as they can be read. */
  readonly bytes: Uint8Array;
}

export interface StopCommon {
  readonly cpu: CpuState;
  readonly exception?: Exception;
  readonly delivery?: Delivery;
  /** Absent where the bytes at EIP cannot be read. */
  readonly instruction?: StopInstruction;
  /** What it was about to do, where that is more than its bytes say. */
  readonly operand?: Operand;
  readonly code: CodeWindow;
  /** Instructions retired before the stop; a repeated string instruction counts once. */
  readonly instructions: number;
  /** False when counting was off (`count: 'never'`) or cut short: `instructions` is then a lower bound. */
  readonly counted: boolean;
  /** Linear addresses of the starts of the last blocks (at most 32), oldest first; the last holds the instruction. */
  readonly trail: readonly number[];
  /** Silent instructions that ran outside ring 0, in the order of their first places. */
  readonly observations: readonly Observation[];
}

/** A privilege rule of `emulator/privilege/` by its id, e.g. `cli`. */
export type RuleId = string;

export interface FlagChange {
  readonly flag: 'IF' | 'IOPL';
  readonly current: number;
  readonly requested: number;
  /** What the flag is after the instruction. */
  readonly resulting: number;
}

export interface PageWalkStep {
  readonly level: 'PDPT' | 'PD' | 'PT';
  /** Physical address of the entry. */
  readonly entryAddress: number;
  /** Low and high dword; high is 0 without PAE. */
  readonly low: number;
  readonly high: number;
}

/** What an address is near: the region (or mapping) that holds it or, failing that, the nearest one. */
export interface Near {
  readonly name: string;
  readonly owner: RegionOwner;
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly where: 'inside' | 'before' | 'after';
  /** Bytes between the address and the region; 0 inside. */
  readonly distance: number;
}

export type Access = 'read' | 'write' | 'fetch';

export type HypercallVia = 'int' | 'vmcall' | 'vmmcall' | 'hypercall-page' | 'rom';

/** Flags asked for and not given. One member a kind: a member with two kinds would be lost in {@link StopOf}. */
export interface FlagsLost<K extends 'popf' | 'iret'> {
  readonly kind: K;
  readonly rule: RuleId;
  readonly operandSize: 16 | 32;
  readonly current: number;
  readonly requested: number;
  readonly resulting: number;
  readonly lost: readonly FlagChange[];
}

export type Cause =
  | { readonly kind: 'privileged-instruction'; readonly rule: RuleId }
  | {
      readonly kind: 'iopl-sensitive-instruction';
      readonly rule: RuleId;
      readonly port?: {
        readonly number: number;
        readonly size: 1 | 2 | 4;
        readonly direction: 'in' | 'out';
        readonly value?: number;
      };
    }
  | FlagsLost<'popf'>
  | FlagsLost<'iret'>
  /** A silent instruction outside ring 0, with `stopOn: 'sensitive'`. */
  | ({ readonly kind: 'sensitive'; readonly rule: RuleId } & Comparison)
  | {
      readonly kind: 'segment-load';
      readonly register: SegmentName | 'ldtr' | 'tr';
      readonly selector: number;
      readonly problem: SegmentLoadProblem;
      /** What the selector names, where there is a table to look in. */
      readonly descriptor?: Descriptor;
    }
  | {
      readonly kind: 'segment-access';
      readonly register: SegmentName;
      readonly selector: number;
      readonly problem: 'null' | 'limit' | 'read-only' | 'execute-only' | 'not-present';
      readonly access: Access;
      readonly offset: number;
      readonly size: number;
      readonly descriptor?: Descriptor;
    }
  | {
      readonly kind: 'page-fault';
      readonly access: Access;
      readonly address: number;
      readonly walk: readonly PageWalkStep[];
      readonly problem: 'not-present' | 'read-only' | 'supervisor' | 'reserved-bit' | 'no-execute';
      readonly near: readonly Near[];
    }
  | { readonly kind: 'invalid-opcode' }
  | { readonly kind: 'forced-emulation'; readonly prefixed: string }
  | { readonly kind: 'software-interrupt'; readonly vector: number }
  | {
      readonly kind: 'hypercall';
      readonly via: HypercallVia;
      readonly vector?: number;
      /** What the guest passes as the number; through a ROM, which of its entries was called. */
      readonly number: number;
      /** In the order of the hypervisor's ABI, with the register each is passed in. */
      readonly arguments: readonly { readonly register: string; readonly value: number }[];
    }
  | { readonly kind: 'halt'; readonly interruptsEnabled: boolean }
  | {
      readonly kind: 'shutdown';
      readonly first: Exception;
      readonly reason: GateProblem;
    }
  | { readonly kind: 'long-mode' }
  | { readonly kind: 'exception' }
  | { readonly kind: 'reached'; readonly address: number }
  | {
      readonly kind: 'memory-hole';
      readonly access: Access;
      readonly address: number;
      readonly size: number;
      readonly value?: number;
      readonly near: readonly Near[];
    }
  | {
      readonly kind: 'rom-write';
      readonly address: number;
      readonly size: number;
      readonly value: number;
      readonly near: readonly Near[];
    }
  | {
      readonly kind: 'loader-memory';
      readonly access: Access;
      readonly address: number;
      readonly size: number;
      readonly near: readonly Near[];
    }
  | { readonly kind: 'budget'; readonly limit: number }
  | { readonly kind: 'timeout'; readonly milliseconds: number }
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'engine-limit'; readonly limit: EngineLimit; readonly detail: string };

export type SegmentLoadProblem =
  | 'no-gdt'
  | 'null'
  | 'limit'
  | 'not-present'
  | 'type'
  | 'privilege'
  | 'rpl'
  | 'no-ldt';

/** Why an engine could not follow the guest, rather than the guest going wrong. */
export type EngineLimit =
  | 'paging-not-identity'
  | 'real-mode'
  | 'hardware-breakpoint'
  | 'unexpected-error'
  | 'no-progress';

export type StopKind = Cause['kind'];
export type Stop = { [K in Cause['kind']]: StopCommon & Extract<Cause, { kind: K }> }[Cause['kind']];
export type StopOf<K extends StopKind> = Extract<Stop, { kind: K }>;

export type { Ring };
