/** `startup32 explain INSTRUCTION`: the privilege rule of an instruction, and what each host makes of it. */
import { didYouMean } from '../../boot-protocols/suggest.ts';
import { PRIVILEGE_RULES, type PrivilegeRule } from '../../emulator/privilege/index.ts';
import { hexBytes } from '../report/hex.ts';
import { ruleReport } from '../report/rules/json.ts';
import { explainBytes, hintFor, parseHexBytes, RULE_NAMES, rulesNamed } from '../report/rules/query.ts';
import type { ExplainReport } from '../report/rules/report.ts';
import { explainText } from '../report/rules/text.ts';
import { UsageError } from './errors.ts';
import { EXIT } from './exit-codes.ts';
import { type Io, jsonText } from './io.ts';

interface ExplainFlags {
  readonly format: 'text' | 'json';
  readonly all?: boolean;
}

const report = (
  rules: readonly PrivilegeRule[],
  instructions?: ExplainReport['instructions'],
): ExplainReport => ({
  schema: 'startup32/explain@1',
  ...(instructions && { instructions }),
  rules: [...new Set(rules)].map(ruleReport),
});

function ofBytes(bytes: Uint8Array): ExplainReport {
  const found = explainBytes(bytes);
  if (typeof found === 'number') {
    throw new UsageError(
      'no-instruction',
      `"${hexBytes(bytes.subarray(found))}" starts with no 32-bit instruction, or not with all of one`,
    );
  }
  const instructions = found.map(({ bytes: code, text, rule, privileged, missing }) => ({
    bytes: hexBytes(code),
    text,
    missing,
    ...(rule && { rule: rule.id }),
    ...(privileged && { privileged }),
  }));
  return report(
    found.flatMap(({ rule }) => rule ?? []),
    instructions,
  );
}

function ofName(name: string): ExplainReport {
  const rules = rulesNamed(name);
  if (rules.length === 0) {
    const hint = hintFor(name);
    throw new UsageError(
      'unknown-instruction',
      `"${name}" is neither an instruction that a rule is about nor hex bytes${hint === undefined ? didYouMean(name, RULE_NAMES) : `: ${hint}`}; --all shows every rule`,
    );
  }
  return report(rules);
}

function asked(words: readonly string[], all: boolean): ExplainReport {
  if (all && words.length > 0) {
    throw new UsageError('too-many-instructions', 'explain takes --all or an instruction, not both');
  }
  if (all) return report(PRIVILEGE_RULES);
  const text = words.join(' ').trim();
  if (text === '') {
    throw new UsageError(
      'missing-instruction',
      'explain needs an instruction, e.g. cli, "mov %eax,%cr0" or 0f0115, or --all',
    );
  }
  const bytes = rulesNamed(text).length > 0 ? undefined : parseHexBytes(text);
  return bytes ? ofBytes(bytes) : ofName(text);
}

export async function explain(words: readonly string[], flags: ExplainFlags, io: Io): Promise<number> {
  const result = asked(words, flags.all === true);
  io.stdout.write(flags.format === 'json' ? jsonText(result) : explainText(result, { color: io.color }));
  return EXIT.STOPPED;
}
