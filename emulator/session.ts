/**
 * Session: one run of a guest, in slices. It runs freely from one thing that has to be looked at to the next, decides
 * about it, and ends in a Stop.
 */
import { needsChecks, plannedStop } from './block-plan.ts';
import { type Block, isOneInside } from './blocks.ts';
import { CodePages } from './code-pages.ts';
import type { GivenAnswer, LetPass } from './continuation.ts';
import { type CpuState, linearEip, type Ring } from './cpu-state.ts';
import { type DecodedInstruction, decodeInstruction } from './decode/instruction.ts';
import type { Sensitivity } from './decode/sensitivity.ts';
import type { Effect } from './effect.ts';
import { faultOf, isExact, isFetchedAhead, isUndone } from './faults.ts';
import { FLAG_ZF } from './flags.ts';
import type { Guest } from './guest.ts';
import type { Comparison } from './observe/observation.ts';
import {
  type CodePattern,
  DEFAULT_INSTRUCTIONS,
  isCode,
  type RunOptions,
  type StopOn,
  untilsOf,
} from './run-options.ts';
import { evaluate, mustStop, type Situation, type Verdict } from './sensitive/index.ts';
import { situationOf } from './situation.ts';
import type { Cause, Exception, Stop } from './stop.ts';
import { describeStop } from './stop-record.ts';
import { iterationsBefore } from './string-stores.ts';
import type { Tracer } from './trace.ts';
import type { Outcome } from './unicorn/processor.ts';

/** Blocks that `auto` counts before it changes to a second pass: a tenth of a second. */
const COUNTED_BLOCKS = 1_000_000;
/** How often the wall clock is looked at, in blocks. */
const BLOCKS_PER_LOOK = 4096;
/** Bytes of code that an evaluator sees. */
const CODE_BYTES = 32;
/** What no instruction's address is: control has not come here in a straight line. */
const NO_ADDRESS = -1;
/** Where an empty bus has answered, the next hole is near: stepping to it saves a second pass from the entry. */
const STEPS_AFTER_HOLE = 20_000;
/** So often the engine may come back at one place without a reason before that is an engine limit. */
const PATIENCE = 8;

/** What a run that was interrupted had still to do with the answers to the Stops before it. */
export interface Unfinished {
  readonly letsPass: LetPass | undefined;
  readonly answers: readonly GivenAnswer[];
}

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

/** Instructions after which rings, segments, tables or the mapping may be others. */
const CHANGES_STATE = new Set<Sensitivity['type']>([
  'segment-load',
  'far-transfer',
  'iret',
  'fast-call',
  'rule',
]);
/** Rules of instructions that flush the TLB. */
const FLUSHES = new Set(['invlpg', 'mov-to-cr']);
/** Instructions at which the CPU itself reads the GDT. */
const READS_DESCRIPTORS = new Set<Sensitivity['type']>([
  'segment-load',
  'far-transfer',
  'iret',
  'fast-call',
  'descriptor-read',
]);

export class Session {
  readonly #guest: Guest;
  readonly #untils: Set<number>;
  /** Where a new block begins with it, that address joins {@link Session.#untils}. */
  readonly #untilCode: CodePattern | undefined;
  readonly #budget: number;
  readonly #count: NonNullable<RunOptions['count']>;
  readonly #ownStopOn: StopOn;
  /** Version of what is observed that the engine's translations were planned for. */
  #observed = 0;
  /**
   * The run can go on without every block being announced: it begins at the entry, so that a second pass can repeat
   * it, the engine can, and nothing has to be known on the way.
   */
  readonly #canRelax: boolean;
  /** The block at this address has been decided about and may start. */
  #passing = -1;
  /** Where the engine is asked to come back. */
  #runningTo: number | undefined;
  #stepping = false;
  /** Stepping an instruction that cannot branch: announced again, it starts anew. */
  #steppingAt = -1;
  /** Stepping a repeated string instruction that is about to write to its own bytes. */
  #overwriting = false;
  /** From this many retired instructions on, one at a time. */
  readonly #ownStepFrom: number;
  /** Before so many retired instructions, one at a time: see {@link STEPS_AFTER_HOLE}. */
  #stepUntil = 0;
  /** Answers that are still to be given again. */
  readonly #answers: GivenAnswer[];
  /** The next instruction runs without a look at what it is. */
  #letsPass: LetPass | undefined;
  #blocks = 0;
  #lastLook = 0;
  #deadline = Number.POSITIVE_INFINITY;
  #sliceOver = false;
  #stuck = 0;
  /** Blocks that were let run since the engine was started last. */
  #entered = 0;
  /** What the engine has translated at EIP may be older than what stands there. */
  #stale = false;
  /** Code that has run while blocks are not announced each time. */
  readonly #codePages: CodePages;
  readonly #untilFrom: number;
  readonly #fragileStarts: ReadonlySet<number>;
  readonly #tracer: Tracer | undefined;
  /** The one of them that is being stepped through. */
  #fragile: Block | undefined;
  /** A block that turned out to write to its own bytes, or to a page table, as it ran. */
  #fragileBlock: Block | undefined;
  /** A block writes to itself, while not every block is announced. */
  #restarted = false;
  /** This run starts at `until`, where the one before ended. */
  #leavingUntil: boolean;

  constructor(guest: Guest, options: RunOptions, mode: SessionMode) {
    const { inSlices, resumedAt } = mode;
    this.#guest = guest;
    this.#ownStepFrom = mode.stepFrom ?? Number.POSITIVE_INFINITY;
    this.#answers = [...(mode.answers ?? [])];
    this.#letsPass = mode.letsPass;
    this.#fragileStarts = mode.fragile ?? new Set();
    this.#untils = new Set(untilsOf(options));
    this.#untilCode = options.untilCode;
    if (this.#untilCode && resumedAt !== undefined) this.#untils.add(resumedAt);
    this.#untilFrom = mode.untilFrom ?? 0;
    this.#budget = options.instructions ?? DEFAULT_INSTRUCTIONS;
    this.#count = options.count ?? 'auto';
    this.#ownStopOn = options.stopOn ?? 'loss';
    guest.observer.lookAtAll(this.#stopOn === 'sensitive');
    this.#observed = guest.observer.version;
    const { tracer } = mode;
    this.#tracer = tracer;
    guest.counter.onStart = tracer && ((start, retired) => tracer.enter(start, retired));
    // From a block that is not announced the native engine cannot be called back: see the quirk `stale-eip`.
    this.#canRelax =
      guest.counter.retired === 0 &&
      !tracer &&
      (!inSlices || (this.#count === 'beginning' && options.timeout === undefined)) &&
      this.#budget === Number.POSITIVE_INFINITY &&
      guest.processor.capabilities.edgeHook;
    this.#leavingUntil = resumedAt !== undefined && this.#untils.has(resumedAt);
    this.#codePages = new CodePages((linear, size) => guest.code(linear, size));
    guest.onBlock = (start, size) => this.#onBlock(start, size);
    if (this.#count === 'never' && this.#canRelax) guest.processor.watch('new');
  }

  /** While answers are repeated, what ended the runs then ends them again. */
  get #stopOn(): StopOn {
    const [next] = this.#answers;
    return next?.stopOn ?? this.#ownStopOn;
  }

  /** While answers are repeated, what was stepped then is stepped again, and nothing else. */
  get #stepFrom(): number {
    const [next] = this.#answers;
    return next ? (next.stepFrom ?? Number.POSITIVE_INFINITY) : this.#ownStepFrom;
  }

  /** One instruction at a time is done here, so that every fault leaves an exact state. */
  get #isStepped(): boolean {
    const { retired } = this.#guest.counter;
    return retired >= this.#stepFrom || retired < this.#stepUntil;
  }

  get unfinished(): Unfinished {
    return { letsPass: this.#letsPass, answers: [...this.#answers] };
  }

  /** True while blocks are not counted as they run. */
  get relaxed(): boolean {
    return this.#guest.processor.watching === 'new';
  }

  /**
   * Runs until a Stop, or about `milliseconds`.
   *
   * @param milliseconds Infinity: to the Stop
   */
  slice(milliseconds: number): SliceEnd {
    this.#deadline = performance.now() + milliseconds;
    this.#sliceOver = false;
    const { relaxed } = this;
    for (;;) {
      const end = this.#turn();
      if (end) return end;
      if (this.#sliceOver || this.relaxed !== relaxed || performance.now() >= this.#deadline)
        return { type: 'slice' };
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
    if (this.#isFull) this.#forgetCode();
    if (guest.observer.version !== this.#observed) this.#followObserver();
    if (guest.limit) return this.#end({ kind: 'engine-limit', ...guest.limit });
    this.#lookForCode(eip);
    if (this.#untils.has(eip) && !this.#leavingUntil && counter.retired >= this.#untilFrom)
      return this.#end({ kind: 'reached', address: eip });
    if (!this.relaxed && counter.retired >= this.#budget)
      return this.#end({ kind: 'budget', limit: this.#budget });

    const registers = processor.readRegisters();
    const bytes = guest.code(eip, CODE_BYTES).slice();
    const instruction = decodeInstruction(bytes, eip, guest.state.bits, registers);
    if (this.#letsPass) {
      this.#observe(eip, instruction, () => situationOf(guest, guest.cpu(), instruction, bytes));
      return this.#passAnswered(this.#letsPass, eip, instruction);
    }
    // An instruction that cannot be fetched is left to the CPU, which faults.
    if (this.#hasToBeSeen(eip, instruction) && guest.mayFetch(eip, instruction.length)) {
      if (this.relaxed && needsTime(instruction.sensitivity)) return { type: 'needs-count' };
      return this.#decide(eip, bytes, instruction);
    }
    this.#leavingUntil = false;
    if (!this.#isStepped && !this.#isFragile(eip)) return this.#runFrom(eip);
    const iterations = iterationsBefore(eip, instruction, guest.cpu());
    if (iterations === undefined) return this.#step(eip, instruction);
    this.#overwriting = true;
    const end = this.#partly(eip, instruction, iterations);
    this.#overwriting = false;
    this.#stale = true;
    return end;
  }

  /** Another instruction is to be looked at, or one no longer is. */
  #followObserver(): void {
    const { processor, observer } = this.#guest;
    this.#observed = observer.version;
    if (!this.relaxed) return;
    processor.forgetStopPoints();
    processor.dropAll();
  }

  get #isFull(): boolean {
    return this.#guest.blocks.isFull || this.#guest.processor.codeBufferIsHigh;
  }

  #forgetCode(): void {
    const { blocks, processor } = this.#guest;
    blocks.clear();
    this.#codePages.clear();
    processor.forgetStopPoints();
    processor.dropAll();
  }

  /** Whether EIP is in a fragile block that was entered at its start. */
  #isFragile(eip: number): boolean {
    if (this.#fragileStarts.has(eip)) {
      // There may be no code any more: the block has written to a page table.
      this.#fragile = this.#guest.blocks.at(eip, this.#guest.state.bits);
      return true;
    }
    const block = this.#fragile;
    if (block && (eip < block.start || eip >= block.end)) this.#fragile = undefined;
    return this.#fragile !== undefined;
  }

  /** Looks whether the block that has just run is still what it was: engines then go on in one of several ways. */
  #noteModified(): void {
    const { running } = this.#guest.counter;
    if (this.#hasChanged(running)) this.#fragileBlock = running;
  }

  #hasChanged(block: Block | undefined): boolean {
    return block !== undefined && !this.#guest.blocks.isUnchanged(block);
  }

  /**
   * Whether the run has ended where the block that ran last cannot have led to: unicorn.js has gone on behind it without
   * announcing what it ran. See the quirk `self-modifying-block`.
   */
  #hasLeft(eip: number): boolean {
    const { running } = this.#guest.counter;
    return running !== undefined && cannotBranch(running) && (eip < running.start || eip > running.end);
  }

  #hasToBeSeen(eip: number, instruction: DecodedInstruction): boolean {
    const { state, watch, observer } = this.#guest;
    const { sensitivity } = instruction;
    if (sensitivity && mustStop(sensitivity, state, watch)) return true;
    const rule = observer.ruleOf(instruction, state.cpl, eip);
    const wanted =
      rule !== undefined && (state.cpl === 0 ? observer.wantsViolation(rule) : observer.wants(rule));
    return wanted || needsChecks(eip, instruction, state);
  }

  /** Looks at the instruction at EIP as the observer does where it is. */
  #observe(eip: number, instruction: DecodedInstruction, situation: () => Situation): Comparison | undefined {
    const { state, observer, counter } = this.#guest;
    if (state.cpl !== 0) return observer.look(situation(), counter.retired);
    if (observer.ruleOf(instruction, 0, eip) === undefined) return undefined;
    return observer.lookInRing0(situation(), counter.retired);
  }

  /** An instruction of this rule has retired, and the counter has not seen it. */
  #noteRetired(rule: string | undefined, cpl: Ring): void {
    const { observer } = this.#guest;
    if (rule === undefined) return;
    if (cpl === 0) observer.addInRing0(rule);
    else observer.add(rule);
  }

  #decide(eip: number, bytes: Uint8Array, instruction: DecodedInstruction): SliceEnd | undefined {
    const guest = this.#guest;
    const cpu = guest.cpu();
    const situation = { ...situationOf(guest, cpu, instruction, bytes), stopOn: this.#stopOn };
    const verdict = evaluate(situation);
    const seen = this.#observe(eip, instruction, () => situation);
    this.#leavingUntil = false;
    // A paravirtual kernel that halts in ring 0 has run what it should not.
    const passes = verdict.type !== 'stop' || (seen?.instead && verdict.cause.kind === 'halt');
    if (seen && this.#stopOn === 'sensitive' && passes) {
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

  /**
   * Lets the CPU do only so many iterations of the repeated string instruction at EIP; the next turn looks at it again.
   */
  #partly(eip: number, instruction: DecodedInstruction, iterations: number): SliceEnd | undefined {
    const { processor, counter } = this.#guest;
    const { retired } = counter;
    const mask = instruction.addressSize === 16 ? 0xffff : 0xffffffff;
    const { ecx } = processor.readRegisters();
    const rest = ((ecx & mask) >>> 0) - iterations;
    let isUnfinished = false;
    processor.writeRegister('ecx', ((ecx & ~mask) | iterations) >>> 0);
    const end = this.#step(eip, instruction, () => {
      const now = processor.readRegisters().ecx;
      const left = (now & mask) >>> 0;
      processor.writeRegister('ecx', ((now & ~mask) | ((left + rest) & mask)) >>> 0);
      const { repeatsWhileZero } = instruction;
      const isZero = (processor.eflags & FLAG_ZF) !== 0;
      isUnfinished = left === 0 && (repeatsWhileZero === undefined || repeatsWhileZero === isZero);
      if (isUnfinished) processor.eip = eip;
    });
    if (isUnfinished && !end) counter.rewind(retired, eip);
    this.#stuck = 0;
    return end;
  }

  #apply(effect: Effect, instruction: DecodedInstruction): void {
    const { state, observer, processor, counter } = this.#guest;
    this.#noteRetired(observer.ruleOf(instruction, state.cpl, processor.eip), state.cpl);
    counter.begin();
    this.#tracer?.answer(processor.eip, effect.registers ?? {}, counter.retired);
    const next = this.#guest.apply(effect, instruction.length);
    this.#guest.counter.retireOne(instruction.fallsThrough ? next : NO_ADDRESS);
    this.#stuck = 0;
  }

  /** Lets the CPU do exactly the instruction at EIP. */
  #step(eip: number, instruction: DecodedInstruction, afterwards?: () => void): SliceEnd | undefined {
    const guest = this.#guest;
    const { processor } = guest;
    const type = instruction.sensitivity?.type;
    const opens = type !== undefined && READS_DESCRIPTORS.has(type);
    // Without a call for every block there is no way to stop after a branch.
    const { relaxed } = this;
    const watchAll = relaxed && !instruction.fallsThrough;
    const { cpl } = guest.state;
    const rule = guest.observer.ruleOf(instruction, cpl, eip);
    if (watchAll) processor.watch('every');
    if (this.#stale) processor.drop(eip, eip + instruction.length);
    this.#stale = false;
    if (opens) guest.guard(false);
    this.#passing = eip;
    this.#stepping = true;
    this.#steppingAt = instruction.fallsThrough ? eip : -1;
    // Nothing can be fetched there: it faults.
    const next =
      instruction.length === 0 || !guest.mayFetch(eip) ? undefined : (eip + instruction.length) >>> 0;
    const before = processor.readRegisters();
    const { eflags } = processor;
    const outcome = processor.run(eip, next, instruction.repeated);
    // A repeated string instruction is done in part.
    if (!instruction.repeated && isUndone(outcome, eip, guest)) processor.restore(eip, before, eflags);
    this.#steppingAt = -1;
    this.#stepping = false;
    this.#passing = -1;
    if (opens) guest.guard(true);
    if (watchAll) processor.watch('new');
    afterwards?.();
    const end = this.#ended(outcome, eip);
    if (end) return end;
    // What has retired is told before the level is another.
    guest.counter.leave(processor.eip);
    if (relaxed && !watchAll && processor.eip !== eip) this.#noteRetired(rule, cpl);
    if (type !== undefined && CHANGES_STATE.has(type)) {
      // What is in the tables counts from here on, even if the register keeps its value.
      if (instruction.sensitivity?.type === 'rule' && FLUSHES.has(instruction.sensitivity.rule)) {
        guest.mappingChanged = true;
      }
      guest.refresh(guest.cpu());
    }
    return undefined;
  }

  #runFrom(eip: number): SliceEnd | undefined {
    const guest = this.#guest;
    const { processor, blocks, state, counter } = guest;
    const block = blocks.at(eip, state.bits);
    const stopAt = this.#stopIn(block);
    if (this.relaxed) {
      this.#codePages.note(block);
      for (const old of this.#codePages.takeChanged()) processor.drop(old.start, old.end);
      if (stopAt !== undefined) processor.addStopPoint(stopAt, block.start, block.end);
    } else if (stopAt !== undefined || this.#stale) {
      processor.drop(block.start, block.end);
    }
    this.#stale = false;
    this.#passing = eip;
    this.#entered = 0;
    this.#runningTo = stopAt;
    guest.passTableWrites = false;
    // Where nothing can be fetched the run faults at once: see the quirk `until-fetches`.
    const until = this.relaxed || !guest.mayFetch(eip) ? undefined : stopAt;
    const outcome = processor.run(eip, until);
    guest.passTableWrites = true;
    this.#passing = -1;
    if (this.#restarted) return { type: 'needs-count' };
    // The engine comes back before an instruction that writes to a page table, and EFLAGS is not what it was.
    if (guest.mappingChanged && outcome.type === 'stopped') this.#fragileBlock = counter.running;
    if (!this.#fragileBlock) this.#noteModified();
    if (!this.#fragileBlock && this.#hasLeft(processor.eip)) this.#fragileBlock = counter.running;
    if (this.#fragileBlock) return { type: 'step-through', block: this.#fragileBlock.start };
    return this.#ended(outcome, eip);
  }

  /** The first address in the block, after its start, at which the run has to come back. */
  #stopIn(block: Block): number | undefined {
    let stopAt = plannedStop(block, this.#guest);
    if (stopAt === block.start) stopAt = undefined;
    const consider = (offset: number | undefined): void => {
      if (offset === undefined || offset <= 0) return;
      const address = block.start + offset;
      if (stopAt === undefined || address < stopAt) stopAt = address;
    };
    for (const until of this.#untils) {
      if (block.offsets.includes(until - block.start)) consider(until - block.start);
    }
    if (!this.relaxed) consider(block.offsets[this.#budget - this.#guest.counter.retired]);
    return stopAt;
  }

  /** The engine announces a block: true stops before it. */
  #onBlock(start: number, size: number): boolean {
    const { blocks, counter, state, processor } = this.#guest;
    if (processor.watching === 'new') {
      // The next round of a repeated string instruction.
      if (this.#stepping && start === this.#steppingAt) return false;
      if (!this.#stepping && this.#codePages.isRestart(start, size)) {
        // The engine may never get past it: only a pass that steps through the block does.
        this.#restarted = true;
        return true;
      }
      blocks.forget(start);
      const block = blocks.get(start, size, state.bits);
      this.#lookForCode(start);
      this.#codePages.note(block);
      if (start === this.#passing) return false;
      if (this.#codePages.isDue || this.#isFull) return true;
      return (
        this.#stopIn(block) !== undefined ||
        plannedStop(block, this.#guest) === start ||
        this.#untils.has(start)
      );
    }
    // The engine looks at ECX where the instruction was.
    if (counter.repeats(start)) return this.#overwriting && this.#hasChanged(counter.running);
    if (this.#stepping) {
      if (start === this.#steppingAt && counter.running) return false;
    } else if (this.#isRestart(start, size)) this.#fragileBlock = counter.running;
    else this.#noteModified();
    if (this.#fragileBlock) return true;
    const known = blocks.known(start);
    // The running block has just been compared.
    const intact =
      known !== undefined && ((known === counter.running && !this.#stepping) || blocks.isUnchanged(known));
    if (!intact) this.#lookForCode(start);
    if (known && !intact && start !== this.#passing) {
      // Engines sometimes keep a translation of code that is no longer there: see the quirk `stale-code`.
      this.#stale = true;
      counter.arrive(start);
      return true;
    }
    const block = intact && known.engineSize === size ? known : blocks.renew(start, size, state.bits);
    if (start === this.#passing) {
      this.#passing = -1;
      // The engine may have made a longer block this time than it did the last: it has to be planned for again.
      const stopAt = this.#stepping ? undefined : this.#stopIn(block);
      if (stopAt !== undefined && stopAt !== this.#runningTo) return true;
    } else if (this.#holds(block)) {
      counter.arrive(start);
      return true;
    }
    counter.enter(block);
    this.#entered++;
    return false;
  }

  /** Code that runs for the first time may be what the run goes to. */
  #lookForCode(start: number): void {
    const pattern = this.#untilCode;
    if (pattern && isCode(pattern, this.#guest.code(start, pattern.bytes.length))) this.#untils.add(start);
  }

  /**
   * Before an instruction writes to its own block, the engine throws the block away and announces what it makes of
   * that instruction anew: alone, or as much as before; unicorn.js may even go on at another address. See the quirk
   * `self-modifying-block`.
   */
  #isRestart(start: number, size: number): boolean {
    const { running } = this.#guest.counter;
    if (!running) return false;
    return (cannotBranch(running) && start !== running.end) || isOneInside(running, start, size);
  }

  #holds(block: Block): boolean {
    if (this.#stepping || this.#untils.has(block.start) || this.#fragileStarts.has(block.start)) return true;
    if (++this.#blocks - this.#lastLook >= BLOCKS_PER_LOOK) this.#look();
    if (this.#sliceOver || this.#guest.mappingChanged || this.#isFull) return true;
    if (plannedStop(block, this.#guest) !== undefined) return true;
    for (const until of this.#untils) if (until > block.start && until < block.end) return true;
    const after = this.#guest.counter.retiredAt(block.start) + block.offsets.length;
    return after > this.#budget || after > this.#stepFrom;
  }

  #look(): void {
    this.#lastLook = this.#blocks;
    if (performance.now() >= this.#deadline) this.#sliceOver = true;
  }

  #ended(outcome: Outcome, eip: number): SliceEnd | undefined {
    const guest = this.#guest;
    if (outcome.type === 'stopped') {
      if (guest.processor.eip !== eip || this.#entered > 0) {
        this.#stuck = 0;
      } else if (++this.#stuck > PATIENCE) {
        return this.#end({
          kind: 'engine-limit',
          limit: 'no-progress',
          detail: 'the engine comes back without having run',
        });
      } else guest.processor.drop(eip, eip + 1);
      this.#relaxWhenLong();
      return undefined;
    }
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

  /** The instruction at EIP alone, where the engine stumbles over what stands behind it. */
  #trapStep(): SliceEnd | undefined {
    const { processor, counter } = this.#guest;
    const { eip } = processor;
    counter.leave(eip);
    this.#passing = eip;
    this.#stepping = true;
    const { eflags, registers } = this.#guest.cpu();
    const outcome = processor.trapStep(eip, eflags);
    if (isUndone(outcome, eip, this.#guest)) processor.restore(eip, registers, eflags);
    this.#stepping = false;
    this.#passing = -1;
    if (outcome.type !== 'stopped') return this.#ended(outcome, eip);
    counter.leave(processor.eip);
    return undefined;
  }

  /** After enough counted blocks, `auto` goes on without counting where the engine can. */
  #relaxWhenLong(): void {
    if (
      (this.#count === 'auto' || this.#count === 'beginning') &&
      !this.relaxed &&
      this.#blocks > COUNTED_BLOCKS &&
      this.#canRelax
    ) {
      this.#guest.processor.watch('new');
    }
  }

  /** The instruction at EIP, as the answer to the Stop before it asks. */
  #passAnswered(answer: LetPass, eip: number, instruction: DecodedInstruction): SliceEnd | undefined {
    this.#letsPass = undefined;
    this.#leavingUntil = false;
    if (answer.emptyBus) this.#stepUntil = this.#guest.counter.retired + STEPS_AFTER_HOLE;
    const bus = answer.emptyBus && this.#guest.emptyBus(answer.emptyBus);
    const end = this.#step(eip, instruction);
    bus?.remove();
    return end;
  }

  /** In a second pass: answers what is met here as it was answered then. */
  #repeatsAnswer(eip: number): boolean {
    const [next] = this.#answers;
    const { counter } = this.#guest;
    if (!next || next.retired !== counter.retired || next.eip !== eip) return false;
    this.#answers.shift();
    this.#guest.observer.lookAtAll(this.#stopOn === 'sensitive');
    const { continuation } = next;
    if (continuation.type === 'let-pass') this.#letsPass = continuation;
    else this.#guest.answer(continuation, next.length);
    this.#stuck = 0;
    return true;
  }

  #end(cause: Cause, exception?: Exception, cpu?: CpuState): SliceEnd | undefined {
    if (this.#answers.length > 0 && this.#repeatsAnswer(this.#guest.processor.eip)) return undefined;
    return { type: 'stop', stop: this.#stop(cause, exception, cpu) };
  }

  #stop(cause: Cause, exception?: Exception, cpu: CpuState = this.#guest.cpu()): Stop {
    const { counter } = this.#guest;
    const counted = this.#count !== 'never' && !this.relaxed;
    return describeStop(this.#guest, cpu, cause, exception, {
      instructions: counted || this.#count === 'beginning' ? counter.retired : 0,
      counted,
      trail: counted ? counter.trail(linearEip(cpu)) : [linearEip(cpu)],
    });
  }
}

/** It goes on behind its end. */
const cannotBranch = ({ fallsThrough, engineSize }: Block): boolean => fallsThrough && engineSize !== 0;

const needsTime = (sensitivity: Sensitivity | undefined): boolean =>
  sensitivity?.type === 'answered' &&
  (sensitivity.what.startsWith('rdtsc') || sensitivity.what.endsWith('msr'));
