/** The privilege rules: one table, one object a rule. The run loop knows none of them by name. */
import { IOPL_RULES } from './iopl.ts';
import { PRIVILEGED_RULES } from './privileged.ts';
import type { PrivilegeRule } from './rule.ts';
import { SILENT_RULES } from './silent.ts';

export { type RuledInstruction, ruleOfCode, ruleOfInstruction } from './opcodes.ts';
export type {
  InstructionForm,
  Outcome,
  PrivilegeContext,
  PrivilegeRule,
  RuleClass,
  RuleResult,
} from './rule.ts';
export { resultOf } from './rule.ts';

/** Every rule: privileged ones in the order of the SDM's list, then IOPL-sensitive ones, then silent ones. */
export const PRIVILEGE_RULES: readonly PrivilegeRule[] = [
  ...PRIVILEGED_RULES,
  ...IOPL_RULES,
  ...SILENT_RULES,
];

const byId = new Map(PRIVILEGE_RULES.map(rule => [rule.id, rule]));

/** The rule with an id (`lgdt`, `mov-to-cr`); `undefined` where there is none. */
export const findRule = (id: string): PrivilegeRule | undefined => byId.get(id);
