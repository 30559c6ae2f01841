/**
 * Session: one pass over a run, in slices. It runs freely from one thing that has to be looked at to the next, decides
 * about it, and ends in a Stop.
 */
import type { GivenAnswer, LetPass } from '../continuation.ts';
import { type CpuState, linearEip } from '../cpu-state.ts';
import { type DecodedInstruction, decodeInstruction } from '../decode/instruction.ts';
import type { Sensitivity } from '../decode/sensitivity.ts';
import type { Effect } from '../effect.ts';
import type { Guest } from '../guest.ts';
import { DEFAULT_INSTRUCTIONS, type RunOptions } from '../run-options.ts';
import { evaluate, type Verdict } from '../sensitive/index.ts';
import { situationOf } from '../situation.ts';
import type { Cause, Exception, Stop } from '../stop.ts';
import type { Tracer } from '../trace.ts';
import type { Outcome } from '../unicorn/processor.ts';
import { Counting } from './counting.ts';
import { faultOf, isExact, isFetchedAhead } from './faults.ts';
import { FragileBlocks } from './fragile.ts';
import { BlockGate } from './gate.ts';
import { hasToBeSeen, noteRetired, observe } from './observed.ts';
import { Replay, type Unfinished } from './replay.ts';
import { runFreely } from './run-freely.ts';
import { SliceTimer } from './slice.ts';
import { isStepCounted, limitIterations, refreshAfter, step, trapStep } from './step.ts';
import { describeStop } from './stop-record.ts';
import { iterationsBefore } from './string-stores.ts';
import { Until } from './until.ts';

/** Bytes of code that an evaluator sees. */
const CODE_BYTES = 32;
/** What no instruction's address is: control has not come here in a straight line. */
const NO_ADDRESS = -1;
/** Where an empty bus has answered, the next hole is near: stepping to it saves a second pass from the entry. */
const STEPS_AFTER_HOLE = 20_000;
/** So often the engine may come back at one place without a reason before that is an engine limit. */
const PATIENCE = 8;

export interface SessionMode {
  /** The run has to come back from time to time. */
  readonly inSlices: boolean;
  /** Where the run before ended in a `reached` Stop. */
  readonly resumedAt?: number | undefined;
  /** A second pass repeats the runs before this one: `until` counts from this many retired instructions on. */
  readonly untilFrom?: number;
  /** From this many retired instructions on, one instruction at a time. */
  readonly stepFrom?: number;
  /** Starts of blocks that have been seen to write to themselves or to a page table: one instruction at a time. */
  readonly fragile?: ReadonlySet<number>;
  /** The instruction at EIP is let pass: the Stop before it was answered so. */
  readonly letsPass?: LetPass | undefined;
  /** A second pass: the answers that the runs before this one were given, in order. */
  readonly answers?: readonly GivenAnswer[];
  /** Gets the way of the run. */
  readonly tracer?: Tracer | undefined;
}

export type SliceEnd =
  | { readonly type: 'stop'; readonly stop: Stop }
  | { readonly type: 'slice' }
  /** The run ended in the middle of a block, and the state is not exact: start again, stepping from its start. */
  | { readonly type: 'needs-steps'; readonly from: number }
  /** The block at this address writes to itself, or to a page table: start again, stepping through it. */
  | { readonly type: 'step-through'; readonly block: number }
  /** Virtual time or an exact number is needed and this pass does not count: start again, counted. */
  | { readonly type: 'needs-count' };

export class Session {
  readonly #guest: Guest;
  readonly #until: Until;
  readonly #budget: number;
  readonly #replay: Replay;
  readonly #counting: Counting;
  readonly #timer = new SliceTimer();
  readonly #fragile: FragileBlocks;
  readonly #gate: BlockGate;
  readonly #tracer: Tracer | undefined;
  /** Version of what is observed that the engine's translations were planned for. */
  #observed = 0;
  /** Before so many retired instructions, one at a time: see {@link STEPS_AFTER_HOLE}. */
  #stepUntil = 0;
  /** So often the engine has come back here without a reason. */
  #stuck = 0;

  constructor(guest: Guest, options: RunOptions, mode: SessionMode) {
    const { inSlices, tracer } = mode;
    const { timeout, count = 'auto', stopOn = 'loss' } = options;
    this.#guest = guest;
    this.#budget = options.instructions ?? DEFAULT_INSTRUCTIONS;
    this.#until = new Until(options, mode.resumedAt, mode.untilFrom ?? 0);
    this.#replay = new Replay(
      { letsPass: mode.letsPass, answers: mode.answers ?? [] },
      { stopOn, stepFrom: mode.stepFrom ?? Number.POSITIVE_INFINITY },
    );
    guest.observer.lookAtAll(this.#replay.stopOn === 'sensitive');
    this.#observed = guest.observer.version;
    this.#tracer = tracer;
    guest.counter.onStart = tracer && ((start, retired) => tracer.enter(start, retired));
    this.#fragile = new FragileBlocks(guest, mode.fragile ?? new Set());
    this.#gate = new BlockGate(guest, this.#fragile, {
      until: this.#until,
      budget: this.#budget,
      replay: this.#replay,
      timer: this.#timer,
    });
    // From a block that is not announced the native engine cannot be called back: see the quirk `stale-eip`.
    const mayBlock = !inSlices || (count === 'beginning' && timeout === undefined);
    const canRelax =
      guest.counter.retired === 0 &&
      !tracer &&
      mayBlock &&
      this.#budget === Number.POSITIVE_INFINITY &&
      guest.processor.capabilities.edgeHook;
    this.#counting = new Counting(guest, count, canRelax);
  }

  get unfinished(): Unfinished {
    return this.#replay.unfinished;
  }

  /** True while blocks are not counted as they run. */
  get relaxed(): boolean {
    return this.#counting.relaxed;
  }

  /**
   * Runs until a Stop, or about `milliseconds`.
   *
   * @param milliseconds Infinity: to the Stop
   */
  slice(milliseconds: number): SliceEnd {
    this.#timer.start(milliseconds);
    const { relaxed } = this;
    for (;;) {
      const end = this.#turn();
      if (end) return end;
      if (this.#timer.isOverNow || this.relaxed !== relaxed) return { type: 'slice' };
    }
  }

  /** A Stop for a reason outside the guest. */
  stopNow(cause: Cause): Stop {
    const { eip } = this.#guest.processor;
    this.#guest.counter.leave(eip);
    return this.#stop(cause);
  }

  /** From EIP to the next thing to look at. */
  #turn(): SliceEnd | undefined {
    const guest = this.#guest;
    const { processor, counter } = guest;
    const { eip } = processor;
    counter.leave(eip);
    if (guest.mappingChanged) guest.refresh(guest.cpu());
    if (this.#gate.isFull) this.#gate.forgetCode();
    if (guest.observer.version !== this.#observed) this.#followObserver();
    if (guest.limit) return this.#end({ kind: 'engine-limit', ...guest.limit });
    this.#until.lookAt(eip, guest);
    if (this.#until.isReached(eip, counter.retired)) return this.#end({ kind: 'reached', address: eip });
    if (!this.relaxed && counter.retired >= this.#budget)
      return this.#end({ kind: 'budget', limit: this.#budget });

    const registers = processor.readRegisters();
    const bytes = guest.code(eip, CODE_BYTES).slice();
    const instruction = decodeInstruction(bytes, eip, guest.state.bits, registers);
    const answer = this.#replay.takeLetPass();
    if (answer) {
      observe(guest, eip, instruction, () => situationOf(guest, guest.cpu(), instruction, bytes));
      return this.#passAnswered(answer, eip, instruction);
    }
    // An instruction that cannot be fetched is left to the CPU, which faults.
    if (hasToBeSeen(guest, eip, instruction) && guest.mayFetch(eip, instruction.length)) {
      if (this.relaxed && needsTime(instruction.sensitivity)) return { type: 'needs-count' };
      return this.#decide(eip, bytes, instruction);
    }
    this.#until.leave();
    if (!this.#isStepped && !this.#fragile.holds(eip)) return this.#runFrom(eip);
    return this.#stepStores(eip, instruction);
  }

  /** Another instruction is to be looked at, or one no longer is. */
  #followObserver(): void {
    const { processor, observer } = this.#guest;
    this.#observed = observer.version;
    if (!this.relaxed) return;
    processor.forgetStopPoints();
    processor.dropAll();
  }

  /** One instruction at a time is done here, so that every fault leaves an exact state. */
  get #isStepped(): boolean {
    const { retired } = this.#guest.counter;
    return retired >= this.#replay.stepFrom || retired < this.#stepUntil;
  }

  #decide(eip: number, bytes: Uint8Array, instruction: DecodedInstruction): SliceEnd | undefined {
    const guest = this.#guest;
    const cpu = guest.cpu();
    const { stopOn } = this.#replay;
    const situation = { ...situationOf(guest, cpu, instruction, bytes), stopOn };
    const verdict = evaluate(situation);
    const seen = observe(guest, eip, instruction, () => situation);
    this.#until.leave();
    // A paravirtual kernel that halts in ring 0 has run what it should not.
    const passes = verdict.type !== 'stop' || (seen?.instead && verdict.cause.kind === 'halt');
    if (seen && stopOn === 'sensitive' && passes) {
      const rule = guest.observer.ruleOf(instruction, guest.state.cpl, eip) ?? '';
      return this.#end({ kind: 'sensitive', rule, ...seen }, undefined, cpu);
    }
    switch (verdict.type) {
      case 'stop':
        return this.#refused(verdict, cpu, instruction);
      case 'partly':
        return this.#partly(eip, instruction, verdict.iterations);
      case 'answer':
        this.#apply(verdict.effect, instruction);
        return undefined;
      case 'run':
        return this.#step(eip, instruction);
    }
  }

  #refused(
    { cause, exception, effect }: Extract<Verdict, { type: 'stop' }>,
    cpu: CpuState,
    instruction: DecodedInstruction,
  ): SliceEnd | undefined {
    const guest = this.#guest;
    // SDM vol. 3, 4.7: CR2 holds the address; the engine has not seen this access.
    if (cause.kind === 'page-fault') guest.processor.writeCr2(cause.address);
    if (effect) guest.apply(effect, instruction.length);
    return this.#end(cause, exception, effect || cause.kind === 'page-fault' ? guest.cpu() : cpu);
  }

  #apply(effect: Effect, instruction: DecodedInstruction): void {
    const guest = this.#guest;
    const { state, observer, processor, counter } = guest;
    noteRetired(guest, observer.ruleOf(instruction, state.cpl, processor.eip), state.cpl);
    counter.begin();
    this.#tracer?.answer(processor.eip, effect.registers ?? {}, counter.retired);
    const next = guest.apply(effect, instruction.length);
    counter.retireOne(instruction.fallsThrough ? next : NO_ADDRESS);
    this.#stuck = 0;
  }

  /** The instruction at EIP, as the answer to the Stop before it asks. */
  #passAnswered(answer: LetPass, eip: number, instruction: DecodedInstruction): SliceEnd | undefined {
    const guest = this.#guest;
    this.#until.leave();
    if (answer.emptyBus) this.#stepUntil = guest.counter.retired + STEPS_AFTER_HOLE;
    const bus = answer.emptyBus && guest.emptyBus(answer.emptyBus);
    const end = this.#step(eip, instruction);
    bus?.remove();
    return end;
  }

  #step(eip: number, instruction: DecodedInstruction, afterwards?: () => void): SliceEnd | undefined {
    const guest = this.#guest;
    const { cpl } = guest.state;
    const rule = guest.observer.ruleOf(instruction, cpl, eip);
    const isCounted = isStepCounted(guest, instruction);
    const outcome = step(guest, this.#gate, eip, instruction);
    afterwards?.();
    const end = this.#ended(outcome, eip);
    if (end) return end;
    // What has retired is told before the level is another.
    guest.counter.leave(guest.processor.eip);
    if (!isCounted && guest.processor.eip !== eip) noteRetired(guest, rule, cpl);
    refreshAfter(guest, instruction);
    return undefined;
  }

  /** Steps the instruction at EIP; a repeated one that is going to write to its own bytes only up to there. */
  #stepStores(eip: number, instruction: DecodedInstruction): SliceEnd | undefined {
    const iterations = iterationsBefore(eip, instruction, this.#guest.cpu());
    if (iterations === undefined) return this.#step(eip, instruction);
    this.#gate.isOverwriting = true;
    const end = this.#partly(eip, instruction, iterations);
    this.#gate.isOverwriting = false;
    this.#gate.isStale = true;
    return end;
  }

  /**
   * Lets the CPU do only so many iterations of the repeated string instruction at EIP; the next turn looks at it again.
   */
  #partly(eip: number, instruction: DecodedInstruction, iterations: number): SliceEnd | undefined {
    const { counter } = this.#guest;
    const { retired } = counter;
    const restoreCount = limitIterations(this.#guest, instruction, iterations);
    let isUnfinished = false;
    const end = this.#step(eip, instruction, () => {
      isUnfinished = restoreCount();
    });
    if (isUnfinished && !end) counter.rewind(retired, eip);
    this.#stuck = 0;
    return end;
  }

  #runFrom(eip: number): SliceEnd | undefined {
    const end = runFreely(this.#guest, this.#gate, this.#fragile, eip);
    switch (end.type) {
      case 'restarted':
        return { type: 'needs-count' };
      case 'fragile':
        return { type: 'step-through', block: end.block.start };
      case 'came-back':
        return this.#ended(end.outcome, eip);
    }
  }

  /** The engine, started at `eip`, has come back: because it was told to, or with a fault. */
  #ended(outcome: Outcome, eip: number): SliceEnd | undefined {
    if (outcome.type === 'stopped') return this.#cameBack(eip);
    const guest = this.#guest;
    if (guest.mappingChanged) {
      // The engine may have failed only because it did not know the guest's new mapping.
      guest.refresh(guest.cpu());
      if (++this.#stuck <= PATIENCE) return undefined;
    }
    const { counter } = guest;
    if (isFetchedAhead(outcome, guest)) return this.#trapStep();
    if (!this.#isStepped && !isExact(outcome, guest)) {
      return this.relaxed ? { type: 'needs-count' } : { type: 'needs-steps', from: counter.retired };
    }
    counter.leave(guest.processor.eip);
    const { cause, exception, cpu } = faultOf(outcome, guest);
    return this.#end(cause, exception, cpu);
  }

  #cameBack(eip: number): SliceEnd | undefined {
    const { processor } = this.#guest;
    if (processor.eip !== eip || this.#gate.entered > 0) {
      this.#stuck = 0;
    } else if (++this.#stuck > PATIENCE) {
      return this.#end({
        kind: 'engine-limit',
        limit: 'no-progress',
        detail: 'the engine comes back without having run',
      });
    } else processor.drop(eip, eip + 1);
    this.#counting.relaxWhenLong(this.#timer.blocks);
    return undefined;
  }

  #trapStep(): SliceEnd | undefined {
    const { processor, counter } = this.#guest;
    const { eip } = processor;
    const outcome = trapStep(this.#guest, this.#gate);
    if (outcome.type !== 'stopped') return this.#ended(outcome, eip);
    counter.leave(processor.eip);
    return undefined;
  }

  #end(cause: Cause, exception?: Exception, cpu?: CpuState): SliceEnd | undefined {
    const { processor, counter } = this.#guest;
    const given = this.#replay.takeAnswer(processor.eip, counter.retired);
    if (!given) return { type: 'stop', stop: this.#stop(cause, exception, cpu) };
    this.#repeat(given);
    return undefined;
  }

  /** In a second pass: answers what is met here as it was answered then. */
  #repeat({ continuation, length }: GivenAnswer): void {
    this.#guest.observer.lookAtAll(this.#replay.stopOn === 'sensitive');
    if (continuation.type !== 'let-pass') this.#guest.answer(continuation, length);
    this.#stuck = 0;
  }

  #stop(cause: Cause, exception?: Exception, cpu: CpuState = this.#guest.cpu()): Stop {
    const eip = linearEip(cpu);
    const { isExact: counted, retired: instructions } = this.#counting;
    const trail = counted ? this.#guest.counter.trail(eip) : [eip];
    return describeStop(this.#guest, cpu, cause, exception, { instructions, counted, trail });
  }
}

const needsTime = (sensitivity: Sensitivity | undefined): boolean =>
  sensitivity?.type === 'answered' &&
  (sensitivity.what.startsWith('rdtsc') || sensitivity.what.endsWith('msr'));
