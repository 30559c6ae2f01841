/**
 * Observer: what silent instructions a guest has run outside ring 0, how often, and what the kernel saw. The counts come
 * from the instruction counter. For the values an instruction is looked at before it runs: until one is found that
 * differs from bare hardware, and at most so often for each rule. Of a kernel that is paravirtual in ring 0 the same for
 * the privileged and IOPL-sensitive instructions that it runs there; one look at each rule is enough.
 */
import type { Block } from '../blocks.ts';
import type { BlockTally } from '../counter.ts';
import { linearEip, type Ring } from '../cpu-state.ts';
import type { SilentInstruction } from '../decode/block.ts';
import type { DecodedInstruction } from '../decode/instruction.ts';
import { decidesIf } from '../decode/silent.ts';
import type { Platform } from '../entry-state.ts';
import { operandOf } from '../operands/index.ts';
import type { SegmentName, SegmentRegister } from '../segmentation.ts';
import type { Situation } from '../sensitive/verdict.ts';
import { BareHardware } from './bare-hardware.ts';
import type { Comparison, Observation, ObservedPlace } from './observation.ts';
import { compareWithBareHardware } from './sights.ts';
import { effectiveRule } from './transfers.ts';

/** Looks at one rule while nothing differs. */
const LOOKS = 64;

const HYPERCALL_PAGE_SIZE = 4096;

interface Entry extends Comparison {
  readonly first: ObservedPlace;
  readonly place: ObservedPlace;
  readonly looks: number;
}

/** An instruction that has been looked at and has not retired yet. */
interface Pending {
  /** By its opcode. */
  readonly opcode: string;
  /** By what it turns out to be. */
  readonly rule: string;
  readonly look: { readonly place: ObservedPlace; readonly comparison: Comparison } | undefined;
}

export class Observer {
  readonly #bare: BareHardware;
  readonly #entries = new Map<string, Entry>();
  readonly #counts = new Map<string, number>();
  #pending: Pending | undefined;
  #looksAtAll = false;
  #version = 0;
  /** By rule, of a kernel that is paravirtual in ring 0. */
  readonly #instead: NonNullable<Platform['instead']>;
  /** What stands there is the hypervisor's, and not the kernel's doing. */
  readonly #hypercallPage: number | undefined;
  /** Counts in ring 0. */
  readonly #inRing0: BlockTally | undefined;

  /** @param segments the segment registers that the kernel was started with */
  constructor(
    segments: Readonly<Record<SegmentName, SegmentRegister>>,
    { instead, hypercallPage }: Pick<Platform, 'instead' | 'hypercallPage'> = {},
  ) {
    this.#bare = new BareHardware(segments);
    this.#instead = instead ?? {};
    this.#hypercallPage = hypercallPage;
    this.#inRing0 = instead && { addBlock: (block, end) => this.#addGuarded(block, end) };
  }

  /** Who counts at a privilege level. */
  tally(cpl: Ring): BlockTally | undefined {
    return cpl === 0 ? this.#inRing0 : this;
  }

  /**
   * The rule by which an instruction is observed.
   *
   * @param address linear
   */
  ruleOf({ silent, guarded }: DecodedInstruction, cpl: Ring, address: number): string | undefined {
    if (cpl !== 0) return silent;
    return guarded !== undefined && this.#isViolation(guarded, address) ? guarded : undefined;
  }

  /**
   * Offset of the first instruction of the block that has to be looked at.
   *
   * @returns `undefined`: none
   */
  firstOf(block: Pick<Block, 'start' | 'silent' | 'guarded'>, cpl: Ring): number | undefined {
    if (cpl !== 0) return block.silent.find(({ rule }) => this.wants(rule))?.offset;
    if (!this.#inRing0) return undefined;
    return block.guarded.find(
      ({ rule, offset }) => this.#isViolation(rule, block.start + offset) && this.wantsViolation(rule),
    )?.offset;
  }

  #isViolation(rule: string, address: number): boolean {
    if (!Object.hasOwn(this.#instead, rule)) return false;
    const page = this.#hypercallPage;
    return page === undefined || address < page || address >= page + HYPERCALL_PAGE_SIZE;
  }

  /** Whether the run has to stop before an instruction of this rule in ring 0. */
  wantsViolation(rule: string): boolean {
    return this.#looksAtAll || !this.#entries.has(rule);
  }

  /** Changes when {@link wants} does. */
  get version(): number {
    return this.#version;
  }

  /** Every silent instruction has to be looked at, as long as this is set. */
  lookAtAll(all: boolean): void {
    if (all !== this.#looksAtAll) this.#version++;
    this.#looksAtAll = all;
  }

  /** Whether the run has to stop before an instruction of this rule. */
  wants(rule: string): boolean {
    if (decidesIf(rule)) return !this.#bare.followsCpu;
    return this.#looksAtAll || !this.#isSettled(rule);
  }

  #isSettled(rule: string): boolean {
    const entry = this.#entries.get(rule);
    return entry !== undefined && (entry.differs || entry.looks >= LOOKS);
  }

  /**
   * Looks at the instruction at EIP, which is about to run, trap or be answered outside ring 0.
   *
   * @param retired instructions before it
   * @returns what it gives, if it is a silent one and can be looked at
   */
  look(s: Situation, retired: number): Comparison | undefined {
    const { silent: opcode } = s.instruction;
    this.#pending = undefined;
    let comparison: Comparison | undefined;
    if (opcode !== undefined && !decidesIf(opcode)) {
      const rule = effectiveRule(opcode, s);
      comparison = this.wants(rule) ? compareWithBareHardware(rule, s, this.#bare) : undefined;
      const look = comparison && { place: placeOf(s, retired), comparison };
      this.#pending = { opcode, rule, look };
    }
    const followed = this.#bare.followsCpu;
    this.#bare.note(s);
    if (this.#bare.followsCpu !== followed) this.#version++;
    return comparison;
  }

  /** As {@link look}, in ring 0. */
  lookInRing0(s: Situation, retired: number): Comparison | undefined {
    const rule = this.ruleOf(s.instruction, 0, linearEip(s.cpu));
    this.#pending = undefined;
    const instead = rule === undefined ? undefined : this.#instead[rule];
    if (rule === undefined || !instead) return undefined;
    const operand = operandOf(s);
    const sight = { what: 'done', ...(operand && { operand }) } as const;
    const comparison: Comparison = { saw: sight, bare: sight, differs: false, instead };
    this.#pending = { opcode: rule, rule, look: { place: placeOf(s, retired), comparison } };
    return comparison;
  }

  /** An instruction of this rule has retired in ring 0. */
  addInRing0(rule: string): void {
    this.#counts.set(rule, (this.#counts.get(rule) ?? 0) + 1);
    const look = this.#pending?.rule === rule ? this.#pending.look : undefined;
    this.#pending = undefined;
    if (!look || this.#entries.has(rule)) return;
    this.#entries.set(rule, { ...look.comparison, place: look.place, first: look.place, looks: 1 });
    this.#version++;
  }

  #addGuarded({ start, guarded }: Block, end: number): void {
    for (const { offset, rule } of guarded)
      if (offset < end && this.#isViolation(rule, start + offset)) this.addInRing0(rule);
  }

  /** An instruction with an opcode of this rule has retired outside ring 0. */
  add(opcode: string): void {
    if (decidesIf(opcode)) return;
    const pending = this.#pending?.opcode === opcode ? this.#pending : undefined;
    if (pending) this.#pending = undefined;
    const rule = pending?.rule ?? opcode;
    this.#counts.set(rule, (this.#counts.get(rule) ?? 0) + 1);
    if (!pending?.look || this.#isSettled(rule)) return;
    const { place, comparison } = pending.look;
    const known = this.#entries.get(rule);
    const looks = (known?.looks ?? 0) + 1;
    const shown = known && !comparison.differs ? known : { ...comparison, place };
    this.#entries.set(rule, { ...shown, first: known?.first ?? place, looks });
    if (this.#isSettled(rule)) this.#version++;
  }

  /** The part of a block before `end` has retired outside ring 0. */
  addBlock({ silent }: { readonly silent: readonly SilentInstruction[] }, end: number): void {
    for (const { offset, rule } of silent) if (offset < end) this.add(rule);
  }

  /**
   * In the order of the first places.
   *
   * @param counted the run was counted, and all its instructions were seen
   */
  list(counted: boolean): readonly Observation[] {
    return [...this.#entries].map(([rule, { first, place, saw, bare, differs, lost, instead }]) => ({
      rule,
      count: this.#counts.get(rule) ?? 0,
      counted,
      first: counted ? first : { ...first, instruction: 0 },
      place: counted ? place : { ...place, instruction: 0 },
      saw,
      bare,
      differs,
      ...(lost === undefined ? {} : { lost }),
      ...(instead === undefined ? {} : { instead }),
    }));
  }
}

const placeOf = (s: Situation, instruction: number): ObservedPlace => ({
  address: linearEip(s.cpu),
  bytes: s.bytes.slice(0, s.instruction.length),
  ...(s.state.bits === 16 && { bits: 16 as const }),
  instruction,
});
