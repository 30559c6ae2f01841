/** The line of a rule's table that decided at a Stop, and its words. */
import { decode } from '../../../boot-protocols/hosts/instruction.ts';
import { FLAG_VIP, FLAG_VM, iopl } from '../../../emulator/flags.ts';
import {
  type PrivilegeContext,
  type PrivilegeRule,
  type RuleResult,
  resultOf,
} from '../../../emulator/privilege/index.ts';
import type { Stop } from '../../../emulator/stop.ts';
import { INVALID_OPCODE } from '../../../emulator/vectors.ts';
import { hex32 } from '../hex.ts';
import type { Scene } from './scene.ts';

/** The I/O bitmap and the MSRs are not in a Stop: where a bitmap allowed the port, there was none. */
function contextOf(stop: Stop): PrivilegeContext {
  const { cpl, eflags, control } = stop.cpu;
  return {
    cpl,
    iopl: iopl(eflags),
    cr0: control.cr0,
    cr4: control.cr4,
    efer: control.efer,
    vm86: (eflags & FLAG_VM) !== 0,
    virtualInterruptPending: (eflags & FLAG_VIP) !== 0,
    operandSize: decode(stop)?.operandSize === 16 ? 16 : 32,
  };
}

const NO_FAULT = 'no fault: ';

/** A line without a fault of its own whose words have one for certain operands. */
const faultsByOperand = ({ outcome, effect }: RuleResult): boolean =>
  outcome.kind === 'silent' && effect.includes('#GP');

/** Nothing where the Stop is about something else than its rule's conditions: an operand, or the CPU model. */
export function decidingLine(rule: PrivilegeRule, stop: Stop): RuleResult | undefined {
  const line = resultOf(rule, contextOf(stop));
  if (!stop.exception || faultsByOperand(line)) return line;
  const { outcome } = line;
  return outcome.kind === 'fault' && outcome.vector === stop.exception.vector ? line : undefined;
}

/** What the one-line condition of a rule says the other way round. */
const USUAL: ReadonlySet<string> = new Set(['CPL > 0', 'CPL > IOPL', 'otherwise']);

/** A fault that the rule's own one-line condition does not tell of. */
export const isUnusualFault = (rule: PrivilegeRule, line: RuleResult): boolean => {
  if (line.outcome.kind !== 'fault') return faultsByOperand(line);
  return rule.class === 'silent' || line.outcome.vector === INVALID_OPCODE || !USUAL.has(line.when);
};

/** What the line looks at, as it is. */
function levels(line: RuleResult, { cpl, iopl: level }: Scene, { cpu }: Stop): string {
  const parts = [
    `CPL is ${cpl}`,
    `IOPL is ${level}`,
    ...(line.when.includes('VM86') ? [`EFLAGS.VM is ${(cpu.eflags & FLAG_VM) === 0 ? 0 : 1}`] : []),
    ...(line.when.includes('CR4.') ? [`CR4 is ${hex32(cpu.control.cr4)}`] : []),
    ...(line.when.includes('EFER.') ? [`EFER is ${hex32(cpu.control.efer)}`] : []),
  ];
  return `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}

const withoutNoFault = (effect: string): string =>
  effect.startsWith(NO_FAULT) ? effect.slice(NO_FAULT.length) : effect;

/** The reason of a silent rule is why it does not fault, and here it does. */
export function unusualSentence(rule: PrivilegeRule, line: RuleResult, scene: Scene, stop: Stop): string {
  const operands = rule.class === 'iopl-sensitive' && rule.operands ? ` ${rule.operands}` : '';
  const reason = rule.class === 'silent' ? '' : ` ${rule.reason}`;
  return (
    `${rule.instruction} under the condition "${line.when}": ${withoutNoFault(line.effect)}. ` +
    `Here ${levels(line, scene, stop)}.${operands}${reason} (${rule.citation})`
  );
}

/** The rest of the headline, from the longest wording to the shortest. */
export function unusualClaims(line: RuleResult, { instruction, mnemonic }: Scene, stop: Stop): string[] {
  const [short = ''] = line.when.split(', and ');
  const verb = stop.exception?.vector === INVALID_OPCODE ? 'is undefined' : 'is refused';
  return [
    `${instruction} ${verb}: ${line.when}`,
    `${instruction} ${verb}: ${short}`,
    `${mnemonic} ${verb}: ${short}`,
    `${instruction} ${verb} here`,
    `${mnemonic} ${verb} here`,
  ];
}
