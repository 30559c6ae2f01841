/** What becomes of a sensitive instruction. */
import type { CpuModel } from '../cpu-models.ts';
import type { CpuState, GeneralRegister } from '../cpu-state.ts';
import type { Platform } from '../entry-state.ts';
import type { DecodedInstruction } from '../instructions.ts';
import type { Cause, Exception } from '../stop.ts';
import type { PrivilegeState } from './context.ts';

export type Verdict =
  | { readonly type: 'stop'; readonly cause: Cause; readonly exception?: Exception }
  /** The CPU runs it as it is. */
  | { readonly type: 'run' }
  /** The Machine does it: these registers change, and control goes on after it. */
  | {
      readonly type: 'answer';
      readonly registers: Partial<Record<GeneralRegister, number>>;
      readonly eflags?: number;
    };

export const RUN: Verdict = { type: 'run' };

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
  /** Virtual time. */
  readonly tsc: () => bigint;
  readonly random: () => number;
  readonly msrs: ModelSpecificRegisters;
}

export interface ModelSpecificRegisters {
  read(index: number): bigint;
  write(index: number, value: bigint): void;
}

export const GENERAL_PROTECTION = 13;
export const INVALID_OPCODE = 6;
export const NOT_PRESENT = 11;
export const STACK_FAULT = 12;

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
