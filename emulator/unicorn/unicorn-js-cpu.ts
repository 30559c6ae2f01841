/** One CPU of the embedded engine. Its C functions take pointers into the module's heap. */
import type { BlockEdge, ContextBlob, Hook, HostMemory, MemoryAccess, UcError, Unicorn } from './api.ts';
import {
  PAGE_SIZE,
  UC_ARCH_X86,
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
import type { EmscriptenCallback, UnicornModule } from './emscripten.ts';
import { checkedBy, EngineError } from './errors.ts';
import { CallbackErrors, Handlers } from './handlers.ts';
import { REGISTER_BUFFER_SIZE, RegisterBuffer, type TableValue } from './register-buffer.ts';
import { EngineStructs, type Heap } from './unicorn-js-heap.ts';

const check = checkedBy('unicorn.js');

/** A run with a time limit looks at the clock once in so many blocks. */
const BLOCKS_PER_CLOCK_READ = 512;

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
  readonly #structs: EngineStructs;
  readonly #registers: RegisterBuffer;
  /** Where the engine writes its results; registers go through it too. */
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
  readonly #errors = new CallbackErrors(() => this.stop());
  /** In a run, and neither a block has been seen nor a stop been asked for. */
  #fresh = false;
  #deadline = Infinity;
  #blocksToClock = BLOCKS_PER_CLOCK_READ;
  #closed = false;

  constructor(module: UnicornModule, heap: Heap) {
    this.#module = module;
    this.#heap = heap;
    const scratch = module._malloc(REGISTER_BUFFER_SIZE);
    this.#scratch = scratch;
    check(module._uc_open(UC_ARCH_X86, UC_MODE_32, scratch), 'uc_open');
    const uc = this.#scratchWord();
    this.#uc = uc;
    this.#registers = new RegisterBuffer({
      words: () => heap.words,
      first: scratch >>> 2,
      read: id => module._uc_reg_read(uc, id, scratch),
      write: id => module._uc_reg_write(uc, id, scratch),
      check,
    });
    this.#structs = new EngineStructs(heap, uc);
    this.#structs.becomeQemu64();
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
    check(
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
    check(
      this.#module._uc_mem_map_ptr(this.#uc, 0, 1, PAGE_SIZE, protection, pointer),
      'uc_mem_map_ptr at 4 GiB',
    );
  }

  protect(address: number, size: number, protection: number): void {
    check(this.#module._uc_mem_protect(this.#uc, address, 0, size, protection), 'uc_mem_protect');
    if (address === 0) {
      check(this.#module._uc_mem_protect(this.#uc, 0, 1, PAGE_SIZE, protection), 'uc_mem_protect');
    }
  }

  unmap(address: number, size: number): void {
    check(this.#module._uc_mem_unmap(this.#uc, address, 0, size), 'uc_mem_unmap');
    if (address === 0) check(this.#module._uc_mem_unmap(this.#uc, 0, 1, PAGE_SIZE), 'uc_mem_unmap');
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
    return this.#registers.read(id);
  }

  writeRegister(id: number, value: number): void {
    this.#registers.write(id, value);
  }

  readTable(id: number): TableValue {
    return this.#registers.readTable(id);
  }

  writeTable(id: number, value: TableValue): void {
    this.#registers.writeTable(id, value);
  }

  readMsr(index: number): bigint {
    return this.#registers.readMsr(index);
  }

  writeMsr(index: number, value: bigint): void {
    this.#registers.writeMsr(index, value);
  }

  /** The time limit is kept by the block hook: without one, a run ends by itself only. */
  start(begin: number, until: number, timeoutMicroseconds: number): UcError {
    this.#errors.clear();
    this.#deadline = timeoutMicroseconds > 0 ? performance.now() + timeoutMicroseconds / 1000 : Infinity;
    this.#blocksToClock = BLOCKS_PER_CLOCK_READ;
    this.#structs.clearBlockFull();
    this.#fresh = true;
    const error = this.#module._uc_emu_start(this.#uc, begin, 0, until, 0, 0, 0, 0);
    this.#errors.rethrow();
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
        this.#structs.clearBlockFull();
        if (this.#fresh) this.#structs.clearStaleExit();
        this.#fresh = false;
        if (--this.#blocksToClock === 0) this.#readClock();
        const address = low >>> 0;
        this.#blocks.get(user)?.(address, size === 0 ? this.#structs.cutBlockSize(address) : size);
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
      this.#interrupts.get(user)?.(vector);
      return undefined;
    });
    return this.#addHook(UC_HOOK_INTR, pointer, this.#interrupts, callback, 1, 0, 0);
  }

  onInvalidInstruction(callback: () => boolean): Hook {
    const pointer = this.#function('invalid-instruction', 'iii', (_uc, user: number) => {
      return this.#invalidInstructions.get(user)?.() ? 1 : 0;
    });
    return this.#addHook(UC_HOOK_INSN_INVALID, pointer, this.#invalidInstructions, callback, 1, 0, 0);
  }

  onPortRead(callback: (port: number, size: number) => number): Hook {
    const pointer = this.#function('in', 'iiiii', (_uc, port: number, size: number, user: number) => {
      return this.#portReads.get(user)?.(port >>> 0, size) ?? 0;
    });
    return this.#addHook(UC_HOOK_INSN, pointer, this.#portReads, callback, 1, 0, UC_X86_INS_IN);
  }

  onPortWrite(callback: (port: number, size: number, value: number) => void): Hook {
    const pointer = this.#function(
      'out',
      'viiiii',
      (_uc, port: number, size: number, value: number, user: number) => {
        this.#portWrites.get(user)?.(port >>> 0, size, value >>> 0);
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
        const access = { type, address: low >>> 0, size, value: value >>> 0 };
        return this.#invalidAccesses.get(user)?.(access) ? 1 : 0;
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
      check(this.#module._uc_mem_write(this.#uc, from, 0, pointer, to - from), 'uc_mem_write');
    }
  }

  contextAlloc(): ContextBlob {
    check(this.#module._uc_context_alloc(this.#uc, this.#scratch), 'uc_context_alloc');
    const pointer = this.#scratchWord();
    // struct uc_context of 1.0.3: size_t size, then the bytes of CPUX86State up to its TLB.
    const size = 4 + (this.#heap.words[pointer >>> 2] as number);
    return {
      bytes: () => this.#heap.bytes.subarray(pointer, pointer + size),
      save: () => check(this.#module._uc_context_save(this.#uc, pointer), 'uc_context_save'),
      restore: () => check(this.#module._uc_context_restore(this.#uc, pointer), 'uc_context_restore'),
      free: () => {
        this.#module._uc_free(pointer);
      },
    };
  }

  #scratchWord(): number {
    return this.#heap.words[this.#scratch >>> 2] as number;
  }

  #readClock(): void {
    this.#blocksToClock = BLOCKS_PER_CLOCK_READ;
    if (performance.now() >= this.#deadline) this.stop();
  }

  /** @param signature its result is void, or 0 where the callback throws */
  #function(name: string, signature: string, callback: EmscriptenCallback): number {
    let pointer = this.#functions.get(name);
    if (pointer === undefined) {
      const failed = signature.startsWith('v') ? undefined : 0;
      pointer = this.#module.addFunction(this.#errors.guarded(callback, failed), signature);
      this.#functions.set(name, pointer);
    }
    return pointer;
  }

  #accessFunction(): number {
    return this.#function(
      'access',
      'viiiiiiii',
      (_uc, type: number, low: number, _high, size: number, value: number, _valueHigh, user: number) => {
        this.#accesses.get(user)?.({ type, address: low >>> 0, size, value: value >>> 0 });
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
    check(
      this.#module._uc_hook_add(this.#uc, this.#scratch, type, pointer, index, begin, 0, end, 0, instruction),
      'uc_hook_add',
    );
    const hook = this.#scratchWord();
    let removed = false;
    return {
      remove: () => {
        if (removed) return;
        removed = true;
        handlers.remove(index);
        if (!this.#closed) check(this.#module._uc_hook_del(this.#uc, hook), 'uc_hook_del');
      },
    };
  }
}
