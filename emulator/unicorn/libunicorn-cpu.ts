/**
 * One CPU of the native engine. Handles and pointers are plain numbers (uintptr_t, far below 2^53), and registers go
 * through one buffer that lives as long as the CPU: no call allocates.
 */
import type { BlockEdge, ContextBlob, Hook, HostMemory, MemoryAccess, UcError, Unicorn } from './api.ts';
import { CodeLoad } from './code-load.ts';
import {
  CR0_PG,
  PAGE_SIZE,
  REG_CR0,
  REG_EIP,
  REG_MSR,
  UC_ARCH_X86,
  UC_CTL_TB_FLUSH,
  UC_CTL_TB_REMOVE_CACHE,
  UC_CTL_TCG_BUFFER_SIZE,
  UC_CTL_UC_EXITS,
  UC_CTL_UC_USE_EXITS,
  UC_ERR_OK,
  UC_HOOK_BLOCK,
  UC_HOOK_CODE,
  UC_HOOK_EDGE_GENERATED,
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
import { EngineError } from './errors.ts';
import { Handlers } from './handlers.ts';

import { type CallbackTypes, type Functions, type Koffi, low32, type Wide } from './libunicorn-abi.ts';

/** Bytes of translated code, instead of 1 GiB: a flush writes to every page of it. */
const CODE_BUFFER = 32 << 20;

const ADDRESS_SPACE = 2 ** 32;
/** An `until` that no instruction has. */
const NOWHERE = 0xffffffff;

export interface NativeHostMemory extends HostMemory {
  readonly pointer: number;
  readonly buffer: ArrayBuffer | undefined;
}

export class NativeUnicorn implements Unicorn {
  readonly #koffi: Koffi;
  readonly #f: Functions;
  readonly #types: CallbackTypes;
  readonly #uc: number;
  readonly #out = new BigUint64Array(1);
  /** Registers are read and written here; `#words` is a view of the native memory at `#scratch`. */
  readonly #scratch: number;
  readonly #scratchPointer: unknown;
  readonly #words: Uint32Array;
  /** Host memory under the guest: the engine's pointers into it do not keep it alive. */
  readonly #mapped = new Set<ArrayBuffer>();
  readonly #callbacks: Readonly<Record<keyof CallbackTypes, bigint>>;
  readonly #codes = new Handlers<(address: number, size: number) => void>();
  readonly #edges = new Handlers<(current: BlockEdge, previous: BlockEdge) => void>();
  readonly #interrupts = new Handlers<(vector: number) => void>();
  readonly #invalidInstructions = new Handlers<() => boolean>();
  readonly #portReads = new Handlers<(port: number, size: number) => number>();
  readonly #portWrites = new Handlers<(port: number, size: number, value: number) => void>();
  readonly #accesses = new Handlers<(access: MemoryAccess) => void>();
  readonly #invalidAccesses = new Handlers<(access: MemoryAccess) => boolean>();
  #thrown: { readonly error: unknown } | undefined;
  #until = NOWHERE;
  readonly #load = new CodeLoad(CODE_BUFFER);
  #saved: ContextBlob | undefined;
  #closed = false;

  constructor(koffi: Koffi, functions: Functions, types: CallbackTypes) {
    this.#koffi = koffi;
    this.#f = functions;
    this.#types = types;
    this.#check(functions.open(UC_ARCH_X86, UC_MODE_32, this.#out), 'uc_open');
    this.#uc = Number(this.#out[0]);
    this.#scratchPointer = koffi.alloc('uint64_t', 8);
    this.#scratch = Number(koffi.address(this.#scratchPointer));
    this.#words = new Uint32Array(koffi.view(this.#scratchPointer, 64));
    this.#callbacks = this.#registerCallbacks();
    this.#check(
      functions.ctl(this.#uc, UC_CTL_TCG_BUFFER_SIZE, 'uint32_t', CODE_BUFFER),
      'uc_ctl(UC_CTL_TCG_BUFFER_SIZE)',
    );
    // A block that is announced may have been translated anew since the last time: only this hook tells.
    this.onNewBlock(({ size }) => this.#load.translated(size));
    // Exits are asked for and none is given: no `until` of the engine's own.
    this.#check(functions.ctl(this.#uc, UC_CTL_UC_USE_EXITS, 'int', 1), 'uc_ctl(UC_CTL_UC_USE_EXITS)');
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#saved?.free();
    this.#f.close(this.#uc);
    for (const callback of Object.values(this.#callbacks)) this.#koffi.unregister(callback);
    this.#koffi.free(this.#scratchPointer);
    this.#mapped.clear();
  }

  map(address: number, size: number, protection: number, memory: HostMemory, offset: number): void {
    const { pointer, buffer } = memory as NativeHostMemory;
    if (!buffer) throw new EngineError('engine-call-failed', 'libunicorn: this host memory was freed.');
    this.#check(
      this.#f.memMapPtr(this.#uc, address, size, protection, pointer + offset),
      `uc_mem_map_ptr at 0x${address.toString(16)}`,
    );
    this.#mapped.add(buffer);
  }

  protect(address: number, size: number, protection: number): void {
    this.#check(this.#f.memProtect(this.#uc, address, size, protection), 'uc_mem_protect');
  }

  unmap(address: number, size: number): void {
    this.#check(this.#f.memUnmap(this.#uc, address, size), 'uc_mem_unmap');
  }

  readRegister(id: number): number {
    // A segment register writes two bytes only.
    this.#words[0] = 0;
    this.#check(this.#f.regRead(this.#uc, id, this.#scratch), 'uc_reg_read');
    return this.#word(0);
  }

  writeRegister(id: number, value: number): void {
    this.#words[0] = value;
    this.#words[1] = 0;
    this.#check(this.#f.regWrite(this.#uc, id, this.#scratch), `uc_reg_write of register ${id}`);
  }

  readTable(id: number): { selector: number; base: number; limit: number; flags: number } {
    this.#words.fill(0);
    this.#check(this.#f.regRead(this.#uc, id, this.#scratch), 'uc_reg_read');
    return {
      selector: this.#word(0) & 0xffff,
      base: this.#word(2),
      limit: this.#word(4),
      flags: this.#word(5),
    };
  }

  writeTable(id: number, value: { selector: number; base: number; limit: number; flags: number }): void {
    this.#words.fill(0);
    this.#words[0] = value.selector;
    this.#words[2] = value.base;
    this.#words[4] = value.limit;
    this.#words[5] = value.flags;
    this.#check(this.#f.regWrite(this.#uc, id, this.#scratch), `uc_reg_write of register ${id}`);
  }

  readMsr(index: number): bigint {
    this.#words.fill(0);
    this.#words[0] = index;
    this.#check(this.#f.regRead(this.#uc, REG_MSR, this.#scratch), 'uc_reg_read');
    return (BigInt(this.#word(3)) << 32n) | BigInt(this.#word(2));
  }

  writeMsr(index: number, value: bigint): void {
    this.#words.fill(0);
    this.#words[0] = index;
    this.#words[2] = Number(value & 0xffffffffn);
    this.#words[3] = Number(value >> 32n);
    this.#check(this.#f.regWrite(this.#uc, REG_MSR, this.#scratch), 'uc_reg_write');
  }

  /**
   * uc_emu_start's own `until` is not exact (quirk `native-until`), so it is a code hook for the length of this run.
   */
  start(begin: number, until: number, timeoutMicroseconds: number, codeBase = 0): UcError {
    this.#thrown = undefined;
    if (until === NOWHERE) return this.#run(begin, timeoutMicroseconds);
    const linear = (codeBase + begin) >>> 0;
    if (linear === until) {
      this.writeRegister(REG_EIP, begin);
      return UC_ERR_OK;
    }
    const hook = this.onCode(until, until, () => {});
    this.dropTranslated(until, until + 1);
    this.#until = until;
    // When the run is over the engine fetches from the byte before an exit: it has to be where the run begins.
    const exits = Math.floor((until - 1) / PAGE_SIZE) === Math.floor(linear / PAGE_SIZE);
    if (exits) this.#setExits(until);
    try {
      return this.#run(begin, timeoutMicroseconds);
    } finally {
      this.#until = NOWHERE;
      hook.remove();
      if (exits) this.#setExits();
      // With what was translated up to the exit: it would end other runs.
      this.dropTranslated(exits ? until - 1 : until, until + 1);
    }
  }

  /** Translation does not go past an exit: what follows may be a page that cannot be fetched from. */
  #setExits(exit?: number): void {
    this.#words[0] = exit ?? 0;
    this.#words[1] = 0;
    this.#check(
      this.#f.ctl(
        this.#uc,
        UC_CTL_UC_EXITS,
        'uintptr_t',
        this.#scratch,
        'size_t',
        exit === undefined ? 0 : 1,
      ),
      'uc_ctl(UC_CTL_UC_EXITS)',
    );
  }

  #run(begin: number, timeoutMicroseconds: number): UcError {
    this.#load.started();
    const error = this.#f.emuStart(this.#uc, begin, NOWHERE, timeoutMicroseconds, 0);
    // A callback may have set it meanwhile.
    const thrown = this.#thrown as { readonly error: unknown } | undefined;
    if (thrown) throw thrown.error;
    return error;
  }

  stop(): void {
    this.#f.emuStop(this.#uc);
  }

  onBlock(callback: (address: number, size: number) => void): Hook {
    return this.#addHook(UC_HOOK_BLOCK, 'code', this.#codes, callback, 1, 0);
  }

  onCode(begin: number, end: number, callback: (address: number) => void): Hook {
    return this.#addHook(UC_HOOK_CODE, 'code', this.#codes, callback, begin, end);
  }

  onNewBlock(callback: (current: BlockEdge, previous: BlockEdge) => void): Hook {
    return this.#addHook(UC_HOOK_EDGE_GENERATED, 'edge', this.#edges, callback, 1, 0);
  }

  onInterrupt(callback: (vector: number) => void): Hook {
    return this.#addHook(UC_HOOK_INTR, 'interrupt', this.#interrupts, callback, 1, 0);
  }

  onInvalidInstruction(callback: () => boolean): Hook {
    return this.#addHook(
      UC_HOOK_INSN_INVALID,
      'invalidInstruction',
      this.#invalidInstructions,
      callback,
      1,
      0,
    );
  }

  onPortRead(callback: (port: number, size: number) => number): Hook {
    return this.#addHook(UC_HOOK_INSN, 'in', this.#portReads, callback, 1, 0, 'int', UC_X86_INS_IN);
  }

  onPortWrite(callback: (port: number, size: number, value: number) => void): Hook {
    return this.#addHook(UC_HOOK_INSN, 'out', this.#portWrites, callback, 1, 0, 'int', UC_X86_INS_OUT);
  }

  onInvalidMemory(callback: (access: MemoryAccess) => boolean): Hook {
    return this.#addHook(UC_HOOK_MEM_INVALID, 'invalidAccess', this.#invalidAccesses, callback, 1, 0);
  }

  onMemoryRead(begin: number, end: number, callback: (access: MemoryAccess) => void): Hook {
    return this.#addHook(UC_HOOK_MEM_READ, 'access', this.#accesses, callback, begin, end);
  }

  onMemoryWrite(begin: number, end: number, callback: (access: MemoryAccess) => void): Hook {
    return this.#addHook(UC_HOOK_MEM_WRITE, 'access', this.#accesses, callback, begin, end);
  }

  /**
   * UC_CTL_TB_REMOVE_CACHE goes from the physical page of `begin`, and silently does nothing where that page cannot
   * be fetched from: each page is asked for by itself, and all of memory is a flush.
   */
  dropTranslated(begin: number, end: number): void {
    if (begin === 0 && end >= ADDRESS_SPACE) {
      this.#flush();
      return;
    }
    this.#guarded(() => {
      for (let from = begin; from < end; ) {
        const to = Math.min(end, (Math.floor(from / PAGE_SIZE) + 1) * PAGE_SIZE);
        this.#check(
          this.#f.ctl(this.#uc, UC_CTL_TB_REMOVE_CACHE, 'uint64_t', from, 'uint64_t', to),
          'uc_ctl(UC_CTL_TB_REMOVE_CACHE)',
        );
        from = to;
      }
    });
  }

  get codeBufferIsHigh(): boolean {
    return this.#load.isHigh;
  }

  #flush(): void {
    this.#check(this.#f.ctl(this.#uc, UC_CTL_TB_FLUSH), 'uc_ctl(UC_CTL_TB_FLUSH)');
    this.#load.flushed();
  }

  /**
   * Where translated code is dropped, the engine fetches from the guest's linear address; a page that is not mapped
   * leaves its fault in CR2 and in the latch for double faults (quirk `native-drop-faults`).
   */
  #guarded(action: () => void): void {
    if ((this.readRegister(REG_CR0) & CR0_PG) === 0) {
      action();
      return;
    }
    this.#saved ??= this.contextAlloc();
    this.#saved.save();
    action();
    this.#saved.restore();
  }

  contextAlloc(): ContextBlob {
    this.#check(this.#f.contextAlloc(this.#uc, this.#out), 'uc_context_alloc');
    const pointer = Number(this.#out[0]);
    const bytes = new Uint8Array(this.#koffi.view(this.#out[0], this.#f.contextSize(this.#uc)));
    return {
      bytes: () => bytes,
      save: () => this.#check(this.#f.contextSave(this.#uc, pointer), 'uc_context_save'),
      restore: () => this.#check(this.#f.contextRestore(this.#uc, pointer), 'uc_context_restore'),
      free: () => this.#check(this.#f.contextFree(pointer), 'uc_context_free'),
    };
  }

  #word(index: number): number {
    return this.#words[index] as number;
  }

  #check(error: UcError, call: string): void {
    if (error !== UC_ERR_OK) {
      throw new EngineError('engine-call-failed', `libunicorn: ${call} failed with error ${error}.`);
    }
  }

  /** struct uc_tb: u64 pc, u16 icount, u16 size; null before the first block. */
  #edge(pointer: number): BlockEdge {
    if (pointer === 0) return { pc: 0, instructions: 0, size: 0 };
    const counts = this.#koffi.decode.uint32(pointer + 8);
    return { pc: this.#koffi.decode.uint32(pointer), instructions: counts & 0xffff, size: counts >>> 16 };
  }

  /** All at once, because koffi.register inside a callback breaks that callback's later calls. */
  #registerCallbacks(): Readonly<Record<keyof CallbackTypes, bigint>> {
    const register = (kind: keyof CallbackTypes, callback: (...args: never[]) => unknown): bigint =>
      this.#koffi.register(callback, this.#types[kind]);
    /** An error must not travel through the engine: it ends the run, and is thrown when the run is over. */
    const guarded =
      <A extends unknown[], R>(handle: (...args: A) => R, failed: R) =>
      (...args: A): R => {
        try {
          return handle(...args);
        } catch (error) {
          this.#thrown ??= { error };
          this.stop();
          return failed;
        }
      };
    return {
      code: register('code', (_uc: number, address: number, size: number, user: number) => {
        // Its block hook comes first: nobody is told of a block that does not run.
        if (address === this.#until) {
          this.stop();
          return;
        }
        try {
          this.#codes.get(user)?.(address, size);
        } catch (error) {
          this.#thrown ??= { error };
          this.stop();
        }
      }),
      edge: register(
        'edge',
        guarded((_uc: number, current: number, previous: number, user: number) => {
          this.#edges.get(user)?.(this.#edge(current), this.#edge(previous));
        }, undefined),
      ),
      interrupt: register(
        'interrupt',
        guarded((_uc: number, vector: number, user: number) => {
          this.#interrupts.get(user)?.(vector);
        }, undefined),
      ),
      invalidInstruction: register(
        'invalidInstruction',
        guarded((_uc: number, user: number) => this.#invalidInstructions.get(user)?.() ?? false, false),
      ),
      in: register(
        'in',
        guarded(
          (_uc: number, port: number, size: number, user: number) =>
            (this.#portReads.get(user)?.(port, size) ?? 0) >>> 0,
          0,
        ),
      ),
      out: register(
        'out',
        guarded((_uc: number, port: number, size: number, value: number, user: number) => {
          this.#portWrites.get(user)?.(port, size, value);
        }, undefined),
      ),
      access: register(
        'access',
        guarded((_uc: number, type: number, address: Wide, size: number, value: Wide, user: number) => {
          this.#accesses.get(user)?.({ type, address: low32(address), size, value: low32(value) });
        }, undefined),
      ),
      invalidAccess: register(
        'invalidAccess',
        guarded((_uc: number, type: number, address: Wide, size: number, value: Wide, user: number) => {
          const access = { type, address: low32(address), size, value: low32(value) };
          return this.#invalidAccesses.get(user)?.(access) ?? false;
        }, false),
      ),
    };
  }

  #addHook<F extends (...args: never[]) => unknown>(
    type: number,
    kind: keyof CallbackTypes,
    handlers: Handlers<F>,
    handler: F,
    begin: number,
    end: number,
    ...variadic: (string | number)[]
  ): Hook {
    const index = handlers.add(handler);
    this.#check(
      this.#f.hookAdd(this.#uc, this.#out, type, this.#callbacks[kind], index, begin, end, ...variadic),
      'uc_hook_add',
    );
    const hook = Number(this.#out[0]);
    let removed = false;
    return {
      remove: () => {
        if (removed) return;
        removed = true;
        handlers.remove(index);
        if (this.#closed) return;
        this.#guarded(() => this.#check(this.#f.hookDel(this.#uc, hook), 'uc_hook_del'));
      },
    };
  }
}
