/**
 * Machine: an EntryState brought to life, the one stateful thing. `run` returns a Stop, and may be called again: it
 * goes on from where it stands.
 */
import { checkEntryState } from './check-entry-state.ts';
import { type Continuation, type GivenAnswer, unanswerable } from './continuation.ts';
import { linearEip } from './cpu-state.ts';
import type { EntryState } from './entry-state.ts';
import { Guest } from './guest.ts';
import { type GuestAccess, Job } from './run/job.ts';
import type { Unfinished } from './run/replay.ts';
import type { RunOptions, StopOn } from './run-options.ts';
import type { Stop } from './stop.ts';
import type { UnicornLibrary } from './unicorn/api.ts';

export type { Continuation } from './continuation.ts';
export type { RunOptions } from './run-options.ts';

export interface MachineOptions {
  /** The guest's output on COM1, as it comes. */
  readonly onSerial?: (bytes: Uint8Array) => void;
}

const NOTHING_LEFT: Unfinished = { letsPass: undefined, answers: [] };

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
  /** The last Stop, until it is answered. */
  #stop: Stop | undefined;
  /** From where the run to it was stepped. */
  #stepFrom: number | undefined;
  /** What ended the run to it. */
  #stopOn: StopOn = 'loss';
  readonly #answers: GivenAnswer[] = [];
  /** Answers that the next run begins with: the last one lets the instruction pass, or the run before was interrupted. */
  #unfinished: Unfinished = NOTHING_LEFT;
  readonly #fragile = new Set<number>();
  #closed = false;

  private constructor(library: UnicornLibrary, entry: EntryState, options: MachineOptions) {
    this.entry = entry;
    this.engine = { name: library.name, version: library.version };
    this.#library = library;
    this.#options = options;
    this.#guest = this.#start();
  }

  /**
   * @throws {EntryStateError} when the entry state contradicts itself: regions that overlap, a region without memory …
   * @throws {EngineError} when the engine cannot be put into the entry state
   */
  static open(library: UnicornLibrary, entry: EntryState, options: MachineOptions = {}): Machine {
    checkEntryState(entry);
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
      if (stop) return this.#stopped(stop, job);
    }
  }

  /** As {@link run}, in slices: other work goes on, and `signal` ends it in an `interrupted` Stop. */
  async runAsync(options: RunOptions = {}): Promise<Stop> {
    const job = new Job(this.#access(), options, true);
    let isBlocking = false;
    for (;;) {
      if (options.signal?.aborted) return this.#stopped(job.interrupt(), job);
      const stop = job.slice(SLICE_MILLISECONDS);
      if (stop) return this.#stopped(stop, job);
      if (!job.relaxed) options.onProgress?.(this.#guest.counter.retired);
      if (job.relaxed && !isBlocking) {
        isBlocking = true;
        options.onBlocking?.();
      }
      await new Promise<void>(resolve => setTimeout(resolve, 0));
    }
  }

  #stopped(stop: Stop, job: Job): Stop {
    this.#stoppedAt = stop.kind === 'reached' ? stop.address : undefined;
    this.#stop = stop;
    this.#stepFrom = job.stepFrom;
    this.#unfinished = job.unfinished;
    this.#stopOn = job.stopOn;
    job.endTrace(stop);
    return stop;
  }

  /**
   * Answers the last Stop: the next `run` goes on from there. What was done in place of the CPU counts as retired,
   * what was stepped over too; a fault that is delivered to the guest does not.
   *
   * @throws {RangeError} when the last run ended in a Stop that is none of the guest's (`reached`, `budget` …), was not
   * counted, or has been answered
   */
  answer(continuation: Continuation): void {
    this.#checkOpen();
    const stop = this.#stop;
    const refused = unanswerable(stop, continuation);
    if (!stop || refused !== undefined) throw new RangeError(refused);
    this.#stop = undefined;
    const given: GivenAnswer = {
      continuation,
      retired: stop.instructions,
      eip: linearEip(stop.cpu),
      length: stop.instruction?.bytes.length ?? 0,
      ...(this.#stepFrom === undefined ? {} : { stepFrom: this.#stepFrom }),
      stopOn: this.#stopOn,
    };
    this.#answers.push(given);
    if (continuation.type === 'let-pass') this.#unfinished = { letsPass: continuation, answers: [] };
    else this.#guest.answer(continuation, given.length);
  }

  /** A model-specific register as RDMSR would read it; 0 for one that nothing has written. */
  readMsr(index: number): bigint {
    this.#checkOpen();
    return this.#guest.readMsr(index);
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
      answers: this.#answers,
      unfinished: this.#unfinished,
      fragile: this.#fragile,
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
