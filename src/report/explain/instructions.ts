/** Stops at an instruction for what it is: privilege, flags lost silently, opcodes that raise #UD. */
import { exceptionName } from '../../../boot-protocols/exceptions.ts';
import { codeBits } from '../../../emulator/code-bits.ts';
import { flagRows } from '../../../emulator/flags.ts';
import { portName } from '../../../emulator/operands/ports.ts';
import { type PrivilegeRule, ruleOfInstruction } from '../../../emulator/privilege/index.ts';
import type { FlagChange, Stop, StopOf } from '../../../emulator/stop.ts';
import { BAD_INSTRUCTION } from '../disassemble.ts';
import { exceptionTitle } from '../exceptions.ts';
import { flagReport } from '../flags.ts';
import { hex8, hex16, hex32, hexBytes, hexShort } from '../hex.ts';
import { instructionBytes } from '../instruction-bytes.ts';
import type { Facts } from '../parts.ts';
import { decidingLine, isUnusualFault, unusualClaims, unusualSentence } from './deciding.ts';
import { type Refusal, refusalOf } from './refusals.ts';
import { type Explainer, type Explainers, type Explanation, type Scene, whoRuns } from './scene.ts';

/** A rule's condition that is longer than this does not go into a headline. */
const SHORT_CONDITION = 24;
const UD2 = '0f 0b';
const XEN_PREFIX = '0f 0b 78 65 6e';

const titleOf = (
  stop: { readonly exception?: Parameters<typeof exceptionTitle>[0] },
  otherwise: string,
): string => (stop.exception ? exceptionTitle(stop.exception) : otherwise);

/** `CPL = 0` of the rule table, as the headline says it: `CPL 0`. */
const requirement = (rule: PrivilegeRule | undefined, fallback: string): string =>
  rule && rule.condition.length <= SHORT_CONDITION ? rule.condition.replaceAll(' = ', ' ') : fallback;

/** What the rule needs, what there is, what comes of it, and why the rule is there. */
function ruleSentence(rule: PrivilegeRule | undefined, scene: Scene, stop: Stop): string {
  const levels = `CPL is ${scene.cpl} and IOPL is ${scene.iopl}`;
  if (!rule) return `Here ${levels}.`;
  const line = decidingLine(rule, stop);
  if (line && isUnusualFault(rule, line)) return unusualSentence(rule, line, scene, stop);
  const result = line?.effect ?? rule.result;
  return `${rule.instruction} needs ${rule.condition}; here ${levels}. Result: ${result}. ${rule.reason} (${rule.citation})`;
}

/** The rule and the line that decided, as parts of an explanation. */
function ruleParts(rule: PrivilegeRule | undefined, stop: Stop): Pick<Explanation, 'rule' | 'line'> {
  if (!rule) return {};
  const line = decidingLine(rule, stop);
  return { rule, ...(line && { line }) };
}

/** Claims for a fault that the rule's one-line condition does not tell of; none for any other. */
function unusual(rule: PrivilegeRule | undefined, stop: Stop, scene: Scene): readonly string[] | undefined {
  if (!rule) return undefined;
  const line = decidingLine(rule, stop);
  return line && isUnusualFault(rule, line) ? unusualClaims(line, scene, stop) : undefined;
}

const privileged: Explainer<'privileged-instruction'> = (stop, scene) => {
  const rule = scene.rule(stop.rule);
  const needs = requirement(rule, 'CPL 0');
  return {
    title: titleOf(stop, '#GP(0)'),
    claims: unusual(rule, stop, scene) ?? [
      `${scene.instruction} needs ${needs}, and ${whoRuns(scene)}`,
      `${scene.instruction} needs ${needs}; under ${scene.entry.protocol} CPL is ${scene.cpl}`,
      `${scene.instruction} needs ${needs}; CPL is ${scene.cpl}`,
      `${scene.mnemonic} needs ${needs}; under ${scene.entry.protocol} CPL is ${scene.cpl}`,
      `${scene.mnemonic} needs ${needs}; CPL is ${scene.cpl}`,
    ],
    why: ruleSentence(rule, scene, stop),
    ...ruleParts(rule, stop),
    details: [],
    facts: { rule: stop.rule },
  };
};

function portFacts(stop: StopOf<'iopl-sensitive-instruction'>): Facts {
  if (!stop.port) return {};
  const { number, size, direction, value } = stop.port;
  return { port: hex16(number), size, direction, ...(value !== undefined && { value: hex32(value) }) };
}

function portDetail(stop: StopOf<'iopl-sensitive-instruction'>): string[] {
  if (!stop.port) return [];
  const { number, size, direction, value } = stop.port;
  const what = direction === 'in' ? 'read from' : 'write to';
  const written = value === undefined ? '' : ` of ${hex32(value)}`;
  const name = portName(number);
  const behind = name === undefined ? '' : ` (${name})`;
  return [`${size}-byte ${what} port ${hex16(number)}${behind}${written}`];
}

const ioplSensitive: Explainer<'iopl-sensitive-instruction'> = (stop, scene) => {
  const rule = scene.rule(stop.rule);
  const levels = `CPL ${scene.cpl} with IOPL ${scene.iopl}`;
  const needs = 'needs CPL <= IOPL';
  const under = `under ${scene.entry.protocol} CPL is ${scene.cpl} and IOPL ${scene.iopl}`;
  return {
    title: titleOf(stop, '#GP(0)'),
    claims: unusual(rule, stop, scene) ?? [
      ...(scene.cpl === scene.entry.ring
        ? [`${scene.instruction} ${needs}, and ${scene.entry.protocol} runs this kernel at ${levels}`]
        : []),
      `${scene.instruction} ${needs}; ${under}`,
      `${scene.instruction} ${needs}; CPL is ${scene.cpl}, IOPL ${scene.iopl}`,
      `${scene.mnemonic} ${needs}; ${under}`,
      `${scene.mnemonic} ${needs}; CPL is ${scene.cpl}, IOPL ${scene.iopl}`,
    ],
    why: ruleSentence(rule, scene, stop),
    ...ruleParts(rule, stop),
    details: stop.operand ? [] : portDetail(stop),
    facts: { rule: stop.rule, ...portFacts(stop) },
  };
};

const lostFlag = ({ flag, requested, resulting }: FlagChange): string =>
  `${flag} stays ${resulting} (asked: ${requested})`;

/** popf and iret: the CPU says nothing, so the report does. */
function flagsLost(stop: StopOf<'popf' | 'iret'>, scene: Scene): Explanation {
  const rule = scene.rule(stop.rule);
  const lost = stop.lost.map(lostFlag).join(', ');
  const levels = `CPL ${scene.cpl}, IOPL ${scene.iopl}`;
  return {
    title: stop.kind,
    claims: [`${lost}; no fault says so at ${levels}`, `${lost}, silently: ${levels}`, `${lost}, silently`],
    why: ruleSentence(rule, scene, stop),
    ...ruleParts(rule, stop),
    details: [
      `EFLAGS now ${hex32(stop.current)}, requested ${hex32(stop.requested)}, resulting ${hex32(stop.resulting)}`,
    ],
    facts: {
      rule: stop.rule,
      operandSize: stop.operandSize,
      current: hex32(stop.current),
      requested: hex32(stop.requested),
      resulting: hex32(stop.resulting),
      lost: stop.lost.map(change => change.flag).join(' '),
    },
    eflags: flagRows(stop.current, stop.requested, stop.resulting).map(flagReport),
  };
}

/** A call of a hypervisor that runs its guests by VMX or SVM; the rest take hypercalls by an interrupt. */
function vmCall(title: string, scene: Scene, rule: PrivilegeRule | undefined): Explanation {
  const vectors = scene.entry.platform.hypercallVectors.map(vector => `int $${hexShort(vector)}`);
  const known =
    vectors.length === 0
      ? `${scene.entry.protocol} has no hypercalls`
      : `hypercalls of ${scene.entry.protocol} go through ${vectors.join(', ')}`;
  return {
    title,
    claims: [`${scene.mnemonic} is no hypercall here: ${known}`, `${scene.mnemonic} is no hypercall here`],
    why: `Outside VMX or SVM operation ${scene.mnemonic} raises #UD (SDM vol. 3, VMCALL; AMD APM vol. 3, VMMCALL); ${known}.`,
    ...(rule && { rule }),
    details: [],
    facts: rule ? { rule: rule.id } : {},
  };
}

const VM_CALLS: ReadonlySet<string> = new Set(['vmcall', 'vmmcall']);

/** The rule of the instruction as it stands in memory: MOV to TRn and the like are no instructions to the CPU. */
function ruleOfStop(stop: Stop, scene: Scene): PrivilegeRule | undefined {
  if (!stop.instruction) return undefined;
  const rule = ruleOfInstruction(instructionBytes(stop), codeBits(stop.cpu))?.rule;
  return rule === undefined ? undefined : scene.rule(rule);
}

const UNDEFINED_BY_OPERANDS = '#UD';

/** A #UD that the instruction's rule tells of: a line of its table, or what it says of operands and CPU models. */
function undefinedByRule(
  rule: PrivilegeRule,
  stop: StopOf<'invalid-opcode'>,
  scene: Scene,
): Pick<Explanation, 'why' | 'rule' | 'line'> | undefined {
  const line = decidingLine(rule, stop);
  if (line) return { why: unusualSentence(rule, line, scene, stop), rule, line };
  if (!rule.operands?.includes(UNDEFINED_BY_OPERANDS)) return undefined;
  const model = scene.entry.platform.cpuModel;
  return { why: `${rule.operands} The CPU model is ${model}. (${rule.citation})`, rule };
}

const invalidOpcode: Explainer<'invalid-opcode'> = (stop, scene) => {
  const rule = ruleOfStop(stop, scene);
  if (VM_CALLS.has(scene.mnemonic)) return vmCall(titleOf(stop, '#UD'), scene, rule);
  const byRule = rule && undefinedByRule(rule, stop, scene);
  const bytes = stop.instruction ? hexBytes(stop.instruction.bytes) : '';
  const model = scene.entry.platform.cpuModel;
  const deliberate = bytes.startsWith(UD2);
  return {
    title: titleOf(stop, '#UD'),
    claims: byRule?.line
      ? unusualClaims(byRule.line, scene, stop)
      : deliberate
        ? ['ud2 raises #UD by definition: the kernel gave up here on purpose', 'ud2: the kernel gave up here']
        : scene.instruction === BAD_INSTRUCTION
          ? [`the bytes ${bytes} are no instruction`]
          : [
              `${scene.instruction} (${bytes}) is no valid instruction here for CPU model ${model}`,
              `${scene.instruction} is no valid instruction here`,
              `${scene.mnemonic} is no valid instruction here`,
            ],
    why:
      byRule?.why ??
      (deliberate
        ? 'UD2 has one purpose, to raise #UD (SDM vol. 2, UD). Kernels place it where no way on exists, e.g. BUG().'
        : `The CPU raises #UD for an opcode it does not have, or that is not allowed in this mode or with this operand or prefix (SDM vol. 3, 6.15, interrupt 6). The CPU model is ${model}.`),
    ...(byRule?.rule && { rule: byRule.rule }),
    ...(byRule?.line && { line: byRule.line }),
    details: [],
    facts: byRule?.rule ? { rule: byRule.rule.id } : {},
  };
};

const forcedEmulation: Explainer<'forced-emulation'> = (stop, scene) => ({
  title: titleOf(stop, '#UD'),
  claims: [
    `ud2 "xen" ${stop.prefixed} asks Xen to emulate ${stop.prefixed}`,
    `ud2 "xen" ${stop.prefixed} asks Xen for it`,
  ],
  why: `The bytes ${XEN_PREFIX} (ud2, then "xen" in ASCII) in front of ${stop.prefixed} are Xen's forced-emulation prefix: Xen finds it in its #UD handler, emulates ${stop.prefixed} and goes on behind it. ${stop.prefixed} itself does not trap outside ring 0, so a guest that wants Xen's answer has to ask. Here CPL is ${scene.cpl}.`,
  details: [],
  facts: { prefixed: stop.prefixed },
});

const refusalClaims = ({ claim, alone }: Refusal, { instruction, mnemonic }: Scene): string[] =>
  alone ? [claim] : [`${instruction}: ${claim}`, `${mnemonic}: ${claim}`];

const exception: Explainer<'exception'> = (stop, scene) => {
  const vector = stop.exception?.vector;
  const name = vector === undefined ? 'exception' : exceptionName(vector).name;
  const refusal = refusalOf(stop, scene.entry.platform.cpuModel);
  return {
    title: titleOf(stop, 'exception'),
    claims: [
      ...(refusal ? refusalClaims(refusal, scene) : []),
      `${name} in ${scene.instruction}`,
      `${name} in ${scene.mnemonic}`,
      name,
    ],
    why:
      refusal?.why ??
      (vector === undefined
        ? 'The CPU raised an exception.'
        : `The CPU raised vector ${hex8(vector)}; what can raise it stands in SDM vol. 3, 6.15, interrupt ${vector}.`),
    details: [],
    facts: {},
  };
};

export const INSTRUCTION_EXPLAINERS: Explainers<
  | 'privileged-instruction'
  | 'iopl-sensitive-instruction'
  | 'popf'
  | 'iret'
  | 'invalid-opcode'
  | 'forced-emulation'
  | 'exception'
> = {
  'privileged-instruction': privileged,
  'iopl-sensitive-instruction': ioplSensitive,
  popf: flagsLost,
  iret: flagsLost,
  'invalid-opcode': invalidOpcode,
  'forced-emulation': forcedEmulation,
  exception,
};
