/**
 * Notices that code which has run is no longer what it was, for runs in which not every block is announced. Both
 * builds of Unicorn drop the translations that a write hits only for the first write to a page: see the quirk
 * `stale-code`.
 */
import { type Block, type FetchCode, isOneInside, sameBytes } from '../blocks.ts';
import { decodeInstruction } from '../decode/instruction.ts';
import { PAGE_SIZE } from '../paging.ts';

const NO_REGISTERS = { eax: 0, ecx: 0, edx: 0, ebx: 0, esp: 0, ebp: 0, esi: 0, edi: 0 } as const;
/** A look at all pages after so many new blocks for each of them keeps its cost below that of decoding. */
const PAGES_PER_BLOCK = 16;

interface CodePage {
  snapshot: Uint8Array;
  readonly blocks: Map<number, Block>;
}

export class CodePages {
  readonly #fetch: FetchCode;
  readonly #pages = new Map<number, CodePage>();
  #newBlocks = 0;

  constructor(fetch: FetchCode) {
    this.#fetch = fetch;
  }

  clear(): void {
    this.#pages.clear();
  }

  /** A block is about to run for the first time since its bytes were written. */
  note(block: Block): void {
    this.#newBlocks++;
    for (let page = pageOf(block.start); page < block.end; page += PAGE_SIZE) {
      const known = this.#pages.get(page);
      if (known) known.blocks.set(block.start, block);
      else this.#pages.set(page, { snapshot: this.#read(page), blocks: new Map([[block.start, block]]) });
    }
  }

  /**
   * Whether a new block is one instruction out of a known one: the engine starts again before an instruction that
   * writes to its own block.
   */
  isRestart(start: number, size: number): boolean {
    const page = this.#pages.get(pageOf(start));
    if (!page) return false;
    for (const block of page.blocks.values()) {
      // Where a block that the engine has not announced ends is not known.
      if (block.engineSize === 0 || !isOneInside(block, start, size)) continue;
      if (sameBytes(this.#fetch(block.start, block.bytes.length), block.bytes))
        return this.#stores(start, size);
    }
    return false;
  }

  /** Whether the instruction writes to memory other than the stack: a RET is often jumped to, and writes nothing. */
  #stores(start: number, size: number): boolean {
    const { memory } = decodeInstruction(this.#fetch(start, size).slice(), start, 32, NO_REGISTERS);
    return memory.some(use => use.write && use.segment !== 'ss');
  }

  /** Whether enough new blocks have come for another look. */
  get isDue(): boolean {
    return this.#newBlocks * PAGES_PER_BLOCK >= this.#pages.size;
  }

  /** The blocks whose bytes have changed since they were noted; they are forgotten. */
  takeChanged(): Block[] {
    this.#newBlocks = 0;
    const changed = new Set<Block>();
    for (const [start, page] of this.#pages) {
      const now = this.#read(start);
      if (sameBytes(now, page.snapshot)) continue;
      page.snapshot = now;
      for (const block of page.blocks.values()) {
        if (sameBytes(this.#fetch(block.start, block.bytes.length), block.bytes)) continue;
        changed.add(block);
        page.blocks.delete(block.start);
      }
    }
    return [...changed];
  }

  #read(page: number): Uint8Array {
    return this.#fetch(page, PAGE_SIZE).slice();
  }
}

const pageOf = (address: number): number => address - (address % PAGE_SIZE);
