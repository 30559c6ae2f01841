/**
 * Job: one call of `run` – its deadline, and its passes. Runs are deterministic: what one pass does not tell exactly, the
 * same run again does, from the entry.
 */
import type { GivenAnswer } from '../continuation.ts';
import type { Guest } from '../guest.ts';
import { type RunOptions, type StopOn, untilsOf } from '../run-options.ts';
import type { Cause, Stop } from '../stop.ts';
import { Tracer } from '../trace.ts';
import type { Unfinished } from './replay.ts';
import { Session } from './session.ts';

/** Stepping has not helped. */
const NO_PROGRESS: Cause = {
  kind: 'engine-limit',
  limit: 'no-progress',
  detail: 'the engine does not get through a block that writes to itself',
};

/** Ways to count that need no second pass. */
const UNCOUNTED: ReadonlySet<RunOptions['count']> = new Set(['never', 'beginning'] as const);

/** The machine that the run is of. */
export interface GuestAccess {
  guest(): Guest;
  restart(): void;
  readonly resumedAt: number | undefined;
  readonly answers: readonly GivenAnswer[];
  readonly unfinished: Unfinished;
  /** Starts of blocks that have to be stepped through: one that was found stays one. */
  readonly fragile: Set<number>;
}

export class Job {
  readonly #access: GuestAccess;
  readonly #options: RunOptions;
  readonly #deadline: number;
  #session: Session;
  /** The uncounted pass's Stop, while a counted one looks for it again. */
  #found: Stop | undefined;
  #stepFrom: number | undefined;
  readonly #untilFrom: number;
  readonly #tracer: Tracer | undefined;

  constructor(access: GuestAccess, options: RunOptions, inSlices: boolean) {
    this.#access = access;
    this.#options = options;
    this.#deadline =
      options.timeout === undefined ? Number.POSITIVE_INFINITY : performance.now() + options.timeout;
    const leaves =
      access.resumedAt !== undefined &&
      (options.untilCode !== undefined || untilsOf(options).has(access.resumedAt));
    this.#untilFrom = access.guest().counter.retired + (leaves ? 1 : 0);
    const returns = inSlices || options.timeout !== undefined;
    const { counter, processor } = access.guest();
    this.#tracer =
      options.trace && new Tracer(options.trace, { retired: counter.retired, address: processor.eip });
    this.#session = new Session(access.guest(), options, {
      inSlices: returns,
      resumedAt: access.resumedAt,
      ...access.unfinished,
      fragile: access.fragile,
      tracer: this.#tracer,
    });
  }

  /** The last event of the run. */
  endTrace(stop: Stop): void {
    this.#tracer?.stop(stop, this.#access.guest().counter.retired);
  }

  get unfinished(): Unfinished {
    return this.#session.unfinished;
  }

  /** From this many retired instructions on, this run was done one at a time. */
  get stepFrom(): number | undefined {
    return this.#stepFrom;
  }

  /** Nothing is counted now. */
  get relaxed(): boolean {
    return this.#session.relaxed;
  }

  get stopOn(): StopOn {
    return this.#options.stopOn ?? 'loss';
  }

  slice(milliseconds: number): Stop | undefined {
    const left = this.#deadline - performance.now();
    if (left <= 0) {
      return (
        this.#found ?? this.#session.stopNow({ kind: 'timeout', milliseconds: this.#options.timeout ?? 0 })
      );
    }
    const end = this.#session.slice(Math.min(milliseconds, left));
    if (end.type === 'slice') return undefined;
    if (end.type === 'stop' && (!this.#session.relaxed || UNCOUNTED.has(this.#options.count)))
      return end.stop;
    if (end.type === 'stop') this.#found = end.stop;
    if (end.type === 'needs-steps') this.#stepFrom = end.from;
    if (end.type === 'step-through') {
      const { fragile } = this.#access;
      if (fragile.has(end.block)) return this.#session.stopNow(NO_PROGRESS);
      fragile.add(end.block);
    }
    this.#repeat();
    return undefined;
  }

  /** The next pass: the same run again, counted from the entry. */
  #repeat(): void {
    this.#access.restart();
    this.#tracer?.restart();
    this.#session = new Session(
      this.#access.guest(),
      { ...this.#options, count: 'always' },
      {
        inSlices: true,
        untilFrom: this.#untilFrom,
        fragile: this.#access.fragile,
        answers: this.#access.answers,
        tracer: this.#tracer,
        ...(this.#stepFrom === undefined ? {} : { stepFrom: this.#stepFrom }),
      },
    );
  }

  interrupt(): Stop {
    return this.#found ?? this.#session.stopNow({ kind: 'interrupted' });
  }
}
