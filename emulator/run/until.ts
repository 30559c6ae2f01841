/** Until: where the caller wants the run to stop – at addresses, or at code wherever it comes to stand. */
import type { Block } from '../blocks.ts';
import type { Guest } from '../guest.ts';
import { type CodePattern, codeSize, matchesCode, type RunOptions, untilsOf } from '../run-options.ts';

export class Until {
  readonly #addresses: Set<number>;
  /** Where a new block begins with it, that address joins the others. */
  readonly #code: CodePattern | undefined;
  /** It counts from this many retired instructions on. */
  readonly #from: number;
  /** The run starts there, where the one before ended. */
  #isLeaving: boolean;

  /** @param resumedAt where the run before ended in a `reached` Stop */
  constructor(options: RunOptions, resumedAt: number | undefined, from: number) {
    this.#addresses = new Set(untilsOf(options));
    this.#code = options.untilCode;
    this.#from = from;
    if (this.#code && resumedAt !== undefined) this.#addresses.add(resumedAt);
    this.#isLeaving = resumedAt !== undefined && this.#addresses.has(resumedAt);
  }

  has(address: number): boolean {
    return this.#addresses.has(address);
  }

  /** Whether a run that stands at `address` has reached its end. */
  isReached(address: number, retired: number): boolean {
    return this.#addresses.has(address) && !this.#isLeaving && retired >= this.#from;
  }

  /** The instruction at which the run started is done. */
  leave(): void {
    this.#isLeaving = false;
  }

  /** Code that runs for the first time may be what the run goes to. */
  lookAt(start: number, guest: Guest): void {
    if (this.#code && matchesCode(this.#code, guest.code(start, codeSize(this.#code)))) {
      this.#addresses.add(start);
    }
  }

  isInside({ start, end }: Block): boolean {
    for (const address of this.#addresses) if (address > start && address < end) return true;
    return false;
  }

  /** Where instructions of the block start that the run stops at, from its start. */
  offsetsIn({ start, offsets }: Block): readonly number[] {
    const found: number[] = [];
    for (const address of this.#addresses) {
      if (offsets.includes(address - start)) found.push(address - start);
    }
    return found;
  }
}
