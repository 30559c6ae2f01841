/**
 * How a run goes on after a Stop: what is done in place of the instruction at which it stopped. A second pass repeats
 * the runs before it from the entry, and so it needs every answer that was given on the way.
 */
import type { Effect } from './effect.ts';
import type { StopOn } from './run-options.ts';
import type { Stop, StopKind } from './stop.ts';

export type Continuation =
  /** The instruction is done in place of the CPU; it counts as retired. So does one that is only stepped over. */
  | { readonly type: 'done'; readonly effect: Effect }
  /** An exception goes to the guest's own handler, to which the effect leads; the instruction does not count. */
  | { readonly type: 'delivered'; readonly effect: Effect }
  /** The CPU does the instruction, without a look at what it is. */
  | {
      readonly type: 'let-pass';
      /** For this one instruction an empty bus answers here: reads give all ones, writes are lost. Physical. */
      readonly emptyBus?: { readonly address: number; readonly size: number };
    };

export type LetPass = Extract<Continuation, { type: 'let-pass' }>;

/** An answer that was given, and where. */
export interface GivenAnswer {
  readonly continuation: Continuation;
  /** Instructions retired when it was given. */
  readonly retired: number;
  /** Linear. */
  readonly eip: number;
  /** Bytes of the instruction; 0 where it cannot be read. */
  readonly length: number;
  /** The run that came to it stepped from this many retired instructions on, to be exact. */
  readonly stepFrom?: number;
  /** What ended that run. */
  readonly stopOn: StopOn;
}

/** Stops of the run rather than of the guest: there is nothing to answer. */
export const RUN_ENDED: ReadonlySet<StopKind> = new Set([
  'reached',
  'budget',
  'timeout',
  'interrupted',
  'engine-limit',
]);

/** Why a Stop cannot be answered; `undefined` when it can. */
export function unanswerable(stop: Stop | undefined, continuation: Continuation): string | undefined {
  if (!stop) return 'the machine has not stopped at anything';
  if (RUN_ENDED.has(stop.kind)) return `a ${stop.kind} stop is the end of a run and asks for no answer`;
  if (!stop.counted) return 'a run that is not counted cannot be repeated with its answers';
  if (continuation.type === 'done' && !stop.instruction && continuation.effect.eip === undefined)
    return 'the instruction cannot be read, so there is no next one';
  return undefined;
}
