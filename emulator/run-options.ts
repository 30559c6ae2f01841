/** What a caller can ask of a run. */
import type { TraceSink } from './trace.ts';

export const DEFAULT_INSTRUCTIONS = 50_000_000;

/**
 * What stops a run besides its end:
 * - `fault`: what raises an exception, and nothing else
 * - `loss`: besides, POPF and IRET that lose IF or IOPL, and a null segment that nothing can replace
 * - `sensitive`: besides, the first silent instruction outside ring 0; of a kernel that is paravirtual in ring 0, the first
 *   privileged or IOPL-sensitive one
 */
export type StopOn = 'fault' | 'loss' | 'sensitive';

/** Code by its bytes, wherever it may come to stand. */
export interface CodePattern {
  readonly bytes: Uint8Array;
  /** As long as the bytes: only bits that are set here are compared. */
  readonly mask: Uint8Array;
  /** Other code that begins the same, each longer than the bytes: what stands there is none of these. */
  readonly except?: readonly Uint8Array[];
}

/** So many bytes have to be looked at to tell. */
export const codeSize = ({ bytes, except = [] }: CodePattern): number =>
  Math.max(bytes.length, ...except.map(({ length }) => length));

export interface RunOptions {
  /** Linear address, or several (a symbol's physical and virtual one): the run stops before the instruction there. */
  readonly until?: number | readonly number[];
  /** The run stops before the instruction with which control comes to this code for the first time. */
  readonly untilCode?: CodePattern;
  /** Instructions to retire at most, counted from the entry; Infinity: no limit. Default 50 million. */
  readonly instructions?: number;
  /** Wall-clock milliseconds; default none. */
  readonly timeout?: number;
  /**
   * `always` counts every block as it runs. `auto` gives the same exact numbers, with a second pass where that is
   * faster: in `run` without a limit or a timeout. `never` leaves `instructions` 0 and the trail empty but for the last
   * block; without a limit or a timeout on the native engine, code that a guest changes and runs again at once, with
   * nothing new in between, may run as it was. `beginning` counts so many blocks as `auto` does and then goes on like
   * `never`, where there is no limit and no timeout: `instructions` is then a lower bound. What needs virtual time after
   * that starts again, counted. It is for `runAsync`, which from there on can hardly be interrupted.
   */
  readonly count?: 'auto' | 'always' | 'never' | 'beginning';
  /** Default `loss`. */
  readonly stopOn?: StopOn;
  /** Gets the way of the run, event by event. Every block is then looked at as it runs; the Stop stays the same. */
  readonly trace?: TraceSink;
  /**
   * For `runAsync`: called now and then with the instructions retired since the entry. A second pass starts over; with
   * nothing counted it is not called.
   */
  readonly onProgress?: (instructions: number) => void;
  /** For `runAsync` with `count: 'beginning'`: called once, when counting ends and the rest of the run blocks. */
  readonly onBlocking?: () => void;
  /** For `runAsync`: aborting ends the run in an `interrupted` Stop. */
  readonly signal?: AbortSignal;
}

/** The addresses at which a run stops. */
export function untilsOf({ until }: RunOptions): ReadonlySet<number> {
  if (until === undefined) return new Set();
  return new Set(typeof until === 'number' ? [until] : until);
}

/** Whether the pattern stands at the start of `code`. */
export function matchesCode({ bytes, mask, except = [] }: CodePattern, code: Uint8Array): boolean {
  if (code.length < bytes.length) return false;
  for (let i = 0; i < bytes.length; i++) {
    if ((((code[i] ?? 0) ^ (bytes[i] ?? 0)) & (mask[i] ?? 0)) !== 0) return false;
  }
  return !except.some(other => other.every((byte, i) => byte === code[i]));
}
