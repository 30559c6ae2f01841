/** What a caller can ask of a run. */
import type { TraceSink } from './trace.ts';

export const DEFAULT_INSTRUCTIONS = 50_000_000;

/**
 * What stops a run besides its end:
 * - `fault`: what raises an exception, and nothing else
 * - `loss`: besides, POPF and IRET that lose IF or IOPL, and a null segment that nothing can replace
 * - `sensitive`: besides, the first silent instruction outside ring 0
 */
export type StopOn = 'fault' | 'loss' | 'sensitive';

export interface RunOptions {
  /** Linear address, or several (a symbol's physical and virtual one): the run stops before the instruction there. */
  readonly until?: number | readonly number[];
  /** Instructions to retire at most, counted from the entry; Infinity: no limit. Default 50 million. */
  readonly instructions?: number;
  /** Wall-clock milliseconds; default none. */
  readonly timeout?: number;
  /**
   * `always` counts every block as it runs. `auto` gives the same exact numbers, with a second pass where that is
   * faster: in `run` without a limit or a timeout. `never` leaves `instructions` 0 and the trail empty but for the last
   * block; without a limit or a timeout on the native engine, code that a guest changes and runs again at once, with
   * nothing new in between, may run as it was.
   */
  readonly count?: 'auto' | 'always' | 'never';
  /** Default `loss`. */
  readonly stopOn?: StopOn;
  /** Gets the way of the run, event by event. Every block is then looked at as it runs; the Stop stays the same. */
  readonly trace?: TraceSink;
  /** For `runAsync`: aborting ends the run in an `interrupted` Stop. */
  readonly signal?: AbortSignal;
}

/** The addresses at which a run stops. */
export function untilsOf({ until }: RunOptions): ReadonlySet<number> {
  if (until === undefined) return new Set();
  return new Set(typeof until === 'number' ? [until] : until);
}
