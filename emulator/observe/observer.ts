/**
 * Observer: what silent instructions a guest has run outside ring 0, how often, and what the kernel saw. The counts come
 * from the instruction counter. For the values an instruction is looked at before it runs: until one is found that
 * differs from bare hardware, and at most so often for each rule.
 */
import { linearEip } from '../cpu-state.ts';
import type { SilentInstruction } from '../decode/block.ts';
import { decidesIf } from '../decode/silent.ts';
import type { SegmentName, SegmentRegister } from '../segmentation.ts';
import type { Situation } from '../sensitive/verdict.ts';
import { BareHardware } from './bare-hardware.ts';
import type { Comparison, Observation, ObservedPlace } from './observation.ts';
import { compareWithBareHardware } from './sights.ts';
import { effectiveRule } from './transfers.ts';

/** Looks at one rule while nothing differs. */
const LOOKS = 64;

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

  /** @param segments the segment registers that the kernel was started with */
  constructor(segments: Readonly<Record<SegmentName, SegmentRegister>>) {
    this.#bare = new BareHardware(segments);
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
  addBlock(silent: readonly SilentInstruction[], end: number): void {
    for (const { offset, rule } of silent) if (offset < end) this.add(rule);
  }

  /**
   * In the order of the first places.
   *
   * @param counted the run was counted, and all its instructions were seen
   */
  list(counted: boolean): readonly Observation[] {
    return [...this.#entries].map(([rule, { first, place, saw, bare, differs, lost }]) => ({
      rule,
      count: this.#counts.get(rule) ?? 0,
      counted,
      first: counted ? first : { ...first, instruction: 0 },
      place: counted ? place : { ...place, instruction: 0 },
      saw,
      bare,
      differs,
      ...(lost === undefined ? {} : { lost }),
    }));
  }
}

const placeOf = (s: Situation, instruction: number): ObservedPlace => ({
  address: linearEip(s.cpu),
  bytes: s.bytes.slice(0, s.instruction.length),
  ...(s.state.bits === 16 && { bits: 16 as const }),
  instruction,
});
