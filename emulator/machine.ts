/**
 * Machine: an EntryState brought to life, the one stateful thing. `run` returns a Stop, and may be called again: it
 * goes on from where it stands.
 */
import type { EntryState } from './entry-state.ts';
import { Guest } from './guest.ts';
import { type RunOptions, untilsOf } from './run-options.ts';
import { Session } from './session.ts';
import type { Cause, Stop } from './stop.ts';
import type { UnicornLibrary } from './unicorn/api.ts';

export type { RunOptions } from './run-options.ts';

export interface MachineOptions {
  /** The guest's output on COM1, as it comes. */
  readonly onSerial?: (bytes: Uint8Array) => void;
}

/** Stepping has not helped. */
const NO_PROGRESS: Cause = {
  kind: 'engine-limit',
  limit: 'no-progress',
  detail: 'the engine does not get through a block that writes to itself',
};

/** `runAsync` lets other work go on after so long. */
const SLICE_MILLISECONDS = 50;

export class Machine {
  readonly entry: EntryState;
  readonly engine: { readonly name: string; readonly version: string };
  readonly #library: UnicornLibrary;
  readonly #options: MachineOptions;
  #guest: Guest;
  /** Bytes of serial output that were handed on: a second pass does not repeat them. */
  #serialSent = 0;
  #serialSeen = 0;
  #stoppedAt: number | undefined;
  #closed = false;

  private constructor(library: UnicornLibrary, entry: EntryState, options: MachineOptions) {
    this.entry = entry;
    this.engine = { name: library.name, version: library.version };
    this.#library = library;
    this.#options = options;
    this.#guest = this.#start();
  }

  /** @throws {EngineError} when the engine cannot be put into the entry state */
  static open(library: UnicornLibrary, entry: EntryState, options: MachineOptions = {}): Machine {
    return new Machine(library, entry, options);
  }

  #start(): Guest {
    this.#serialSeen = 0;
    return new Guest(this.#library, this.entry, {
      onSerial: byte => {
        this.#serialSeen++;
        if (this.#serialSeen <= this.#serialSent) return;
        this.#serialSent++;
        this.#options.onSerial?.(Uint8Array.of(byte));
      },
    });
  }

  /** Runs to the next Stop. It blocks; the wall clock decides nothing but a `timeout` Stop. */
  run(options: RunOptions = {}): Stop {
    const job = new Job(this.#access(), options, false);
    for (;;) {
      const stop = job.slice(Number.POSITIVE_INFINITY);
      if (stop) return this.#stopped(stop);
    }
  }

  /** As {@link run}, in slices: other work goes on, and `signal` ends it in an `interrupted` Stop. */
  async runAsync(options: RunOptions = {}): Promise<Stop> {
    const job = new Job(this.#access(), options, true);
    for (;;) {
      if (options.signal?.aborted) return this.#stopped(job.interrupt());
      const stop = job.slice(SLICE_MILLISECONDS);
      if (stop) return this.#stopped(stop);
      await new Promise<void>(resolve => setTimeout(resolve, 0));
    }
  }

  #stopped(stop: Stop): Stop {
    this.#stoppedAt = stop.kind === 'reached' ? stop.address : undefined;
    return stop;
  }

  #checkOpen(): void {
    if (this.#closed) throw new Error('the machine is closed');
  }

  #access(): GuestAccess {
    this.#checkOpen();
    return {
      guest: () => this.#guest,
      restart: () => {
        this.#guest.close();
        this.#guest = this.#start();
      },
      resumedAt: this.#stoppedAt,
    };
  }

  /** A copy of linear memory, through the guest's own mapping; shorter where that or the memory ends. */
  readMemory(linear: number, size: number): Uint8Array {
    this.#checkOpen();
    return this.#guest.readLinear(linear, size);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#guest.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}

interface GuestAccess {
  guest(): Guest;
  restart(): void;
  readonly resumedAt: number | undefined;
}

/** One call of `run`: its session, its deadline, and the second pass where one is needed. */
class Job {
  readonly #access: GuestAccess;
  readonly #options: RunOptions;
  readonly #deadline: number;
  #session: Session;
  /** The uncounted pass's Stop, while a counted one looks for it again. */
  #found: Stop | undefined;
  #stepFrom: number | undefined;
  readonly #untilFrom: number;
  readonly #fragile = new Set<number>();

  constructor(access: GuestAccess, options: RunOptions, inSlices: boolean) {
    this.#access = access;
    this.#options = options;
    this.#deadline =
      options.timeout === undefined ? Number.POSITIVE_INFINITY : performance.now() + options.timeout;
    const leaves = access.resumedAt !== undefined && untilsOf(options).has(access.resumedAt);
    this.#untilFrom = access.guest().counter.retired + (leaves ? 1 : 0);
    const returns = inSlices || options.timeout !== undefined;
    this.#session = new Session(access.guest(), options, {
      inSlices: returns,
      resumedAt: access.resumedAt,
    });
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
    if (end.type === 'stop' && (!this.#session.relaxed || this.#options.count === 'never')) return end.stop;
    if (end.type === 'stop') this.#found = end.stop;
    if (end.type === 'needs-steps') this.#stepFrom = end.from;
    if (end.type === 'step-through') {
      if (this.#fragile.has(end.block)) return this.#session.stopNow(NO_PROGRESS);
      this.#fragile.add(end.block);
    }
    this.#repeat();
    return undefined;
  }

  /** Runs are deterministic: what one pass does not tell exactly, the same run again does, counted from the entry. */
  #repeat(): void {
    this.#access.restart();
    this.#session = new Session(
      this.#access.guest(),
      { ...this.#options, count: 'always' },
      {
        inSlices: true,
        untilFrom: this.#untilFrom,
        fragile: this.#fragile,
        ...(this.#stepFrom === undefined ? {} : { stepFrom: this.#stepFrom }),
      },
    );
  }

  interrupt(): Stop {
    return this.#found ?? this.#session.stopNow({ kind: 'interrupted' });
  }
}
