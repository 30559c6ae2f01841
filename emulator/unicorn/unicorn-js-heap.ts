/** The module's heap, and what has to be read or changed inside the engine's own structs there. */
import type { UnicornModule } from './emscripten.ts';
import { EngineError } from './errors.ts';

/** Inside the structs of this very build (1.0.3, 32-bit pointers); the quirk `block-full` has the test. */
const UC_STRUCT = { cpu: 176, blockFull: 1152 } as const;
const CPU_STATE = { currentTb: 288, exitRequest: 16756, features: 52144 } as const;
const TRANSLATION_BLOCK = { pc: 0, size: 24 } as const;

/**
 * What Unicorn 1.0 makes of its CPU model (x86_reg_reset), and what libunicorn's qemu64 has: CPUID.1:EDX, CPUID.1:ECX,
 * CPUID.7.0:EBX, CPUID.80000001:EDX and :ECX. They decide which instructions are invalid and which EFER bits exist.
 */
const FEATURES_FOUND = [0x07088100, 0x02182200, 0x00180108, 0x88000000, 0x00001031] as const;
const FEATURES_QEMU64 = [0x078bfbfd, 0x80002001, 0, 0x2193fbfd, 0x00000005] as const;

/**
 * The heap's present views. The module itself has hundreds of properties, and looking one up takes as long as all else
 * that is done for a block: so it tells this object when it has made new ones.
 */
export class Heap {
  bytes: Uint8Array;
  words: Uint32Array;

  constructor(module: UnicornModule) {
    this.bytes = module.HEAPU8;
    this.words = module.HEAPU32;
    Object.defineProperty(module, 'HEAPU8', {
      get: () => this.bytes,
      set: (bytes: Uint8Array) => {
        this.bytes = bytes;
      },
    });
    Object.defineProperty(module, 'HEAPU32', {
      get: () => this.words,
      set: (words: Uint32Array) => {
        this.words = words;
      },
    });
  }
}

/** One uc_struct and its CPU, by the offsets of their fields. */
export class EngineStructs {
  readonly #heap: Heap;
  readonly #uc: number;
  readonly #cutBlocks = new Map<number, number>();

  /** @param uc what uc_open gave */
  constructor(heap: Heap, uc: number) {
    this.#heap = heap;
    this.#uc = uc;
  }

  /**
   * Both engines run the same instructions (quirk `cpu-features`).
   *
   * @throws {EngineError} `engine-calibration-failed`
   */
  becomeQemu64(): void {
    const { words } = this.#heap;
    const at = (this.#cpu + CPU_STATE.features) >>> 2;
    if (!FEATURES_FOUND.every((word, i) => words[at + i] === word)) {
      throw new EngineError(
        'engine-calibration-failed',
        'unicorn.js: the CPU features are not where they were.',
      );
    }
    words.set(FEATURES_QEMU64, at);
  }

  /** While it is set, the next block is translated without its hook (quirk `block-full`). */
  clearBlockFull(): void {
    this.#heap.bytes[this.#uc + UC_STRUCT.blockFull] = 0;
  }

  /**
   * uc_emu_start sets EIP, which asks a CPU that ran before to leave the loop: the first block would be announced,
   * left, and announced again (quirk `stale-exit`).
   */
  clearStaleExit(): void {
    this.#heap.words[(this.#cpu + CPU_STATE.exitRequest) >>> 2] = 0;
  }

  /**
   * The hook of a block that was cut reports size 0. The real one stands in the translation block, which is the
   * current one when the block has just been translated; later it may be reached by a direct jump.
   */
  cutBlockSize(address: number): number {
    const { words } = this.#heap;
    const block = words[(this.#cpu + CPU_STATE.currentTb) >>> 2] as number;
    if (words[(block + TRANSLATION_BLOCK.pc) >>> 2] !== address) return this.#cutBlocks.get(address) ?? 0;
    const size = (words[(block + TRANSLATION_BLOCK.size) >>> 2] as number) & 0xffff;
    this.#cutBlocks.set(address, size);
    return size;
  }

  get #cpu(): number {
    return this.#heap.words[(this.#uc + UC_STRUCT.cpu) >>> 2] as number;
  }
}
