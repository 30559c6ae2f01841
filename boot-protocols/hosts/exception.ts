/** The exception that a rule's instruction raises where its condition does not hold. */
import { PRIVILEGE_RULES, type PrivilegeRule } from '../../emulator/privilege/index.ts';
import { exceptionName } from '../exceptions.ts';

/** `#GP` and 13. */
export interface HostExceptionName {
  readonly mnemonic: string;
  readonly vector: number;
}

const GENERAL_PROTECTION = 13;

export const hostException = (vector: number): HostExceptionName => ({
  vector,
  mnemonic: exceptionName(vector).mnemonic,
});

/** In protected mode at CPL 1, where guests run. CR4 is 0 there but for what makes the instruction known at all. */
export function exceptionOf(rule: PrivilegeRule): HostExceptionName {
  const OSXSAVE = 1 << 18;
  const TSD = 1 << 2;
  const outcome = rule.outcome({ cpl: 1, iopl: 0, cr0: 1, cr4: OSXSAVE | TSD, vm86: false });
  return hostException(outcome.kind === 'fault' ? outcome.vector : GENERAL_PROTECTION);
}

/** The same answer, made for each of several rules from the exception that it raises. */
export const forRules = <T>(
  ids: readonly string[],
  make: (exception: HostExceptionName) => T,
): Readonly<Record<string, T>> =>
  Object.fromEntries(
    PRIVILEGE_RULES.filter(({ id }) => ids.includes(id)).map(rule => [rule.id, make(exceptionOf(rule))]),
  );
