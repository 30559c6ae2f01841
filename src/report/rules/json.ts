/** A privilege rule with what every host makes of it, as the JSON object that text and documentation are made from. */

import { HOST_NAMES, type HostName, hostAnswers } from '../../../boot-protocols/hosts/index.ts';
import { NEWEST_LGUEST, OLDEST_LGUEST } from '../../../boot-protocols/lguest/eras.ts';
import type { PrivilegeRule, RuleResult } from '../../../emulator/privilege/index.ts';
import { hex8, hex16 } from '../hex.ts';
import type { ConditionReport, HostReport, RuleReport } from './report.ts';

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
