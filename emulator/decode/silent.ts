/** Which instructions are silent: they fault for no privilege level, and outside ring 0 do or show something else. */

import { findRule, ruleOfCode } from '../privilege/index.ts';
import { iced } from './iced.ts';
import type { IcedInstruction } from './sensitivity.ts';

const { Register } = iced;

/** Not silent, but they decide what IF would be. */
const INTERRUPT_FLAG: ReadonlySet<string> = new Set(['cli', 'sti']);

export const decidesIf = (rule: string): boolean => INTERRUPT_FLAG.has(rule);

/** Id of the privileged or IOPL-sensitive rule that names the instruction: it faults outside ring 0, or outside IOPL. */
export function guardedRuleOf(instruction: IcedInstruction): string | undefined {
  const rule = ruleOfCode(instruction.code);
  const kind = rule === undefined ? undefined : findRule(rule)?.class;
  return kind === 'privileged' || kind === 'iopl-sensitive' ? rule : undefined;
}

/** Id of the silent rule that names the instruction, or of one that {@link decidesIf}. */
export function silentRuleOf(instruction: IcedInstruction): string | undefined {
  const rule = ruleOfCode(instruction.code);
  if (rule === undefined || (findRule(rule)?.class !== 'silent' && !decidesIf(rule))) return undefined;
  // MOV to CS is an invalid opcode.
  return rule === 'mov-to-segment' && instruction.op0Register === Register.CS ? undefined : rule;
}
