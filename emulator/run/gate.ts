/** BlockGate: the engine announces a block, and is told to run it or to come back before it. */

import type { Block } from '../blocks.ts';
import type { Guest } from '../guest.ts';
import { plannedStop } from './block-plan.ts';
import { CodePages } from './code-pages.ts';
import type { FragileBlocks } from './fragile.ts';
import type { Replay } from './replay.ts';
import type { SliceTimer } from './slice.ts';
import type { Until } from './until.ts';

/** What no instruction's address is. */
const NONE = -1;

/** What may end a run at a block besides what is in the block. */
export interface GateLimits {
  readonly until: Until;
  /** Instructions to retire at most. */
  readonly budget: number;
  readonly replay: Replay;
  readonly timer: SliceTimer;
}

export class BlockGate {
  readonly #guest: Guest;
  readonly #fragile: FragileBlocks;
  readonly #limits: GateLimits;
  /** Code that has run while blocks are not announced each time. */
  readonly #codePages: CodePages;
  /** The block at this address has been decided about and may start. */
  #passing = NONE;
  /** Where the engine is asked to come back. */
  #runningTo: number | undefined;
  #isStepping = false;
  /** Stepping an instruction that cannot branch: announced again, it starts anew. */
  #steppingAt = NONE;
  /** Stepping a repeated string instruction that is about to write to its own bytes. */
  isOverwriting = false;
  /** What the engine has translated at EIP may be older than what stands there. */
  isStale = false;
  /** Blocks that were let run since {@link startRun}. */
  entered = 0;
  /** A block writes to itself, while not every block is announced: only a pass that steps through it gets past it. */
  isRestarted = false;

  constructor(guest: Guest, fragile: FragileBlocks, limits: GateLimits) {
    this.#guest = guest;
    this.#fragile = fragile;
    this.#limits = limits;
    this.#codePages = new CodePages((linear, size) => guest.code(linear, size));
    guest.onBlock = (start, size) =>
      guest.processor.watching === 'new' ? this.#onNewBlock(start, size) : this.#onBlock(start, size);
  }

  /** The engine is about to run freely from `eip`, and to come back at `to`. */
  startRun(eip: number, to: number | undefined): void {
    this.#passing = eip;
    this.#runningTo = to;
    this.entered = 0;
  }

  /** The engine is about to do the instruction at `eip`, and nothing else. */
  startStep(eip: number, canBranch: boolean): void {
    this.#passing = eip;
    this.#isStepping = true;
    this.#steppingAt = canBranch ? NONE : eip;
  }

  /** The engine has come back. */
  finish(): void {
    this.#passing = NONE;
    this.#isStepping = false;
    this.#steppingAt = NONE;
  }

  /** True once: what the engine has translated at EIP is to be dropped. */
  takeStale(): boolean {
    const { isStale } = this;
    this.isStale = false;
    return isStale;
  }

  /** More code is known than is to be kept. */
  get isFull(): boolean {
    return this.#guest.blocks.isFull || this.#guest.processor.codeBufferIsHigh;
  }

  forgetCode(): void {
    const { blocks, processor } = this.#guest;
    blocks.clear();
    this.#codePages.clear();
    processor.forgetStopPoints();
    processor.dropAll();
  }

  /** While only new blocks are announced: drops what has changed, and plans for the block that is about to run. */
  prepareRelaxed(block: Block, stopAt: number | undefined): void {
    const { processor } = this.#guest;
    this.#codePages.note(block);
    for (const old of this.#codePages.takeChanged()) processor.drop(old.start, old.end);
    if (stopAt !== undefined) processor.addStopPoint(stopAt, block.start, block.end);
  }

  /** The first address in the block, after its start, at which the run has to come back. */
  stopIn(block: Block): number | undefined {
    let stopAt = plannedStop(block, this.#guest);
    if (stopAt === block.start) stopAt = undefined;
    const consider = (offset: number | undefined): void => {
      if (offset === undefined || offset <= 0) return;
      const address = block.start + offset;
      if (stopAt === undefined || address < stopAt) stopAt = address;
    };
    const { until, budget } = this.#limits;
    for (const offset of until.offsetsIn(block)) consider(offset);
    if (!this.#isRelaxed) consider(block.offsets[budget - this.#guest.counter.retired]);
    return stopAt;
  }

  get #isRelaxed(): boolean {
    return this.#guest.processor.watching === 'new';
  }

  /** Only new blocks are announced. True stops before it. */
  #onNewBlock(start: number, size: number): boolean {
    const { blocks, state } = this.#guest;
    const { until } = this.#limits;
    // The next round of a repeated string instruction.
    if (this.#isStepping && start === this.#steppingAt) return false;
    if (!this.#isStepping && this.#codePages.isRestart(start, size)) {
      this.isRestarted = true;
      return true;
    }
    blocks.forget(start);
    const block = blocks.get(start, size, state.bits);
    until.lookAt(start, this.#guest);
    this.#codePages.note(block);
    if (start === this.#passing) return false;
    if (this.#codePages.isDue || this.isFull) return true;
    return this.stopIn(block) !== undefined || plannedStop(block, this.#guest) === start || until.has(start);
  }

  /** Every block is announced, and counted. True stops before it. */
  #onBlock(start: number, size: number): boolean {
    const { blocks, counter, state } = this.#guest;
    // The engine looks at ECX where the instruction was.
    if (counter.repeats(start)) return this.isOverwriting && this.#fragile.runningHasChanged;
    if (this.#isStepping) {
      if (start === this.#steppingAt && counter.running) return false;
    } else if (this.#fragile.isRestart(start, size)) this.#fragile.noteRunning();
    else this.#fragile.noteModified();
    if (this.#fragile.found) return true;
    const known = blocks.known(start);
    // The running block has just been compared.
    const intact =
      known !== undefined && ((known === counter.running && !this.#isStepping) || blocks.isUnchanged(known));
    if (!intact) this.#limits.until.lookAt(start, this.#guest);
    if (known && !intact && start !== this.#passing) {
      // Engines sometimes keep a translation of code that is no longer there: see the quirk `stale-code`.
      this.isStale = true;
      counter.arrive(start);
      return true;
    }
    const block = intact && known.engineSize === size ? known : blocks.renew(start, size, state.bits);
    if (start === this.#passing) {
      this.#passing = NONE;
      // The engine may have made a longer block this time than it did the last: it has to be planned for again.
      const stopAt = this.#isStepping ? undefined : this.stopIn(block);
      if (stopAt !== undefined && stopAt !== this.#runningTo) return true;
    } else if (this.#holds(block)) {
      counter.arrive(start);
      return true;
    }
    counter.enter(block);
    this.entered++;
    return false;
  }

  #holds(block: Block): boolean {
    const { until, budget, replay, timer } = this.#limits;
    if (this.#isStepping || until.has(block.start) || this.#fragile.startsAt(block.start)) return true;
    timer.countBlock();
    if (timer.isOver || this.#guest.mappingChanged || this.isFull) return true;
    if (plannedStop(block, this.#guest) !== undefined) return true;
    if (until.isInside(block)) return true;
    const after = this.#guest.counter.retiredAt(block.start) + block.offsets.length;
    return after > budget || after > replay.stepFrom;
  }
}
