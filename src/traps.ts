/** All traps of a run, one after the other: each is answered as a host would answer it, and the run goes on. */
import {
  type Answer,
  answerOf,
  hostOf,
  type VirtualCpu,
  virtualCpu,
} from '../boot-protocols/hosts/answers.ts';
import type { HostName } from '../boot-protocols/hosts/index.ts';
import { NEWEST_LGUEST } from '../boot-protocols/lguest/eras.ts';
import { RUN_ENDED } from '../emulator/continuation.ts';
import type { Machine, RunOptions } from '../emulator/machine.ts';
import type { Stop } from '../emulator/stop.ts';

export interface TrapsOptions extends RunOptions {
  /** Who answers; default: the host of the boot protocol, or `skip` where it names none. */
  readonly answer?: HostName;
  /** Which lguest answers: a Linux version, 2.6.23 to 4.13; default that of the entry, else the last. */
  readonly era?: string;
  /** Traps to answer at most; default 10,000. */
  readonly traps?: number;
}

/** A trap and its answer. The same trap at the same place, answered the same way, is one entry with a count. */
export interface Trap {
  /** From 1, in the order of their first times. */
  readonly ordinal: number;
  readonly stop: Stop;
  readonly answer: Answer;
  /** How often it was met. */
  readonly count: number;
  /** Instructions retired before the last time. */
  readonly last: number;
}

/**
 * Why the run ended:
 * - `no-answer`: the last trap has none: the guest is killed, or no one here knows one
 * - `ended`: the guest ended itself: it halts, or the CPU shuts down
 * - `stop`: a Stop that is no trap: `--until`, the budget, the time, an engine's limit
 * - `stuck`: the CPU does not get past an instruction that was let pass
 * - `traps`: so many traps were answered as were to be answered at most
 */
export type TrapsEnd = 'no-answer' | 'ended' | 'stop' | 'stuck' | 'traps';

export interface TrapsResult {
  readonly host: HostName;
  /** Of lguest. */
  readonly era?: string;
  readonly traps: readonly Trap[];
  /** Of all entries together. */
  readonly met: number;
  readonly end: TrapsEnd;
  /** The last Stop. */
  readonly stop: Stop;
}

const DEFAULT_TRAPS = 10_000;

/** Milliseconds: a timeout of 0 would be none. */
const SHORTEST = 1;

/** Each run gets the time that is left; the Stop tells of all of it. */
const allOfTime = (stop: Stop, timeout: number | undefined): Stop =>
  stop.kind === 'timeout' && timeout !== undefined ? { ...stop, milliseconds: timeout } : stop;

interface Entry {
  ordinal: number;
  stop: Stop;
  answer: Answer;
  count: number;
  last: number;
}

/** Same place, same instruction, same act. */
const keyOf = ({ kind, cpu, instruction }: Stop, answer: Answer): string =>
  [cpu.eip, kind, instruction?.bytes.join(' '), answer.kind, answer.sentence].join('|');

/**
 * Runs on from where the machine stands, through every trap that the host answers.
 *
 * @throws {RangeError} for runs without counting: a second pass could not repeat the answers
 */
export async function runThroughTraps(machine: Machine, options: TrapsOptions = {}): Promise<TrapsResult> {
  const {
    answer: given,
    era = machine.entry.knobs.era ?? NEWEST_LGUEST,
    traps: limit = DEFAULT_TRAPS,
    ...run
  } = options;
  const host = given ?? hostOf(machine.entry.protocol);
  const entries = new Map<string, Entry>();
  let virtual: VirtualCpu = virtualCpu(machine.entry);
  let met = 0;
  let before: Stop | undefined;
  const result = (end: TrapsEnd, stop: Stop): TrapsResult => ({
    host,
    ...(host === 'lguest' && { era }),
    traps: [...entries.values()],
    met,
    end,
    stop,
  });
  const end = run.timeout === undefined ? undefined : performance.now() + run.timeout;
  for (;;) {
    const left = end === undefined ? {} : { timeout: Math.max(end - performance.now(), SHORTEST) };
    const stop = allOfTime(await machine.runAsync({ stopOn: 'fault', ...run, ...left }), run.timeout);
    if (RUN_ENDED.has(stop.kind)) return result('stop', stop);
    const answer = answerOf(host, stop, {
      entry: machine.entry,
      virtual,
      era,
      read: (linear, size) => machine.readMemory(linear, size),
      readMsr: index => machine.readMsr(index),
    });
    met++;
    run.onProgress?.(stop.instructions);
    note(entries, stop, answer);
    if (isStuck(before, stop)) return result('stuck', stop);
    before = answer.continuation?.type === 'let-pass' ? stop : undefined;
    if (!answer.continuation) return result(answer.kind === 'ended' ? 'ended' : 'no-answer', stop);
    if (met >= limit) return result('traps', stop);
    virtual = answer.virtual ?? virtual;
    machine.answer(answer.continuation);
  }
}

/** What was let pass has stopped at the same place, and nothing has run; ECX counts a repeated string instruction. */
const isStuck = (passed: Stop | undefined, stop: Stop): boolean =>
  passed !== undefined &&
  passed.instructions === stop.instructions &&
  passed.cpu.eip === stop.cpu.eip &&
  passed.cpu.registers.ecx === stop.cpu.registers.ecx;

function note(entries: Map<string, Entry>, stop: Stop, answer: Answer): void {
  const key = keyOf(stop, answer);
  const known = entries.get(key);
  if (known) {
    known.count++;
    known.last = stop.instructions;
  } else {
    entries.set(key, { ordinal: entries.size + 1, stop, answer, count: 1, last: stop.instructions });
  }
}
