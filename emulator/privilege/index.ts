/** The privilege rules: one table, one object a rule. The run loop knows none of them by name. */
import { IOPL_RULES } from './iopl.ts';
import { PRIVILEGED_RULES } from './privileged.ts';
import type { PrivilegeRule } from './rule.ts';
import { SILENT_RULES } from './silent.ts';

export type { PrivilegeContext, PrivilegeRule, RuleClass } from './rule.ts';

export const PRIVILEGE_RULES: readonly PrivilegeRule[] = [
  ...PRIVILEGED_RULES,
  ...IOPL_RULES,
  ...SILENT_RULES,
];

const byId = new Map(PRIVILEGE_RULES.map(rule => [rule.id, rule]));

export const findRule = (id: string): PrivilegeRule | undefined => byId.get(id);
