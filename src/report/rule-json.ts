/** A privilege rule with what every host makes of it, as the JSON object that text and documentation are made from. */
import {
  HOST_NAMES,
  type HostAction,
  type HostName,
  hostAnswers,
  NEWEST_LGUEST,
  OLDEST_LGUEST,
} from '../../boot-protocols/hosts/index.ts';
import type { PrivilegeRule, RuleClass, RuleResult } from '../../emulator/privilege/index.ts';
import { hex8, hex16 } from './hex.ts';

export interface ConditionReport {
  readonly when: string;
  readonly outcome: 'as-asked' | 'silent' | 'fault';
  readonly effect: string;
  readonly vector?: string;
  readonly errorCode?: string;
}

export interface HostReport {
  readonly host: HostName;
  readonly does: HostAction;
  readonly text: string;
  readonly citation: string;
  /** Linux versions, for lguest; both inclusive. */
  readonly since?: string;
  readonly until?: string;
}

export interface RuleReport {
  readonly id: string;
  readonly instruction: string;
  readonly class: RuleClass;
  readonly forms: readonly { readonly opcode: string; readonly syntax: string }[];
  readonly condition: string;
  readonly result: string;
  /** The first condition that holds decides. */
  readonly conditions: readonly ConditionReport[];
  readonly operands?: string;
  readonly reason: string;
  readonly citation: string;
  readonly hosts: readonly HostReport[];
}

const conditionReport = ({ when, outcome, effect }: RuleResult): ConditionReport => ({
  when,
  outcome: outcome.kind,
  effect,
  ...(outcome.kind === 'fault' && {
    vector: hex8(outcome.vector),
    ...(outcome.errorCode !== undefined && { errorCode: hex16(outcome.errorCode) }),
  }),
});

function hostReports(host: HostName, rule: string): HostReport[] {
  const answers = hostAnswers(host, rule);
  return answers.map(({ does, sentence, citation, since, until }) => ({
    host,
    does,
    text: sentence,
    citation,
    ...(answers.length > 1 && { since: since ?? OLDEST_LGUEST, until: until ?? NEWEST_LGUEST }),
  }));
}

export function ruleReport(rule: PrivilegeRule): RuleReport {
  const { id, instruction, forms, condition, result, results, operands, reason, citation } = rule;
  return {
    id,
    instruction,
    class: rule.class,
    forms: forms.map(({ opcode, syntax }) => ({ opcode, syntax })),
    condition,
    result,
    conditions: results.map(conditionReport),
    ...(operands !== undefined && { operands }),
    reason,
    citation,
    hosts: HOST_NAMES.flatMap(host => hostReports(host, id)),
  };
}
