/** What a caller can ask of a run. */

export const DEFAULT_INSTRUCTIONS = 50_000_000;

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
  /** For `runAsync`: aborting ends the run in an `interrupted` Stop. */
  readonly signal?: AbortSignal;
}

/** The addresses at which a run stops. */
export function untilsOf({ until }: RunOptions): ReadonlySet<number> {
  if (until === undefined) return new Set();
  return new Set(typeof until === 'number' ? [until] : until);
}
