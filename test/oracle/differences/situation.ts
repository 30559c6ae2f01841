/** What a known difference looks at, and what all of them share. */
import { END_VECTOR, type OracleCase, type Outcome, TSS_SELECTOR } from '../case.ts';
import type { Oracle } from '../drivers/index.ts';
import { type CaseResult, isOutcome } from '../result.ts';

export type Party = 'startup32' | Oracle;

export interface Situation {
  readonly oracleCase: OracleCase;
  readonly oracle: Oracle;
  readonly ours: CaseResult;
  readonly theirs: CaseResult;
  /** The fields in which they differ. */
  readonly fields: readonly string[];
  /** Another CPU that ran the case did what startup32 did, but for bytes that it wrote before a fault. */
  readonly confirmed: boolean;
}

export interface KnownDifference {
  readonly id: string;
  /** Instruction and condition. */
  readonly title: string;
  /** What the manual says, with the place. */
  readonly manual: string;
  /** What each of them does. KVM stands for the silicon of the machine that it runs on. */
  readonly does: Readonly<Partial<Record<Party, string>>>;
  /** Empty: the manual allows all of it. */
  readonly wrong: readonly Party[];
  matches(situation: Situation): boolean;
}

export const INVALID_OPCODE = 6;
export const NOT_PRESENT = 11;
export const STACK_FAULT = 12;
export const GENERAL_PROTECTION = 13;
export const PAGE_FAULT = 14;
export const ALIGNMENT_CHECK = 17;
export const ERROR_PRESENT = 1;
export const ERROR_WRITE = 2;
export const ERROR_RESERVED = 8;
export const CR4_DE = 8;
export const CR4_PVI = 2;
export const CR4_VME = 1;
export const NOT_AVAILABLE = 7;
export const VIF_VIP = 0x180000;
export const LOCK = 0xf0;

export const vectorOf = (result: CaseResult): number | undefined =>
  isOutcome(result) ? result.vector : undefined;
export const onlyIn = (fields: readonly string[], allowed: readonly string[]): boolean =>
  fields.every(field => allowed.includes(field));
export const topicIs =
  (pattern: RegExp) =>
  ({ oracleCase }: Situation): boolean =>
    pattern.test(oracleCase.topic);
/** Both as outcomes, where both are. */
export const outcomes = ({ ours, theirs }: Situation): readonly [Outcome, Outcome] | undefined =>
  isOutcome(ours) && isOutcome(theirs) ? [ours, theirs] : undefined;

export const TRANSFERS = /^(task-switch|far-)/;

/** The fault came after the switch: TR is no longer the case's own. */
export const isInNewTask = (result: CaseResult): boolean =>
  isOutcome(result) && result.tr !== TSS_SELECTOR && result.vector !== END_VECTOR;

export const hasByte = ({ writes }: OracleCase, value: number): boolean =>
  writes.some(({ bytes }) => bytes.includes(value));

/** A 16-bit gate (SDM vol. 3, table 3-2: types 4, 6, 7) whose last word is not 0. */
export const hasNarrowGate = ({ writes }: OracleCase): boolean =>
  writes.some(({ bytes }) => {
    const [, , , , , access = 0, low = 0, high = 0] = bytes;
    return bytes.length === 8 && [4, 6, 7].includes(access & 0x1f) && (low | high) !== 0;
  });

export const ACCESSES =
  /^(segment-access|cs-limit|umip|int\/handler|no-execute|load-far-pointer|mov-to-segment|pop-segment|mov-from-segment|push-segment|far-|iret|vm86\/mov)/;
