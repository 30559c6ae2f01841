/** Reaction and advice tables: keyed by privilege rule, then by kind of Stop. Plain data with few small functions. */
import type { Exception, RuleId, Stop, StopKind } from '../emulator/stop.ts';
import type { KernelImage } from '../src/kernel-image/kernel-image.ts';
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

export function react(table: ReactionTable, stop: Stop): Reaction {
  const rule = ruleOf(stop);
  const answer =
    RUN_ENDED[stop.kind] ??
    (rule !== undefined && Object.hasOwn(table.rules, rule) ? table.rules[rule] : undefined) ??
    table.kinds[stop.kind] ??
    table.otherwise;
  return typeof answer === 'function' ? answer(stop) : answer;
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

/** Vectors as the SDM names them (vol. 3, table 6-1). */
const VECTOR_NAMES: Readonly<Record<number, string>> = {
  0: '#DE',
  1: '#DB',
  3: '#BP',
  4: '#OF',
  5: '#BR',
  6: '#UD',
  7: '#NM',
  8: '#DF',
  10: '#TS',
  11: '#NP',
  12: '#SS',
  13: '#GP',
  14: '#PF',
  16: '#MF',
  17: '#AC',
  18: '#MC',
  19: '#XM',
};

export const exceptionName = (exception: Exception | undefined): string =>
  exception ? (VECTOR_NAMES[exception.vector] ?? `vector ${exception.vector}`) : 'the exception';

/** Instructions that need CPL 0, by rule id. */
export const PRIVILEGED = [
  'lgdt',
  'lidt',
  'lldt',
  'ltr',
  'lmsw',
  'mov-to-cr',
  'mov-from-cr',
  'mov-to-dr',
  'mov-from-dr',
  'clts',
  'invd',
  'wbinvd',
  'invlpg',
  'hlt',
  'rdmsr',
  'wrmsr',
  'rdpmc',
  'rdtsc',
  'xsetbv',
  'sysexit',
] as const;

const PREFIXES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);

/** The register number of a `mov` to or from a control or debug register: bits 5:3 of its ModRM byte. */
export function movRegister(stop: Stop): number | undefined {
  const bytes = stop.instruction?.bytes;
  if (!bytes) return undefined;
  const opcode = bytes.findIndex(byte => !PREFIXES.has(byte));
  const second = bytes[opcode + 1];
  const modrm = bytes[opcode + 2];
  if (bytes[opcode] !== 0x0f || second === undefined || modrm === undefined) return undefined;
  return second >= 0x20 && second <= 0x23 ? (modrm >>> 3) & 7 : undefined;
}
