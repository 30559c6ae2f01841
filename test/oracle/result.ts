/** What came of a case: an outcome, or why there is none. Either side of a comparison is one of these. */
import type { Outcome } from './case.ts';

export type FailureKind =
  /** It did not come to an end: an endless loop, a shutdown, no answer. */
  | 'wedged'
  /** startup32 says that its engine cannot follow the guest. */
  | 'limit'
  /** The program itself failed. */
  | 'error';

export interface Failure {
  readonly failure: FailureKind;
  readonly detail: string;
}

export type CaseResult = Outcome | Failure;

export const isOutcome = (result: CaseResult): result is Outcome => !('failure' in result);
