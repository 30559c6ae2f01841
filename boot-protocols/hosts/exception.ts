/** The exception that a rule's instruction raises where its condition does not hold. */
import { CR0_PE, CR4_OSXSAVE, CR4_TSD } from '../../emulator/control-bits.ts';
import { PRIVILEGE_RULES, type PrivilegeRule } from '../../emulator/privilege/index.ts';
import { GENERAL_PROTECTION } from '../../emulator/vectors.ts';
import { exceptionName } from '../exceptions.ts';

/** `#GP` and 13. */
export interface HostExceptionName {
  readonly mnemonic: string;
  readonly vector: number;
}

export const hostException = (vector: number): HostExceptionName => ({
  vector,
  mnemonic: exceptionName(vector).mnemonic,
});

/** In protected mode at CPL 1, where guests run. CR4 is 0 there but for what makes the instruction known at all. */
function exceptionOf(rule: PrivilegeRule): HostExceptionName {
  const outcome = rule.outcome({ cpl: 1, iopl: 0, cr0: CR0_PE, cr4: CR4_OSXSAVE | CR4_TSD, vm86: false });
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
