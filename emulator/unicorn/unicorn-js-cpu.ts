/** One CPU of the embedded engine. Its C functions take pointers into the module's heap. */
import type { BlockEdge, ContextBlob, Hook, HostMemory, MemoryAccess, UcError, Unicorn } from './api.ts';
import {
  MMR_SIZE,
  PAGE_SIZE,
  REG_MSR,
  UC_ARCH_X86,
  UC_ERR_OK,
  UC_HOOK_BLOCK,
  UC_HOOK_INSN,
  UC_HOOK_INSN_INVALID,
  UC_HOOK_INTR,
  UC_HOOK_MEM_INVALID,
  UC_HOOK_MEM_READ,
  UC_HOOK_MEM_WRITE,
  UC_MODE_32,
  UC_X86_INS_IN,
  UC_X86_INS_OUT,
} from './constants.ts';
import type { UnicornModule } from './emscripten.ts';
import { EngineError } from './errors.ts';
import { Handlers } from './handlers.ts';

/** Enough for a pointer, a register, a uc_x86_mmr or a uc_x86_msr. */
const SCRATCH_SIZE = 64;
/** A run with a time limit looks at the clock once in so many blocks. */
const BLOCKS_PER_CLOCK_READ = 512;
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

type Callback = (...args: never[]) => number | undefined;

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

export interface JsHostMemory extends HostMemory {
  readonly pointer: number;
}

interface MappedRange {
  readonly address: number;
  readonly size: number;
  readonly pointer: number;
}

export class UnicornJs implements Unicorn {
  readonly #module: UnicornModule;
  readonly #heap: Heap;
  readonly #uc: number;
  readonly #scratch: number;
  #mapped: MappedRange[] = [];
  /** One C function pointer per kind of hook, made when first needed. */
  readonly #functions = new Map<string, number>();
  readonly #blocks = new Handlers<(address: number, size: number) => void>();
  readonly #interrupts = new Handlers<(vector: number) => void>();
  readonly #invalidInstructions = new Handlers<() => boolean>();
  readonly #portReads = new Handlers<(port: number, size: number) => number>();
  readonly #portWrites = new Handlers<(port: number, size: number, value: number) => void>();
  readonly #invalidAccesses = new Handlers<(access: MemoryAccess) => boolean>();
  readonly #accesses = new Handlers<(access: MemoryAccess) => void>();
  #thrown: { readonly error: unknown } | undefined;
  readonly #cutBlocks = new Map<number, number>();
  /** In a run, and neither a block has been seen nor a stop been asked for. */
  #fresh = false;
  #deadline = Infinity;
  #blocksToClock = BLOCKS_PER_CLOCK_READ;
  #closed = false;

  constructor(module: UnicornModule, heap: Heap) {
    this.#module = module;
    this.#heap = heap;
    this.#scratch = module._malloc(SCRATCH_SIZE);
    this.#check(module._uc_open(UC_ARCH_X86, UC_MODE_32, this.#scratch), 'uc_open');
    this.#uc = this.#scratchWord(0);
    this.#becomeQemu64();
  }

  /** Both engines run the same instructions (quirk `cpu-features`). */
  #becomeQemu64(): void {
    const words = this.#heap.words;
    const cpu = words[(this.#uc + UC_STRUCT.cpu) >>> 2] as number;
    const at = (cpu + CPU_STATE.features) >>> 2;
    if (!FEATURES_FOUND.every((word, i) => words[at + i] === word)) {
      throw new EngineError(
        'engine-calibration-failed',
        'unicorn.js: the CPU features are not where they were.',
      );
    }
    words.set(FEATURES_QEMU64, at);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#module._uc_close(this.#uc);
    this.#module._free(this.#scratch);
    for (const pointer of this.#functions.values()) this.#module.removeFunction(pointer);
  }

  map(address: number, size: number, protection: number, memory: HostMemory, offset: number): void {
    const pointer = (memory as JsHostMemory).pointer + offset;
    this.#check(
      this.#module._uc_mem_map_ptr(this.#uc, address, 0, size, protection, pointer),
      `uc_mem_map_ptr at 0x${address.toString(16)}`,
    );
    this.#mapped.push({ address, size, pointer });
    if (address === 0) this.#wrap(pointer, protection);
  }

  /**
   * An access that crosses 4 GiB goes on at 0, and the engine looks for a mapping above 4 GiB before it lets it (quirk
   * `no-wrap`).
   */
  #wrap(pointer: number, protection: number): void {
    this.#check(
      this.#module._uc_mem_map_ptr(this.#uc, 0, 1, PAGE_SIZE, protection, pointer),
      'uc_mem_map_ptr at 4 GiB',
    );
  }

  protect(address: number, size: number, protection: number): void {
    this.#check(this.#module._uc_mem_protect(this.#uc, address, 0, size, protection), 'uc_mem_protect');
    if (address === 0) {
      this.#check(this.#module._uc_mem_protect(this.#uc, 0, 1, PAGE_SIZE, protection), 'uc_mem_protect');
    }
  }

  unmap(address: number, size: number): void {
    this.#check(this.#module._uc_mem_unmap(this.#uc, address, 0, size), 'uc_mem_unmap');
    if (address === 0) this.#check(this.#module._uc_mem_unmap(this.#uc, 0, 1, PAGE_SIZE), 'uc_mem_unmap');
    const end = address + size;
    this.#mapped = this.#mapped.flatMap(range => {
      const rangeEnd = range.address + range.size;
      if (rangeEnd <= address || range.address >= end) return [range];
      const rest: MappedRange[] = [];
      if (range.address < address) rest.push({ ...range, size: address - range.address });
      if (rangeEnd > end) {
        rest.push({ address: end, size: rangeEnd - end, pointer: range.pointer + (end - range.address) });
      }
      return rest;
    });
  }

  readRegister(id: number): number {
    // A segment register writes two bytes only.
    this.#heap.words[this.#scratch >>> 2] = 0;
    this.#check(this.#module._uc_reg_read(this.#uc, id, this.#scratch), 'uc_reg_read');
    return this.#scratchWord(0);
  }

  writeRegister(id: number, value: number): void {
    const words = this.#heap.words;
    words[this.#scratch >>> 2] = value;
    words[(this.#scratch >>> 2) + 1] = 0;
    this.#check(this.#module._uc_reg_write(this.#uc, id, this.#scratch), `uc_reg_write of register ${id}`);
  }

  readTable(id: number): { selector: number; base: number; limit: number; flags: number } {
    this.#heap.bytes.fill(0, this.#scratch, this.#scratch + MMR_SIZE);
    this.#check(this.#module._uc_reg_read(this.#uc, id, this.#scratch), 'uc_reg_read');
    return {
      selector: this.#scratchWord(0) & 0xffff,
      base: this.#scratchWord(2),
      limit: this.#scratchWord(4),
      flags: this.#scratchWord(5),
    };
  }

  writeTable(id: number, value: { selector: number; base: number; limit: number; flags: number }): void {
    const words = this.#heap.words;
    const at = this.#scratch >>> 2;
    words[at] = value.selector;
    words[at + 1] = 0;
    words[at + 2] = value.base;
    words[at + 3] = 0;
    words[at + 4] = value.limit;
    words[at + 5] = value.flags;
    this.#check(this.#module._uc_reg_write(this.#uc, id, this.#scratch), `uc_reg_write of register ${id}`);
  }

  readMsr(index: number): bigint {
    const words = this.#heap.words;
    words.fill(0, this.#scratch >>> 2, (this.#scratch >>> 2) + 4);
    words[this.#scratch >>> 2] = index;
    this.#check(this.#module._uc_reg_read(this.#uc, REG_MSR, this.#scratch), 'uc_reg_read');
    return (BigInt(this.#scratchWord(3)) << 32n) | BigInt(this.#scratchWord(2));
  }

  writeMsr(index: number, value: bigint): void {
    const words = this.#heap.words;
    const at = this.#scratch >>> 2;
    words[at] = index;
    words[at + 1] = 0;
    words[at + 2] = Number(value & 0xffffffffn);
    words[at + 3] = Number(value >> 32n);
    this.#check(this.#module._uc_reg_write(this.#uc, REG_MSR, this.#scratch), 'uc_reg_write');
  }

  /** The time limit is kept by the block hook: without one, a run ends by itself only. */
  start(begin: number, until: number, timeoutMicroseconds: number): UcError {
    this.#thrown = undefined;
    this.#deadline = timeoutMicroseconds > 0 ? performance.now() + timeoutMicroseconds / 1000 : Infinity;
    this.#blocksToClock = BLOCKS_PER_CLOCK_READ;
    this.#clearBlockFull();
    this.#fresh = true;
    const error = this.#module._uc_emu_start(this.#uc, begin, 0, until, 0, 0, 0, 0);
    this.#rethrow();
    return error;
  }

  stop(): void {
    this.#fresh = false;
    this.#module._uc_emu_stop(this.#uc);
  }

  onBlock(callback: (address: number, size: number) => void): Hook {
    const pointer = this.#function(
      'block',
      'viiiii',
      (_uc, low: number, _high, size: number, user: number) => {
        this.#clearBlockFull();
        if (this.#fresh) this.#clearStaleExit();
        if (--this.#blocksToClock === 0) this.#readClock();
        try {
          const address = low >>> 0;
          this.#blocks.get(user)?.(address, size === 0 ? this.#cutBlockSize(address) : size);
        } catch (error) {
          this.#catch(error);
        }
        return undefined;
      },
    );
    return this.#addHook(UC_HOOK_BLOCK, pointer, this.#blocks, callback, 1, 0, 0);
  }

  onCode(_begin: number, _end: number, _callback: (address: number) => void): Hook {
    throw new EngineError('engine-unsupported', 'unicorn.js has no exact code hook.');
  }

  onNewBlock(_callback: (current: BlockEdge, previous: BlockEdge) => void): Hook {
    throw new EngineError('engine-unsupported', 'unicorn.js has no hook for new blocks.');
  }

  onInterrupt(callback: (vector: number) => void): Hook {
    const pointer = this.#function('interrupt', 'viii', (_uc, vector: number, user: number) => {
      try {
        this.#interrupts.get(user)?.(vector);
      } catch (error) {
        this.#catch(error);
      }
      return undefined;
    });
    return this.#addHook(UC_HOOK_INTR, pointer, this.#interrupts, callback, 1, 0, 0);
  }

  onInvalidInstruction(callback: () => boolean): Hook {
    const pointer = this.#function('invalid-instruction', 'iii', (_uc, user: number) => {
      try {
        return this.#invalidInstructions.get(user)?.() ? 1 : 0;
      } catch (error) {
        this.#catch(error);
        return 0;
      }
    });
    return this.#addHook(UC_HOOK_INSN_INVALID, pointer, this.#invalidInstructions, callback, 1, 0, 0);
  }

  onPortRead(callback: (port: number, size: number) => number): Hook {
    const pointer = this.#function('in', 'iiiii', (_uc, port: number, size: number, user: number) => {
      try {
        return this.#portReads.get(user)?.(port >>> 0, size) ?? 0;
      } catch (error) {
        this.#catch(error);
        return 0;
      }
    });
    return this.#addHook(UC_HOOK_INSN, pointer, this.#portReads, callback, 1, 0, UC_X86_INS_IN);
  }

  onPortWrite(callback: (port: number, size: number, value: number) => void): Hook {
    const pointer = this.#function(
      'out',
      'viiiii',
      (_uc, port: number, size: number, value: number, user: number) => {
        try {
          this.#portWrites.get(user)?.(port >>> 0, size, value >>> 0);
        } catch (error) {
          this.#catch(error);
        }
        return undefined;
      },
    );
    return this.#addHook(UC_HOOK_INSN, pointer, this.#portWrites, callback, 1, 0, UC_X86_INS_OUT);
  }

  onInvalidMemory(callback: (access: MemoryAccess) => boolean): Hook {
    const pointer = this.#function(
      'invalid-memory',
      'iiiiiiiii',
      (_uc, type: number, low: number, _high, size: number, value: number, _valueHigh, user: number) => {
        try {
          const access = { type, address: low >>> 0, size, value: value >>> 0 };
          return this.#invalidAccesses.get(user)?.(access) ? 1 : 0;
        } catch (error) {
          this.#catch(error);
          return 0;
        }
      },
    );
    return this.#addHook(UC_HOOK_MEM_INVALID, pointer, this.#invalidAccesses, callback, 1, 0, 0);
  }

  onMemoryRead(begin: number, end: number, callback: (access: MemoryAccess) => void): Hook {
    return this.#addHook(UC_HOOK_MEM_READ, this.#accessFunction(), this.#accesses, callback, begin, end, 0);
  }

  onMemoryWrite(begin: number, end: number, callback: (access: MemoryAccess) => void): Hook {
    return this.#addHook(UC_HOOK_MEM_WRITE, this.#accessFunction(), this.#accesses, callback, begin, end, 0);
  }

  /** It flushes by itself. */
  readonly codeBufferIsHigh = false;

  /** Writing the same bytes drops the code translated from them. */
  dropTranslated(begin: number, end: number): void {
    for (const range of this.#mapped) {
      const from = Math.max(begin, range.address);
      const to = Math.min(end, range.address + range.size);
      if (from >= to) continue;
      const pointer = range.pointer + (from - range.address);
      this.#check(this.#module._uc_mem_write(this.#uc, from, 0, pointer, to - from), 'uc_mem_write');
    }
  }

  contextAlloc(): ContextBlob {
    this.#check(this.#module._uc_context_alloc(this.#uc, this.#scratch), 'uc_context_alloc');
    const pointer = this.#scratchWord(0);
    // struct uc_context of 1.0.3: size_t size, then the bytes of CPUX86State up to its TLB.
    const size = 4 + (this.#heap.words[pointer >>> 2] as number);
    return {
      bytes: () => this.#heap.bytes.subarray(pointer, pointer + size),
      save: () => this.#check(this.#module._uc_context_save(this.#uc, pointer), 'uc_context_save'),
      restore: () => this.#check(this.#module._uc_context_restore(this.#uc, pointer), 'uc_context_restore'),
      free: () => {
        this.#module._uc_free(pointer);
      },
    };
  }

  #scratchWord(index: number): number {
    return this.#heap.words[(this.#scratch >>> 2) + index] as number;
  }

  #check(error: UcError, call: string): void {
    if (error !== UC_ERR_OK) {
      throw new EngineError('engine-call-failed', `unicorn.js: ${call} failed with error ${error}.`);
    }
  }

  /** While it is set, the next block is translated without its hook (quirk `block-full`). */
  #clearBlockFull(): void {
    this.#heap.bytes[this.#uc + UC_STRUCT.blockFull] = 0;
  }

  /**
   * uc_emu_start sets EIP, which asks a CPU that ran before to leave the loop: the first block would be announced,
   * left, and announced again (quirk `stale-exit`).
   */
  #clearStaleExit(): void {
    this.#fresh = false;
    const words = this.#heap.words;
    const cpu = words[(this.#uc + UC_STRUCT.cpu) >>> 2] as number;
    words[(cpu + CPU_STATE.exitRequest) >>> 2] = 0;
  }

  /**
   * The hook of a block that was cut reports size 0. The real one stands in the translation block, which is the
   * current one when the block has just been translated; later it may be reached by a direct jump.
   */
  #cutBlockSize(address: number): number {
    const words = this.#heap.words;
    const cpu = words[(this.#uc + UC_STRUCT.cpu) >>> 2] as number;
    const block = words[(cpu + CPU_STATE.currentTb) >>> 2] as number;
    if (words[(block + TRANSLATION_BLOCK.pc) >>> 2] !== address) return this.#cutBlocks.get(address) ?? 0;
    const size = (words[(block + TRANSLATION_BLOCK.size) >>> 2] as number) & 0xffff;
    this.#cutBlocks.set(address, size);
    return size;
  }

  #readClock(): void {
    this.#blocksToClock = BLOCKS_PER_CLOCK_READ;
    if (performance.now() >= this.#deadline) this.stop();
  }

  #catch(error: unknown): void {
    this.#thrown ??= { error };
    this.stop();
  }

  #rethrow(): void {
    if (this.#thrown) throw this.#thrown.error;
  }

  #function(name: string, signature: string, callback: Callback): number {
    let pointer = this.#functions.get(name);
    if (pointer === undefined) {
      pointer = this.#module.addFunction(callback, signature);
      this.#functions.set(name, pointer);
    }
    return pointer;
  }

  #accessFunction(): number {
    return this.#function(
      'access',
      'viiiiiiii',
      (_uc, type: number, low: number, _high, size: number, value: number, _valueHigh, user: number) => {
        try {
          this.#accesses.get(user)?.({ type, address: low >>> 0, size, value: value >>> 0 });
        } catch (error) {
          this.#catch(error);
        }
        return undefined;
      },
    );
  }

  #addHook<F extends (...args: never[]) => unknown>(
    type: number,
    pointer: number,
    handlers: Handlers<F>,
    handler: F,
    begin: number,
    end: number,
    instruction: number,
  ): Hook {
    const index = handlers.add(handler);
    this.#check(
      this.#module._uc_hook_add(this.#uc, this.#scratch, type, pointer, index, begin, 0, end, 0, instruction),
      'uc_hook_add',
    );
    const hook = this.#scratchWord(0);
    let removed = false;
    return {
      remove: () => {
        if (removed) return;
        removed = true;
        handlers.remove(index);
        if (!this.#closed) this.#check(this.#module._uc_hook_del(this.#uc, hook), 'uc_hook_del');
      },
    };
  }
}
