/** What a host does at a Stop: an answer that the Machine can carry out, or the end. */
import type { Effect } from '../../emulator/effect.ts';
import type { EntryState } from '../../emulator/entry-state.ts';
import type { Continuation } from '../../emulator/machine.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { VirtualCpu } from './virtual-cpu.ts';

/**
 * - `emulated`: the host does what the instruction asks for, as far as it does it for a guest
 * - `skipped`: the host steps over it and does nothing
 * - `passed`: nothing trapped on the CPU, or it lets the CPU do it
 * - `reflected`: the exception goes to the guest's own handler
 * - `killed`: the host ends the guest
 * - `ended`: the guest ended itself: halt, shutdown
 * - `unanswered`: no one here knows an answer
 */
export type AnswerKind = 'emulated' | 'skipped' | 'passed' | 'reflected' | 'killed' | 'ended' | 'unanswered';

export interface Answer {
  readonly kind: AnswerKind;
  /** One or two sentences. */
  readonly sentence: string;
  readonly citation?: string;
  /** What it came to here, with the values, where the sentence is general. */
  readonly detail?: string;
  /** How the run goes on; absent: it ends here. */
  readonly continuation?: Continuation;
  /** The virtual CPU after it; absent: as it was. */
  readonly virtual?: VirtualCpu;
}

/** What an answer may look at. */
export interface AnswerContext {
  /** What the kernel was started from. */
  readonly entry: EntryState;
  readonly virtual: VirtualCpu;
  /** Which lguest answers: a Linux version, 2.6.23 to 4.13. */
  readonly era: string;
  /** Linear memory through the guest's own mapping; shorter where that ends. */
  readonly read: (linear: number, size: number) => Uint8Array;
  /** A model-specific register as RDMSR would read it on a bare CPU. */
  readonly readMsr: (index: number) => bigint;
}

/** A host, as a pure function of the Stop and what is around it. */
export type Respond = (stop: Stop, context: AnswerContext) => Answer;

const done = (effect: Effect): Continuation => ({ type: 'done', effect });

export const emulated = (sentence: string, effect: Effect, virtual?: VirtualCpu): Answer => ({
  kind: 'emulated',
  sentence,
  continuation: done(effect),
  ...(virtual && { virtual }),
});

/** The port bus and the like: the engine does the instruction, as the host's own I/O would. */
export const carriedOut = (sentence: string): Answer => ({
  kind: 'emulated',
  sentence,
  continuation: { type: 'let-pass' },
});

export const skipped = (sentence: string): Answer => ({
  kind: 'skipped',
  sentence,
  continuation: done({}),
});

export const passed = (sentence: string): Answer => ({
  kind: 'passed',
  sentence,
  continuation: { type: 'let-pass' },
});

export const killed = (sentence: string): Answer => ({ kind: 'killed', sentence });
export const ended = (sentence: string): Answer => ({ kind: 'ended', sentence });
export const unanswered = (sentence: string): Answer => ({ kind: 'unanswered', sentence });

export const cited = (answer: Answer, citation: string): Answer => ({ ...answer, citation });
