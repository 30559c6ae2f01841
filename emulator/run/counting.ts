/** Counting: whether every block is announced and counted, or only those that are new to the engine. */
import type { Guest } from '../guest.ts';
import type { RunOptions } from '../run-options.ts';

/** Blocks that `auto` counts before it changes to a second pass: a tenth of a second. */
const COUNTED_BLOCKS = 1_000_000;

export class Counting {
  readonly #guest: Guest;
  readonly #mode: NonNullable<RunOptions['count']>;
  readonly #canRelax: boolean;

  /**
   * @param canRelax the run can go on without every block being announced: it begins at the entry, so that a second pass
   * can repeat it, the engine can, and nothing has to be known on the way
   */
  constructor(guest: Guest, mode: NonNullable<RunOptions['count']>, canRelax: boolean) {
    this.#guest = guest;
    this.#mode = mode;
    this.#canRelax = canRelax;
    if (mode === 'never' && canRelax) guest.processor.watch('new');
  }

  /** True while blocks are not counted as they run. */
  get relaxed(): boolean {
    return this.#guest.processor.watching === 'new';
  }

  /** The number of retired instructions and the trail are exact. */
  get isExact(): boolean {
    return this.#mode !== 'never' && !this.relaxed;
  }

  /** Retired instructions as the Stop gives them: exact, a lower bound, or 0. */
  get retired(): number {
    return this.isExact || this.#mode === 'beginning' ? this.#guest.counter.retired : 0;
  }

  /** After enough counted blocks, `auto` and `beginning` go on without counting where the engine can. */
  relaxWhenLong(blocks: number): void {
    if (
      (this.#mode === 'auto' || this.#mode === 'beginning') &&
      !this.relaxed &&
      blocks > COUNTED_BLOCKS &&
      this.#canRelax
    ) {
      this.#guest.processor.watch('new');
    }
  }
}
