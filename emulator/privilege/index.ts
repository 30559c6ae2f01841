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

export const PRIVILEGE_RULES: readonly PrivilegeRule[] = [
  ...PRIVILEGED_RULES,
  ...IOPL_RULES,
  ...SILENT_RULES,
];

const byId = new Map(PRIVILEGE_RULES.map(rule => [rule.id, rule]));

export const findRule = (id: string): PrivilegeRule | undefined => byId.get(id);
