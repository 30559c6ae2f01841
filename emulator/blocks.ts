/**
 * What is known about the guest's code, by block: straight-line code from an address to its first control transfer
 * (or to where the engine cut it).
 */

import { type DecodedBlock, decodeBlock } from './decode/block.ts';
import type { CodeBits } from './decode/sizes.ts';

/** Longest block that is decoded, in bytes: the engines' own limit is one page. */
export const MAX_BLOCK_SIZE = 4096;

/** SDM vol. 2, 2.3.11. */
export const MAX_INSTRUCTION_SIZE = 15;

export interface Block extends DecodedBlock {
  /** Linear address. */
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  /** As the engine gave it; 0 when it did not know where it cuts the block. */
  readonly engineSize: number;
  /** A copy of the bytes, to notice that the code has changed. */
  readonly bytes: Uint8Array;
  /** Where to stop in it, and for which context and version of what is observed that was worked out. */
  plan: { readonly context: number; readonly observed: number; readonly stopAt: number | undefined };
}

const NO_CONTEXT = -1;

/** Reads at most `size` bytes at a linear address; shorter where memory or the mapping ends. Not kept. */
export type FetchCode = (linear: number, size: number) => Uint8Array;

export interface CodeSource {
  readonly fetch: FetchCode;
  /** Whether these very bytes stand at a linear address. */
  readonly holds: (linear: number, bytes: Uint8Array) => boolean;
}

export function makeBlock(start: number, engineSize: number, bits: CodeBits, fetch: FetchCode): Block {
  // The engine's size ends inside an instruction that it has found to fault before it read all of it.
  const bytes = fetch(start, engineSize ? engineSize + MAX_INSTRUCTION_SIZE : MAX_BLOCK_SIZE);
  const decoded = decodeBlock(bytes, bits, engineSize || MAX_BLOCK_SIZE);
  const size = Math.max(decoded.size, engineSize);
  return {
    ...decoded,
    size,
    start,
    end: start + size,
    engineSize,
    bytes: bytes.slice(0, size),
    plan: { context: NO_CONTEXT, observed: 0, stopAt: undefined },
  };
}

/** What a block costs besides its bytes, in bytes; and what all of them may cost together. */
const BLOCK_OVERHEAD = 256;
const CAPACITY = 16 * 1024 * 1024;

export class BlockMap {
  readonly #blocks = new Map<number, Block>();
  readonly #source: CodeSource;
  #cost = 0;

  constructor(source: CodeSource) {
    this.#source = source;
  }

  /** The block at `start` as it was when it was last looked at. */
  known(start: number): Block | undefined {
    return this.#blocks.get(start);
  }

  get(start: number, engineSize: number, bits: CodeBits): Block {
    const known = this.#blocks.get(start);
    if (known && known.engineSize === engineSize && this.isUnchanged(known)) return known;
    return this.renew(start, engineSize, bits);
  }

  /** As {@link get}, whatever is known. */
  renew(start: number, engineSize: number, bits: CodeBits): Block {
    const block = makeBlock(start, engineSize, bits, this.#source.fetch);
    this.#blocks.set(start, block);
    this.#cost += block.size + BLOCK_OVERHEAD;
    return block;
  }

  /**
   * A guest that runs through ever new code must not use up the host's memory: it is time to {@link clear}, and to drop
   * what the engine has translated with it, because changes of code that is not known any more are not noticed.
   */
  get isFull(): boolean {
    return this.#cost > CAPACITY;
  }

  /** The block at `start` as the engine last announced it, or else decoded as far as straight-line code goes. */
  at(start: number, bits: CodeBits): Block {
    const known = this.#blocks.get(start);
    return known && this.isUnchanged(known) ? known : makeBlock(start, 0, bits, this.#source.fetch);
  }

  forget(start: number): void {
    this.#blocks.delete(start);
  }

  clear(): void {
    this.#cost = 0;
    this.#blocks.clear();
  }

  isUnchanged(block: Block): boolean {
    return this.#source.holds(block.start, block.bytes);
  }
}

/** Whether [start, start + size) is one instruction of the block, and not its last. */
export function isOneInside({ start: begin, end, offsets }: Block, start: number, size: number): boolean {
  if (start < begin || start + size >= end) return false;
  const index = offsets.indexOf(start - begin);
  return index >= 0 && offsets[index + 1] === start + size - begin;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
