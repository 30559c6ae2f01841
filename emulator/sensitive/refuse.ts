/**
 * The checks of one instruction stand one after another, in the order of the SDM, and the first that fails ends them:
 * it throws, and {@link verdictOf} makes a verdict of it.
 */
import type { Effect } from '../effect.ts';
import type { Descriptor, SegmentName } from '../segmentation.ts';
import type { Cause, Exception, SegmentLoadProblem } from '../stop.ts';
import { GENERAL_PROTECTION, type Verdict } from './verdict.ts';

class Refused extends Error {
  readonly verdict: Verdict;

  constructor(verdict: Verdict) {
    super('an instruction does not pass its checks');
    this.verdict = verdict;
  }
}

/** @param effect what the instruction has done before it faults */
export function refuse(cause: Cause, exception?: Exception, effect?: Effect): never {
  throw new Refused({
    type: 'stop',
    cause,
    ...(exception ? { exception } : {}),
    ...(effect ? { effect } : {}),
  });
}

export function verdictOf(checks: () => Verdict): Verdict {
  try {
    return checks();
  } catch (error) {
    if (error instanceof Refused) return error.verdict;
    throw error;
  }
}

export interface LoadRefusal {
  readonly register: SegmentName | 'ldtr' | 'tr';
  readonly selector: number;
  readonly problem: SegmentLoadProblem;
  readonly vector?: number;
  /** Default: the selector without its RPL. */
  readonly errorCode?: number;
  readonly descriptor?: Descriptor | undefined;
}

/** A selector that cannot be loaded. Default: #GP(selector). */
export function refuseLoad(refusal: LoadRefusal): never {
  const { register, selector, problem, vector = GENERAL_PROTECTION, descriptor } = refusal;
  const errorCode = refusal.errorCode ?? selector & 0xfffc;
  refuse(
    { kind: 'segment-load', register, selector, problem, ...(descriptor ? { descriptor } : {}) },
    { vector, errorCode },
  );
}
