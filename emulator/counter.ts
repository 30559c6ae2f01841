/**
 * Counts retired instructions and keeps the trail of blocks, from the blocks that the engine announces.
 *
 * Engines cut straight-line code differently and run a repeated string instruction as a loop of blocks. Neither shows
 * here: a block that only continues the one before it is no new entry of the trail, and a repeated string instruction
 * counts once, when it is done.
 */
import type { Block } from './blocks.ts';

/** Length of the trail. */
export const TRAIL_LENGTH = 32;

/** Told of what has retired in a block: its instructions before the offset `end`. */
export interface BlockTally {
  addBlock(block: Block, end: number): void;
}

export class InstructionCounter {
  /** Set where some kinds of instructions are counted. */
  tally: BlockTally | undefined;
  /** Told where straight-line code begins, and what has retired before it. */
  onStart: ((start: number, retired: number) => void) | undefined;
  /** Retired before the current block was entered. */
  #retired = 0;
  #current: Block | undefined;
  /** Where straight-line code goes on after {@link leave}: a block that starts here is no new one. */
  #continuesAt = -1;
  /** Where control has come to, not in a straight line, and nothing has run yet; -1 after it has. */
  #arrivedAt = -1;
  /** The last starts, in a ring. */
  readonly #trail = new Float64Array(TRAIL_LENGTH);
  #pushed = 0;

  /** The engine is about to run `block`. */
  enter(block: Block): void {
    const { start } = block;
    const current = this.#current;
    if (current) {
      if (isRepetition(current, start)) return;
      this.#finish(current, start);
    }
    if (start !== this.#continuesAt) this.#push(start);
    this.#continuesAt = -1;
    this.#arrivedAt = -1;
    this.#current = block;
  }

  /** Control has come to the start of another block (or of the same one again), which does not run yet. */
  arrive(start: number): void {
    const current = this.#current;
    if (!current) return;
    if (isRepetition(current, start)) {
      this.leave(start);
    } else this.#finish(current, start);
  }

  #finish(current: Block, start: number): void {
    const cut = current.engineSize === 0 && start > current.start ? indexOf(current, start) : -1;
    this.#retired += cut > 0 ? cut : current.offsets.length;
    this.tally?.addBlock(current, cut > 0 ? start - current.start : current.size);
    const continues = cut > 0 || (current.fallsThrough && start === current.end);
    this.#continuesAt = continues ? start : -1;
    this.#arrivedAt = continues ? -1 : start;
    this.#current = undefined;
  }

  /** The engine has come back in the middle of a block: EIP is at `eip`, and that instruction has not run. */
  leave(eip: number): void {
    const current = this.#current;
    if (!current) {
      this.#arrivedAt = this.#continuesAt === eip ? -1 : eip;
      return;
    }
    const index = indexOf(current, eip);
    if (index < 0) {
      this.arrive(eip);
      return;
    }
    this.#retired += index;
    this.tally?.addBlock(current, eip - current.start);
    this.#current = undefined;
    this.#continuesAt = eip;
    this.#arrivedAt = -1;
  }

  /** The instruction at EIP is about to be done without the engine. Only after {@link leave}. */
  begin(): void {
    if (this.#arrivedAt < 0) return;
    this.#push(this.#arrivedAt);
    this.#continuesAt = this.#arrivedAt;
    this.#arrivedAt = -1;
  }

  /** One instruction at EIP was done without the engine; straight-line code goes on at `next`. Only after {@link leave}. */
  retireOne(next: number): void {
    this.begin();
    this.#retired++;
    this.#continuesAt = next;
  }

  /** A repeated string instruction at `eip` is not done: it has not retired after all. */
  rewind(retired: number, eip: number): void {
    this.#retired = retired;
    this.#current = undefined;
    this.#continuesAt = eip;
  }

  /** Whether a block at `start` is the next iteration of the repeated string instruction that is running. */
  repeats(start: number): boolean {
    return this.#current !== undefined && isRepetition(this.#current, start);
  }

  /** The block that is running, as it was when it was entered; `undefined` after {@link leave}. */
  get running(): Block | undefined {
    return this.#current;
  }

  /** Retired so far. Exact after {@link leave}; inside a block, the number at its start. */
  get retired(): number {
    return this.#retired;
  }

  /** Retired when control comes to a block at `start`. */
  retiredAt(start: number): number {
    const current = this.#current;
    if (!current) return this.#retired;
    if (isRepetition(current, start)) return this.#retired + current.offsets.length - 1;
    const cut = current.engineSize === 0 && start > current.start ? indexOf(current, start) : -1;
    return this.#retired + (cut > 0 ? cut : current.offsets.length);
  }

  /** Starts of the last blocks, oldest first; the last is the one that holds `eip`. Only after {@link leave}. */
  trail(eip: number): readonly number[] {
    const entries: number[] = [];
    for (let i = Math.max(0, this.#pushed - TRAIL_LENGTH); i < this.#pushed; i++) {
      entries.push(this.#trail[i % TRAIL_LENGTH] as number);
    }
    if (this.#continuesAt !== eip) entries.push(eip);
    return entries.slice(-TRAIL_LENGTH);
  }

  #push(start: number): void {
    this.onStart?.(start, this.#retired);
    this.#trail[this.#pushed++ % TRAIL_LENGTH] = start;
  }
}

const lastOffset = (block: Block): number => block.offsets.at(-1) ?? 0;

/** The engine enters a repeated string instruction again for every iteration after the first. */
const isRepetition = (block: Block, next: number): boolean =>
  block.endsInRepeat && next === block.start + lastOffset(block);

/** Which of the block's instructions starts at `linear`; -1 when none does. The first may be one that is gone. */
const indexOf = ({ start, end, offsets }: Block, linear: number): number => {
  if (linear === start) return 0;
  return linear > start && linear < end ? offsets.indexOf(linear - start) : -1;
};
