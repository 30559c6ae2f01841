/** The JSON report of all traps of a run, `startup32/traps@1`, as types. The last Stop's report is in it. */
import type { AnswerKind } from '../../../boot-protocols/hosts/answers.ts';
import type { HostName } from '../../../boot-protocols/hosts/index.ts';
import type { StopKind } from '../../../emulator/stop.ts';
import type { TrapsEnd } from '../../traps.ts';
import type { OperandReport } from '../operands/report.ts';
import type { PlaceReport } from '../parts.ts';
import type { ExceptionReport, StopReport } from '../stop/report.ts';

/** A trap at one place; the same trap there, answered the same way, is one entry. */
export interface TrapReport {
  /** From 1, in the order of their first times. */
  ordinal: number;
  count: number;
  /** Instructions retired before the first and the last time. */
  instructions: number;
  lastInstructions: number;
  kind: StopKind;
  /** The privilege rule behind it. */
  rule?: string;
  at: PlaceReport;
  /** Absent where it cannot be read. */
  instruction?: { bytes: string; text: string };
  exception?: ExceptionReport;
  /** What it was about to do, the first time. */
  operand?: OperandReport;
  /** The same in words. */
  wants: string[];
  answer: {
    does: AnswerKind;
    text: string;
    citation?: string;
    /** What it came to, the first time. */
    detail?: string;
  };
}

export interface TrapsReport {
  schema: 'startup32/traps@1';
  /** Who answered. */
  host: HostName;
  /** Of lguest: a Linux version. */
  era?: string;
  /** All entries together. */
  met: number;
  traps: TrapReport[];
  end: { why: TrapsEnd; text: string };
  /** The last stop. */
  stop: StopReport;
}
