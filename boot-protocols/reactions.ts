/** What a system makes of a Stop: tables keyed by privilege rule, then by kind of Stop. */
import type { EntryState } from '../emulator/entry-state.ts';
import { PRIVILEGE_RULES } from '../emulator/privilege/index.ts';
import type { Exception, GateProblem, RuleId, Stop, StopKind } from '../emulator/stop.ts';
import { GENERAL_PROTECTION } from '../emulator/vectors.ts';
import { exceptionName } from './exceptions.ts';
import {
  findHost,
  type HostAction,
  type HostAnswer,
  type HostName,
  hostAnswer,
  hostAnswerToFault,
} from './hosts/index.ts';
import { decode } from './hosts/instruction.ts';
import type { Reaction } from './protocol.ts';

/** A reaction, or how it follows from the Stop and from what the kernel was started from. */
export type ReactionEntry = Reaction | ((stop: Stop, entry?: EntryState) => Reaction);

export interface ReactionTable {
  /** Looked at first, for a Stop that names a rule. */
  readonly rules: Readonly<Record<RuleId, ReactionEntry>>;
  readonly kinds: Readonly<Partial<Record<StopKind, ReactionEntry>>>;
  readonly otherwise: ReactionEntry;
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

/** The rule that a Stop names. */
export const ruleOf = (stop: Stop): RuleId | undefined => ('rule' in stop ? stop.rule : undefined);

/** A null selector that was loaded while there is no GDT: a Stop that no one under the kernel hears of. */
const NULL_LOADED: Reaction = {
  outcome: 'nothing',
  sentence:
    'No fault: the segment register holds the null selector from then on, and every access to memory through it is #GP(0).',
  citation: 'SDM vol. 3, 3.4.2',
};

/** A silent instruction that runs as it is: no one under the kernel hears of it. */
const UNSEEN: Reaction = {
  outcome: 'nothing',
  sentence:
    'No fault: whoever owns ring 0 never hears of it, and the kernel goes on with what the CPU gave it.',
  citation: 'SDM vol. 3, 5.9',
};

export function react(table: ReactionTable, stop: Stop, entry?: EntryState): Reaction {
  if (stop.kind === 'segment-load' && !stop.exception) return NULL_LOADED;
  const rule = ruleOf(stop);
  const answer =
    RUN_ENDED[stop.kind] ??
    (rule !== undefined && Object.hasOwn(table.rules, rule) ? table.rules[rule] : undefined) ??
    table.kinds[stop.kind] ??
    (stop.kind === 'sensitive' ? UNSEEN : table.otherwise);
  return typeof answer === 'function' ? answer(stop, entry) : answer;
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

/** A guest that has set no handler yet does not survive a reflected exception. */
const OUTCOMES: Readonly<Record<HostAction, Reaction['outcome']>> = {
  emulate: 'emulates',
  skip: 'skips',
  reflect: 'kills',
  kill: 'kills',
  unseen: 'nothing',
};

/** A host's answer as the report's `means`, for a guest without handlers of its own. */
export const reactionOf = ({ does, sentence, citation }: HostAnswer): Reaction => ({
  outcome: OUTCOMES[does],
  sentence,
  citation,
});

/** What a host makes of an exception that it has no answer of its own to. */
export const reflectedBy =
  (host: HostName) =>
  (stop: Stop): Reaction =>
    reactionOf(
      findHost(host).fault({
        mnemonic: spellException(stop.exception),
        vector: stop.exception?.vector ?? GENERAL_PROTECTION,
      }),
    );

/**
 * A host's answers to all rules. A silent instruction that was refused has raised an exception like any other.
 *
 * @param eraOf of lguest: which one it is, by what the kernel was started from; absent: the newest
 */
export function rulesOf(
  host: HostName,
  eraOf?: (entry: EntryState | undefined) => string,
): Readonly<Record<RuleId, ReactionEntry>> {
  const reflected = reflectedBy(host);
  const reaction = (rule: RuleId) => (stop: Stop, entry?: EntryState) => {
    const era = eraOf?.(entry);
    const answer = stop.exception
      ? hostAnswerToFault(host, rule, stop.exception.vector, era)
      : hostAnswer(host, rule, era);
    if (!answer.byRegister) return reactionOf(answer);
    const byRegister = answer.byRegister[decode(stop)?.systemRegister ?? -1];
    return byRegister ? reactionOf(byRegister) : reflected(stop);
  };
  return Object.fromEntries(PRIVILEGE_RULES.map(({ id }) => [id, reaction(id)]));
}

/** `#GP`; `the exception` for a Stop without one. */
export const spellException = (exception: Exception | undefined): string =>
  exception ? exceptionName(exception.vector).mnemonic : 'the exception';

/** VMCALL or VMMCALL: how a guest of a hypervisor with hardware virtualization calls it. */
export function isVmCall(stop: Stop): boolean {
  const mnemonic = decode(stop)?.mnemonic;
  return mnemonic === 'vmcall' || mnemonic === 'vmmcall';
}

/** Whether the page tables are no longer, or never were, those that the kernel was started with. */
export const hasOwnPageTables = (stop: Stop, entry: EntryState): boolean =>
  entry.paging.mode === 'off' || stop.cpu.control.cr3 !== entry.control.cr3;

/** hlt where no hypervisor is under the kernel. */
export const halted = (stop: Stop): Reaction => ({
  outcome: 'nothing',
  sentence:
    stop.kind === 'halt' && stop.interruptsEnabled
      ? 'The CPU waits for the next interrupt; no device here raises one.'
      : 'The CPU waits for an NMI or a reset, for interrupts are off: this is how a kernel stops for good.',
  citation: 'SDM vol. 2, HLT',
});
