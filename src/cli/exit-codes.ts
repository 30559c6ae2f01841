/** Exit codes: documented, stable. */
import type { StopKind } from '../../emulator/stop.ts';
import type { TrapsResult } from '../traps.ts';

export const EXIT = {
  /** A Stop was reached and reported: any trap, hypercall, halt, `--until`. */
  STOPPED: 0,
  /** The command line is wrong. */
  USAGE: 2,
  /** This image cannot be run, or not this way. */
  IMAGE: 3,
  /** Trouble with the engine, the host or startup32 itself; says nothing about the image. */
  ENGINE: 4,
  /** An expectation failed. Reserved for `startup32 check`. */
  EXPECTATION: 5,
  /** The kernel died: shutdown, i.e. a triple fault. */
  DIED: 6,
  /** The instructions, the time or the traps to spend were spent. */
  SPENT: 7,
  /** Ctrl-C: 128 + SIGINT, as shells report it. */
  INTERRUPTED: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The kinds that do not end in {@link EXIT.STOPPED}. */
const OTHER_ENDS: Partial<Readonly<Record<StopKind, ExitCode>>> = {
  shutdown: EXIT.DIED,
  budget: EXIT.SPENT,
  timeout: EXIT.SPENT,
  interrupted: EXIT.INTERRUPTED,
  'engine-limit': EXIT.ENGINE,
};

/** Of a run through all traps: that of the last Stop; or, when as many were answered as were to be, that of a budget. */
export const exitCodeOfTraps = ({ end, stop }: Pick<TrapsResult, 'end' | 'stop'>): ExitCode =>
  end === 'traps' ? EXIT.SPENT : exitCodeOf(stop.kind);

export const exitCodeOf = (kind: StopKind): ExitCode => OTHER_ENDS[kind] ?? EXIT.STOPPED;
