/** Reaction and advice tables: keyed by privilege rule, then by kind of Stop. Plain data with few small functions. */
import type { GeneralRegister } from '../emulator/cpu-state.ts';
import type { EntryState } from '../emulator/entry-state.ts';
import { type DecodedInstruction, decodeInstruction } from '../emulator/instructions.ts';
import { PRIVILEGE_RULES } from '../emulator/privilege/index.ts';
import type { Exception, GateProblem, RuleId, Stop, StopKind } from '../emulator/stop.ts';
import type { KernelImage } from '../src/kernel-image/kernel-image.ts';
import { exceptionName } from './exceptions.ts';
import { findHost, type HostAction, type HostAnswer, type HostName, hostAnswer } from './hosts/index.ts';
import { MAX_MEMORY } from './knobs.ts';
import type { Reaction } from './protocol.ts';

/** SDM vol. 3, table 6-1. */
const GENERAL_PROTECTION = 13;

export type Answer = Reaction | ((stop: Stop, entry?: EntryState) => Reaction);

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

/** A hint, or none when it does not fit the image, the Stop or what the kernel was started from. */
export type Hint = string | ((stop: Stop, image: KernelImage, entry?: EntryState) => string | undefined);

export interface AdviceTable {
  readonly rules: Readonly<Record<RuleId, readonly Hint[]>>;
  readonly kinds: Readonly<Partial<Record<StopKind, readonly Hint[]>>>;
}

const RUN_ENDED_HINTS: Readonly<Partial<Record<StopKind, readonly Hint[]>>> = {
  budget: ['a larger -n goes on further'],
  timeout: ['a larger --timeout goes on further'],
  'engine-limit': [
    stop =>
      stop.kind === 'engine-limit' && stop.limit === 'paging-not-identity'
        ? '--engine libunicorn follows page tables that are not 1:1'
        : undefined,
  ],
};

/** `--gdt flat puts a GDT there` while the kernel was started with it: nothing to try. */
function isSetAlready(hint: string, entry: EntryState | undefined): boolean {
  const [, knob = '', value] = /^--([a-z-]+) (\S+)/.exec(hint) ?? [];
  return entry !== undefined && value !== undefined && entry.knobs[knob] === value;
}

export function advise(
  table: AdviceTable,
  stop: Stop,
  image: KernelImage,
  entry?: EntryState,
): readonly string[] {
  const rule = ruleOf(stop);
  const hints: readonly Hint[] = [
    unsetRegisterHint,
    ...(RUN_ENDED_HINTS[stop.kind] ?? []),
    ...((rule !== undefined && Object.hasOwn(table.rules, rule) ? table.rules[rule] : undefined) ?? []),
    ...(table.kinds[stop.kind] ?? []),
  ];
  return hints
    .flatMap(hint => (typeof hint === 'string' ? hint : (hint(stop, image, entry) ?? [])))
    .filter(hint => !isSetAlready(hint, entry));
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

/** A host's answers to all rules. A silent instruction that was refused has raised an exception like any other. */
export function rulesOf(host: HostName): Readonly<Record<RuleId, Answer>> {
  const reflected = reflectedBy(host);
  const reaction = (rule: RuleId) => (stop: Stop) => {
    const answer = hostAnswer(host, rule);
    if (answer.does === 'unseen' && stop.exception) return reflected(stop);
    if (!answer.byRegister) return reactionOf(answer);
    const byRegister = answer.byRegister[decoded(stop)?.systemRegister ?? -1];
    return byRegister ? reactionOf(byRegister) : reflected(stop);
  };
  return Object.fromEntries(PRIVILEGE_RULES.map(({ id }) => [id, reaction(id)]));
}

/** `#GP`; `the exception` for a Stop without one. */
export const spellException = (exception: Exception | undefined): string =>
  exception ? exceptionName(exception.vector).mnemonic : 'the exception';

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

/** How far from its value at entry a register is still the one that no one has set. */
const UNSET_REACH = 0x1000;

/** Whether an offset was computed from `register`: decoded again with another value there, it is another offset. */
function isBase(register: GeneralRegister, address: number, { instruction, cpu }: Stop): boolean {
  if (!instruction) return cpu.registers[register] === address;
  const { bytes, address: at } = instruction;
  const uses = (values: typeof cpu.registers) => decodeInstruction(bytes, at, 32, values).memory;
  const other = { ...cpu.registers, [register]: (cpu.registers[register] ^ 0x100000) >>> 0 };
  const moved = uses(other);
  return uses(cpu.registers).some(
    ({ offset, size }, index) =>
      address >= offset && address < offset + Math.max(size, 1) && moved[index]?.offset !== offset,
  );
}

/** The address that a Stop is about, as an offset in its segment. */
function refusedAddress(stop: Stop): number | undefined {
  if (stop.kind === 'segment-access') return stop.problem === 'limit' ? stop.offset : undefined;
  return stop.kind === 'page-fault' || stop.kind === 'memory-hole' ? stop.address : undefined;
}

/** The register that an access went through although the kernel was started without a value in it. */
export function unsetRegister(stop: Stop, entry: EntryState | undefined): GeneralRegister | undefined {
  const address = refusedAddress(stop);
  if (entry === undefined || address === undefined) return undefined;
  const names = Object.keys(entry.registers) as GeneralRegister[];
  return names.find(name => {
    const { value, promised } = entry.registers[name];
    const isStackless = name === 'esp' && value === 0 && stop.cpu.registers.esp === 0;
    const isPoison = !promised && Math.abs(stop.cpu.registers[name] - value) <= UNSET_REACH;
    return (isStackless || isPoison) && isBase(name, address, stop);
  });
}

function unsetRegisterHint(stop: Stop, _image: KernelImage, entry?: EntryState): string | undefined {
  const register = unsetRegister(stop, entry);
  if (register === undefined || entry === undefined) return undefined;
  const { promised } = entry.registers[register];
  const name = register.toUpperCase();
  const state = promised
    ? `${name} is 0 at entry`
    : `${name} holds the pattern of a register that ${entry.protocol} does not promise`;
  return `${state}: the kernel has ${register === 'esp' ? 'no stack yet' : `not set ${name} yet`}`;
}

/** A hint at --memory, where a larger one would reach the address. */
export const moreMemory =
  (hint: string): Hint =>
  (stop, _image, entry) => {
    if (stop.kind !== 'page-fault' && stop.kind !== 'memory-hole') return undefined;
    if (entry === undefined || unsetRegister(stop, entry) !== undefined) return undefined;
    const [ram] = entry.banks.filter(bank => bank.kind === 'ram').sort((a, b) => b.size - a.size);
    if (!ram || stop.address < ram.start + ram.size) return undefined;
    return stop.address < Math.min(ram.start + MAX_MEMORY, 2 ** 32) ? hint : undefined;
  };

/** Whether the page tables are no longer, or never were, those that the kernel was started with. */
export const hasOwnPageTables = (stop: Stop, entry: EntryState): boolean =>
  entry.paging.mode === 'off' || stop.cpu.control.cr3 !== entry.control.cr3;

/** Selectors 0x10 and 0x18 of a flat GDT, whatever their RPL. */
const FLAT_SELECTORS: readonly number[] = [0x10, 0x18];

/** --gdt flat, where it is the missing GDT that stops a load of one of its selectors. */
export const FLAT_GDT: Hint = stop =>
  stop.kind === 'segment-load' && stop.problem === 'no-gdt' && FLAT_SELECTORS.includes(stop.selector & ~3)
    ? '--gdt flat puts a GDT there with 0x10 and 0x18'
    : undefined;

const MAJOR_IGNORING_SEGMENTS = 5;
const MINOR_IGNORING_SEGMENTS = 7;

/** KEEP_SEGMENTS, by what the image says of its version: Linux 5.7 is the first that no longer reads the bit. */
export const KEEP_SEGMENTS = (_stop: Stop, image: KernelImage, entry?: EntryState): string => {
  const version = image.format === 'bzimage' ? /^(\d+)\.(\d+)/.exec(image.setup.kernelVersion ?? '') : null;
  const [major = 0, minor = 0] = version ? version.slice(1).map(Number) : [];
  if (
    major > MAJOR_IGNORING_SEGMENTS ||
    (major === MAJOR_IGNORING_SEGMENTS && minor >= MINOR_IGNORING_SEGMENTS)
  )
    return `Linux ${major}.${minor} does not look at KEEP_SEGMENTS: from 5.7 on it always starts with cli and loads its segments`;
  return entry?.knobs['keep-segments'] === '1'
    ? 'KEEP_SEGMENTS is set here: Linux 2.6.24 to 5.6 then leaves out cli and the segment loads, any other kernel may not look at it'
    : '--keep-segments 1 makes Linux 2.6.24 to 5.6 leave out cli and the segment loads';
};
