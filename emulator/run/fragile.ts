/**
 * Fragile blocks: those that write to themselves or to a page table as they run. Engines then go on in one of several
 * ways, so that a run is repeated up to such a block and stepped through it. See the quirk `self-modifying-block`.
 */
import { type Block, isOneInside } from '../blocks.ts';
import type { Guest } from '../guest.ts';

export class FragileBlocks {
  readonly #guest: Guest;
  /** Where they start, as the passes before have found. */
  readonly #starts: ReadonlySet<number>;
  /** The one of them that is being stepped through. */
  #stepped: Block | undefined;
  /** A block that turned out to be one in this pass. */
  found: Block | undefined;

  constructor(guest: Guest, starts: ReadonlySet<number>) {
    this.#guest = guest;
    this.#starts = starts;
  }

  startsAt(address: number): boolean {
    return this.#starts.has(address);
  }

  /** Whether EIP is in a fragile block that was entered at its start. */
  holds(eip: number): boolean {
    if (this.#starts.has(eip)) {
      // There may be no code any more: the block has written to a page table.
      this.#stepped = this.#guest.blocks.at(eip, this.#guest.state.bits);
      return true;
    }
    const block = this.#stepped;
    if (block && (eip < block.start || eip >= block.end)) this.#stepped = undefined;
    return this.#stepped !== undefined;
  }

  /** The block that is running is one. */
  noteRunning(): void {
    this.found = this.#guest.counter.running;
  }

  /** Looks whether the block that has just run is still what it was. */
  noteModified(): void {
    if (this.runningHasChanged) this.noteRunning();
  }

  get runningHasChanged(): boolean {
    const { running } = this.#guest.counter;
    return running !== undefined && !this.#guest.blocks.isUnchanged(running);
  }

  /**
   * Whether the run has ended where the block that ran last cannot have led to: unicorn.js has gone on behind it without
   * announcing what it ran.
   */
  runningHasLeft(eip: number): boolean {
    const { running } = this.#guest.counter;
    return running !== undefined && cannotBranch(running) && (eip < running.start || eip > running.end);
  }

  /**
   * Whether the engine announces the running block anew: before an instruction writes to its own block, the engine throws
   * the block away and announces what it makes of that instruction, alone, or as much as before; unicorn.js may even go
   * on at another address.
   */
  isRestart(start: number, size: number): boolean {
    const { running } = this.#guest.counter;
    if (!running) return false;
    return (cannotBranch(running) && start !== running.end) || isOneInside(running, start, size);
  }
}

/** It goes on behind its end. */
const cannotBranch = ({ fallsThrough, engineSize }: Block): boolean => fallsThrough && engineSize !== 0;
