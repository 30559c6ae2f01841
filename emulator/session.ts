/**
 * Session: one run of a guest, in slices. It runs freely from one thing that has to be looked at to the next, decides
 * about it, and ends in a Stop.
 */
import { plannedStop } from './block-plan.ts';
import { type Block, isOneInside } from './blocks.ts';
import { CodePages } from './code-pages.ts';
import type { CpuState } from './cpu-state.ts';
import { faultOf, isExact, isFetchedAhead } from './faults.ts';
import type { Guest } from './guest.ts';
import { type DecodedInstruction, decodeInstruction } from './instructions.ts';
import { DEFAULT_INSTRUCTIONS, type RunOptions, untilsOf } from './run-options.ts';
import { evaluate, MSR_EFER, mustStop, type Verdict } from './sensitive/index.ts';
import type { Sensitivity } from './sensitivity.ts';
import type { Cause, Exception, Stop } from './stop.ts';
import { describeStop } from './stop-record.ts';
import type { Outcome } from './unicorn/processor.ts';

/** Blocks that `auto` counts before it changes to a second pass: a tenth of a second. */
const COUNTED_BLOCKS = 1_000_000;
/** How often the wall clock is looked at, in blocks. */
const BLOCKS_PER_LOOK = 4096;
/** Bytes of code that an evaluator sees. */
const CODE_BYTES = 32;
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
  readonly #untils: ReadonlySet<number>;
  readonly #budget: number;
  readonly #count: 'auto' | 'always' | 'never';
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
  /** From this many retired instructions on, one at a time. */
  readonly #stepFrom: number;
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
    this.#stepFrom = mode.stepFrom ?? Number.POSITIVE_INFINITY;
    this.#fragileStarts = mode.fragile ?? new Set();
    this.#untils = untilsOf(options);
    this.#untilFrom = mode.untilFrom ?? 0;
    this.#budget = options.instructions ?? DEFAULT_INSTRUCTIONS;
    this.#count = options.count ?? 'auto';
    // From a block that is not announced the native engine cannot be called back: see the quirk `stale-eip`.
    this.#canRelax =
      guest.counter.retired === 0 &&
      !inSlices &&
      this.#budget === Number.POSITIVE_INFINITY &&
      guest.processor.capabilities.edgeHook;
    this.#leavingUntil = resumedAt !== undefined && this.#untils.has(resumedAt);
    this.#codePages = new CodePages((linear, size) => guest.code(linear, size));
    guest.onBlock = (start, size) => this.#onBlock(start, size);
    if (this.#count === 'never' && this.#canRelax) guest.processor.watch('new');
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
    for (;;) {
      const end = this.#turn();
      if (end) return end;
      if (this.#sliceOver || performance.now() >= this.#deadline) return { type: 'slice' };
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
    if (guest.blocks.isFull) this.#forgetCode();
    if (guest.limit) return this.#end({ kind: 'engine-limit', ...guest.limit });
    if (this.#untils.has(eip) && !this.#leavingUntil && counter.retired >= this.#untilFrom)
      return this.#end({ kind: 'reached', address: eip });
    if (!this.relaxed && counter.retired >= this.#budget)
      return this.#end({ kind: 'budget', limit: this.#budget });

    const registers = processor.readRegisters();
    const bytes = guest.code(eip, CODE_BYTES).slice();
    const instruction = decodeInstruction(bytes, eip, guest.state.bits, registers);
    if (this.#hasToBeSeen(instruction)) {
      if (this.relaxed && needsTime(instruction.sensitivity)) return { type: 'needs-count' };
      return this.#decide(eip, bytes, instruction);
    }
    this.#leavingUntil = false;
    const steps = counter.retired >= this.#stepFrom || this.#isFragile(eip);
    return steps ? this.#step(eip, instruction) : this.#runFrom(eip);
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
    if (this.#fragileStarts.has(eip)) this.#fragile = this.#guest.blocks.at(eip, this.#guest.state.bits);
    const block = this.#fragile;
    if (block && (eip < block.start || eip >= block.end)) this.#fragile = undefined;
    return this.#fragile !== undefined;
  }

  /** Looks whether the block that has just run is still what it was: engines then go on in one of several ways. */
  #noteModified(): void {
    const { running } = this.#guest.counter;
    if (running && !this.#guest.blocks.isUnchanged(running)) this.#fragileBlock = running;
  }

  #hasToBeSeen(instruction: DecodedInstruction): boolean {
    const { state, watch } = this.#guest;
    const { sensitivity } = instruction;
    if (sensitivity && mustStop(sensitivity, state, watch)) return true;
    return instruction.memory.some(use => state.notFlat.has(use.segment));
  }

  #decide(eip: number, bytes: Uint8Array, instruction: DecodedInstruction): SliceEnd | undefined {
    const guest = this.#guest;
    const cpu = guest.cpu();
    const verdict = evaluate({
      instruction,
      bytes,
      cpu,
      state: guest.state,
      platform: guest.entry.platform,
      model: guest.model,
      read: (linear, size) => guest.readLinear(linear, size),
      tsc: () => guest.clock.tsc(guest.counter.retired),
      random: guest.random,
      msrs: guest.msrs,
    });
    this.#leavingUntil = false;
    switch (verdict.type) {
      case 'stop':
        return this.#end(verdict.cause, verdict.exception, cpu);
      case 'answer':
        this.#answer(verdict, eip, instruction);
        return undefined;
      case 'run':
        return this.#step(eip, instruction);
    }
  }

  #answer(verdict: Extract<Verdict, { type: 'answer' }>, eip: number, instruction: DecodedInstruction): void {
    const { processor, counter, msrs } = this.#guest;
    for (const [name, value] of Object.entries(verdict.registers)) {
      processor.writeRegister(name as keyof typeof verdict.registers, value);
    }
    if (verdict.eflags !== undefined) processor.writeFlags(verdict.eflags);
    const { sensitivity } = instruction;
    if (sensitivity?.type === 'answered' && sensitivity.what === 'wrmsr') {
      this.#guest.writeEfer(msrs.read(MSR_EFER));
      this.#guest.refresh(this.#guest.cpu());
    }
    const next = (eip + instruction.length) >>> 0;
    processor.eip = next;
    counter.retireOne(next);
    this.#stuck = 0;
  }

  /** Lets the CPU do exactly the instruction at EIP. */
  #step(eip: number, instruction: DecodedInstruction): SliceEnd | undefined {
    const guest = this.#guest;
    const { processor } = guest;
    const type = instruction.sensitivity?.type;
    const opens = type !== undefined && READS_DESCRIPTORS.has(type);
    // Without a call for every block there is no way to stop after a branch.
    const watchAll = this.relaxed && !instruction.fallsThrough;
    if (watchAll) processor.watch('every');
    if (this.#stale) processor.drop(eip, eip + instruction.length);
    this.#stale = false;
    if (opens) guest.guard(false);
    this.#passing = eip;
    this.#stepping = true;
    this.#steppingAt = instruction.fallsThrough ? eip : -1;
    // Nothing can be fetched there: it faults.
    const next = instruction.length === 0 ? undefined : (eip + instruction.length) >>> 0;
    const outcome = processor.run(eip, next, instruction.repeated);
    this.#steppingAt = -1;
    this.#stepping = false;
    this.#passing = -1;
    if (opens) guest.guard(true);
    if (watchAll) processor.watch('new');
    const end = this.#ended(outcome, eip);
    if (!end && type !== undefined && CHANGES_STATE.has(type)) {
      // What is in the tables counts from here on, even if the register keeps its value.
      if (instruction.sensitivity?.type === 'rule' && FLUSHES.has(instruction.sensitivity.rule)) {
        guest.mappingChanged = true;
      }
      guest.refresh(guest.cpu());
    }
    return end;
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
    const outcome = processor.run(eip, this.relaxed ? undefined : stopAt);
    guest.passTableWrites = true;
    this.#passing = -1;
    if (this.#restarted) return { type: 'needs-count' };
    // The engine comes back before an instruction that writes to a page table, and EFLAGS is not what it was.
    if (guest.mappingChanged && outcome.type === 'stopped') this.#fragileBlock = counter.running;
    if (!this.#fragileBlock) this.#noteModified();
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
      this.#codePages.note(block);
      if (start === this.#passing) return false;
      if (this.#codePages.isDue || blocks.isFull) return true;
      return (
        this.#stopIn(block) !== undefined ||
        plannedStop(block, this.#guest) === start ||
        this.#untils.has(start)
      );
    }
    if (counter.repeats(start)) return false;
    if (this.#stepping) {
      if (start === this.#steppingAt && counter.running) return false;
    } else if (this.#isRestart(start, size)) this.#fragileBlock = counter.running;
    else this.#noteModified();
    if (this.#fragileBlock) return true;
    const known = blocks.known(start);
    // The running block has just been compared.
    const intact =
      known !== undefined && ((known === counter.running && !this.#stepping) || blocks.isUnchanged(known));
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

  /**
   * Before an instruction writes to its own block, the engine throws the block away and announces what it makes of
   * that instruction anew: alone, or as much as before; unicorn.js may even go on at another address. See the quirk
   * `self-modifying-block`.
   */
  #isRestart(start: number, size: number): boolean {
    const { running } = this.#guest.counter;
    if (!running) return false;
    const cannotBranch = running.fallsThrough && running.engineSize !== 0;
    return (cannotBranch && start !== running.end) || isOneInside(running, start, size);
  }

  #holds(block: Block): boolean {
    if (this.#stepping || this.#untils.has(block.start) || this.#fragileStarts.has(block.start)) return true;
    if (++this.#blocks - this.#lastLook >= BLOCKS_PER_LOOK) this.#look();
    if (this.#sliceOver || this.#guest.mappingChanged || this.#guest.blocks.isFull) return true;
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
    if (counter.retired < this.#stepFrom && !isExact(outcome, guest)) {
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
    const outcome = processor.trapStep(eip, this.#guest.cpu().eflags);
    this.#stepping = false;
    this.#passing = -1;
    if (outcome.type !== 'stopped') return this.#ended(outcome, eip);
    counter.leave(processor.eip);
    return undefined;
  }

  /** After enough counted blocks, `auto` goes on without counting where the engine can. */
  #relaxWhenLong(): void {
    if (this.#count === 'auto' && !this.relaxed && this.#blocks > COUNTED_BLOCKS && this.#canRelax) {
      this.#guest.processor.watch('new');
    }
  }

  #end(cause: Cause, exception?: Exception, cpu?: CpuState): SliceEnd {
    return { type: 'stop', stop: this.#stop(cause, exception, cpu) };
  }

  #stop(cause: Cause, exception?: Exception, cpu: CpuState = this.#guest.cpu()): Stop {
    const { counter } = this.#guest;
    const counted = this.#count !== 'never' && !this.relaxed;
    return describeStop(this.#guest, cpu, cause, exception, {
      instructions: counted ? counter.retired : 0,
      counted,
      trail: counted ? counter.trail(cpu.eip) : [cpu.eip],
    });
  }
}

const needsTime = (sensitivity: Sensitivity | undefined): boolean =>
  sensitivity?.type === 'answered' &&
  (sensitivity.what.startsWith('rdtsc') || sensitivity.what.endsWith('msr'));
