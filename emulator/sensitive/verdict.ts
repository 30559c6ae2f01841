/** What becomes of a sensitive instruction. */

import type { CpuModel } from '../cpu-models/index.ts';
import type { CpuState, Ring } from '../cpu-state.ts';
import type { DecodedInstruction } from '../decode/instruction.ts';
import type { Effect } from '../effect.ts';
import type { Platform } from '../entry-state.ts';
import type { StopOn } from '../run-options.ts';
import type { Cause, Exception } from '../stop.ts';
import { GENERAL_PROTECTION } from '../vectors.ts';
import type { PrivilegeState } from './context.ts';

export {
  GENERAL_PROTECTION,
  INVALID_OPCODE,
  INVALID_TSS,
  SEGMENT_NOT_PRESENT as NOT_PRESENT,
  STACK_FAULT,
} from '../vectors.ts';

export type Verdict =
  | {
      readonly type: 'stop';
      readonly cause: Cause;
      readonly exception?: Exception;
      /** What the instruction has done before it faults: a task switch faults in the new task. */
      readonly effect?: Effect;
    }
  /** The CPU runs it as it is. */
  | { readonly type: 'run' }
  /** The CPU does so many iterations of the repeated string instruction, and comes to it again. */
  | { readonly type: 'partly'; readonly iterations: number }
  /** The Machine does it, in place of the engine. */
  | { readonly type: 'answer'; readonly effect: Effect };

export const RUN: Verdict = { type: 'run' };

export const answered = (effect: Effect): Verdict => ({ type: 'answer', effect });

export interface DataAccess {
  /** Linear address of the first byte. */
  readonly linear: number;
  /** Bytes. */
  readonly size: number;
  readonly access: 'read' | 'write';
  /** Pages are looked at as at this privilege level: 3 is user, all others are supervisor. */
  readonly cpl: Ring;
  /** The CPU's own access to a descriptor table or a TSS: open even where the guest may not touch it. */
  readonly system: boolean;
}

export interface Refusal {
  readonly cause: Cause;
  /** Absent where nothing is raised: behind the address is no memory. */
  readonly exception?: Exception;
}

/** What an evaluator may look at. Nothing here changes the machine but `msrs` and `random`. */
export interface Situation {
  readonly instruction: DecodedInstruction;
  /** The bytes from EIP on, up to 32. */
  readonly bytes: Uint8Array;
  readonly cpu: CpuState;
  readonly state: PrivilegeState;
  readonly platform: Platform;
  readonly model: CpuModel;
  /** Reads linear memory as the CPU itself does (supervisor); shorter where it ends. */
  readonly read: (linear: number, size: number) => Uint8Array;
  /** Reads a dword of physical memory, for walks of page tables; `undefined` where there is none. */
  readonly readPhysical?: (physical: number) => number | undefined;
  /** Whether an access that the Machine makes is refused. Default: none is. */
  readonly refusal?: (access: DataAccess) => Refusal | undefined;
  /** Virtual time. */
  readonly tsc: () => bigint;
  readonly random: () => number;
  readonly msrs: ModelSpecificRegisters;
  /** Default: as after reset. */
  readonly debug?: (index: 6 | 7) => number;
  /** Default `loss`. */
  readonly stopOn?: StopOn;
}

export interface ModelSpecificRegisters {
  read(index: number): bigint;
  write(index: number, value: bigint): void;
}

export const stop = (cause: Cause, exception?: Exception): Verdict =>
  exception ? { type: 'stop', cause, exception } : { type: 'stop', cause };

export const generalProtection = (errorCode: number): Exception => ({
  vector: GENERAL_PROTECTION,
  errorCode,
});

export function littleEndian(bytes: Uint8Array): number | undefined {
  if (bytes.length === 0) return undefined;
  let value = 0;
  for (let i = Math.min(bytes.length, 4) - 1; i >= 0; i--) value = value * 256 + (bytes[i] ?? 0);
  return value;
}

export function readWord(s: Situation, linear: number, size: 2 | 4): number | undefined {
  const bytes = s.read(linear >>> 0, size);
  return bytes.length < size ? undefined : littleEndian(bytes);
}
