/** SliceTimer: when a slice of a run is over. The wall clock decides nothing else. */

/** How often the wall clock is looked at, in blocks. */
const BLOCKS_PER_LOOK = 4096;

export class SliceTimer {
  /** Blocks announced since the run began. */
  blocks = 0;
  #lastLook = 0;
  #deadline = Number.POSITIVE_INFINITY;
  #isOver = false;

  /** @param milliseconds Infinity: the slice ends with the run */
  start(milliseconds: number): void {
    this.#deadline = performance.now() + milliseconds;
    this.#isOver = false;
  }

  /** A block is about to run. */
  countBlock(): void {
    if (++this.blocks - this.#lastLook < BLOCKS_PER_LOOK) return;
    this.#lastLook = this.blocks;
    if (performance.now() >= this.#deadline) this.#isOver = true;
  }

  /** As of the last look. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Looks now. */
  get isOverNow(): boolean {
    return this.#isOver || performance.now() >= this.#deadline;
  }
}
