/** Reaction and advice tables: keyed by privilege rule, then by kind of Stop. Plain data with few small functions. */
import { type DecodedInstruction, decodeInstruction } from '../emulator/instructions.ts';
import { PRIVILEGE_RULES } from '../emulator/privilege/index.ts';
import type { Exception, GateProblem, RuleId, Stop, StopKind } from '../emulator/stop.ts';
import type { KernelImage } from '../src/kernel-image/kernel-image.ts';
import { exceptionName } from './exceptions.ts';
import type { Reaction } from './protocol.ts';

export type Answer = Reaction | ((stop: Stop) => Reaction);

export interface ReactionTable {
  /** Looked at first, for a Stop that names a rule. */
  readonly rules: Readonly<Record<RuleId, Answer>>;
  readonly kinds: Readonly<Partial<Record<StopKind, Answer>>>;
  readonly otherwise: Answer;
}

/** Stops that say nothing about the kernel: the run was to end there. */
const RUN_ENDED: Readonly<Partial<Record<StopKind, Reaction>>> = {
  reached: { outcome: 'nothing', sentence: 'The run was to end here; nothing happened to the kernel.' },
  budget: {
    outcome: 'nothing',
    sentence: 'The run used up its instructions; nothing happened to the kernel.',
  },
  timeout: { outcome: 'nothing', sentence: 'The run used up its time; nothing happened to the kernel.' },
  interrupted: { outcome: 'nothing', sentence: 'The run was interrupted; nothing happened to the kernel.' },
  'engine-limit': {
    outcome: 'unknown',
    sentence: 'The engine cannot follow the kernel any further; that says nothing about the kernel.',
  },
};

const ruleOf = (stop: Stop): RuleId | undefined => ('rule' in stop ? stop.rule : undefined);

/** A null selector that was loaded while there is no GDT: a Stop that no one under the kernel hears of. */
const NULL_LOADED: Reaction = {
  outcome: 'nothing',
  sentence:
    'No fault: the segment register holds the null selector from then on, and every access to memory through it is #GP(0).',
  citation: 'SDM vol. 3, 3.4.2',
};

export function react(table: ReactionTable, stop: Stop): Reaction {
  if (stop.kind === 'segment-load' && !stop.exception) return NULL_LOADED;
  const rule = ruleOf(stop);
  const answer =
    RUN_ENDED[stop.kind] ??
    (rule !== undefined && Object.hasOwn(table.rules, rule) ? table.rules[rule] : undefined) ??
    table.kinds[stop.kind] ??
    table.otherwise;
  return typeof answer === 'function' ? answer(stop) : answer;
}

const DELIVERY = 'SDM vol. 3, 6.12 and 6.15';

/** Why the CPU finds no handler. */
const NO_HANDLER = {
  'idt-limit': 'the vector is past the limit of the IDT',
  'gate-type': 'the entry in the IDT is no gate',
  'gate-not-present': 'the gate in the IDT is not present',
  'gate-unreadable': 'the IDT cannot be read',
} as const satisfies Readonly<Record<GateProblem, string>>;

/**
 * What becomes of an exception where no hypervisor is named: the CPU takes it through the kernel's own IDT.
 *
 * @param outsideRing0 the answer for a kernel that does not own ring 0
 */
export function deliver(stop: Stop, outsideRing0: Reaction): Reaction {
  const name = spellException(stop.exception);
  const delivery = stop.delivery;
  if (delivery?.to === 'gate') {
    const { selector, offset } = delivery;
    return {
      outcome: 'cpu-delivers',
      sentence: `There is no hypervisor: the CPU delivers ${name} through the kernel's own IDT to 0x${selector.toString(16)}:0x${offset.toString(16)}.`,
      citation: DELIVERY,
    };
  }
  if (delivery?.to === 'shutdown') {
    return {
      outcome: 'kills',
      sentence: `There is no hypervisor, and ${NO_HANDLER[delivery.reason]}: ${name} becomes a double fault and then a shutdown, which ends with NMI, INIT or reset.`,
      citation: DELIVERY,
    };
  }
  if (stop.cpu.cpl !== 0) return outsideRing0;
  return {
    outcome: 'cpu-delivers',
    sentence: `There is no hypervisor: the CPU delivers ${name} through the kernel's own IDT.`,
    citation: DELIVERY,
  };
}

/** A hint, or none when it does not fit the image or the Stop. */
export type Hint = string | ((stop: Stop, image: KernelImage) => string | undefined);

export interface AdviceTable {
  readonly rules: Readonly<Record<RuleId, readonly Hint[]>>;
  readonly kinds: Readonly<Partial<Record<StopKind, readonly Hint[]>>>;
}

const RUN_ENDED_HINTS: Readonly<Partial<Record<StopKind, readonly Hint[]>>> = {
  budget: ['a larger -n goes on further'],
  timeout: ['a larger --timeout goes on further'],
  'engine-limit': ['--engine libunicorn follows page tables that are not 1:1'],
};

export function advise(table: AdviceTable, stop: Stop, image: KernelImage): readonly string[] {
  const rule = ruleOf(stop);
  const hints = [
    ...(RUN_ENDED_HINTS[stop.kind] ?? []),
    ...((rule !== undefined && Object.hasOwn(table.rules, rule) ? table.rules[rule] : undefined) ?? []),
    ...(table.kinds[stop.kind] ?? []),
  ];
  return hints.flatMap(hint => (typeof hint === 'string' ? hint : (hint(stop, image) ?? [])));
}

/** One answer for several rules. */
export const sameFor = (rules: readonly RuleId[], answer: Answer): Readonly<Record<RuleId, Answer>> =>
  Object.fromEntries(rules.map(rule => [rule, answer]));

/** `#GP`; `the exception` for a Stop without one. */
export const spellException = (exception: Exception | undefined): string =>
  exception ? exceptionName(exception.vector).mnemonic : 'the exception';

/** The rules of instructions that need CPL 0. */
export const PRIVILEGED: readonly RuleId[] = PRIVILEGE_RULES.filter(rule => rule.class === 'privileged').map(
  rule => rule.id,
);

/** The instruction of a Stop, decoded; `undefined` where its bytes cannot be read. */
export function decoded({ instruction, cpu }: Stop): DecodedInstruction | undefined {
  if (!instruction) return undefined;
  const bits = cpu.segments.cs.descriptor?.big === false ? 16 : 32;
  return decodeInstruction(instruction.bytes, instruction.address, bits, cpu.registers);
}

/** VMCALL or VMMCALL: how a guest of a hypervisor with hardware virtualization calls it. */
export function isVmCall(stop: Stop): boolean {
  const mnemonic = decoded(stop)?.mnemonic;
  return mnemonic === 'vmcall' || mnemonic === 'vmmcall';
}
