/**
 * One CPU of the native engine. Handles and pointers are plain numbers (uintptr_t, far below 2^53), and registers go
 * through one buffer that lives as long as the CPU: no call allocates.
 */
import { CR0_PG } from '../control-bits.ts';
import type { BlockEdge, ContextBlob, Hook, HostMemory, MemoryAccess, UcError, Unicorn } from './api.ts';
import { CodeLoad } from './code-load.ts';
import {
  PAGE_SIZE,
  REG_CR0,
  REG_EIP,
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
import { checkedBy, EngineError } from './errors.ts';
import type { Handlers } from './handlers.ts';
import type { CallbackTypes, Functions, Koffi } from './libunicorn-abi.ts';
import { NativeCallbacks, NOWHERE } from './libunicorn-callbacks.ts';
import { REGISTER_BUFFER_SIZE, RegisterBuffer, type TableValue } from './register-buffer.ts';

const check = checkedBy('libunicorn');

/** Bytes of translated code, instead of 1 GiB: a flush writes to every page of it. */
const CODE_BUFFER = 32 << 20;

const ADDRESS_SPACE = 2 ** 32;

export interface NativeHostMemory extends HostMemory {
  readonly pointer: number;
  readonly buffer: ArrayBuffer | undefined;
}

export class NativeUnicorn implements Unicorn {
  readonly #koffi: Koffi;
  readonly #f: Functions;
  readonly #uc: number;
  readonly #out = new BigUint64Array(1);
  readonly #callbacks: NativeCallbacks;
  /** Registers are read and written here; `#words` is a view of the native memory at `#scratch`. */
  readonly #scratch: number;
  readonly #scratchPointer: unknown;
  readonly #words: Uint32Array;
  readonly #registers: RegisterBuffer;
  /** Host memory under the guest: the engine's pointers into it do not keep it alive. */
  readonly #mapped = new Set<ArrayBuffer>();
  readonly #load = new CodeLoad(CODE_BUFFER);
  #saved: ContextBlob | undefined;
  #closed = false;

  constructor(koffi: Koffi, functions: Functions, types: CallbackTypes) {
    this.#koffi = koffi;
    this.#f = functions;
    check(functions.open(UC_ARCH_X86, UC_MODE_32, this.#out), 'uc_open');
    const uc = Number(this.#out[0]);
    this.#uc = uc;
    this.#scratchPointer = koffi.alloc('uint64_t', REGISTER_BUFFER_SIZE / 8);
    const scratch = Number(koffi.address(this.#scratchPointer));
    const words = new Uint32Array(koffi.view(this.#scratchPointer, REGISTER_BUFFER_SIZE));
    this.#scratch = scratch;
    this.#words = words;
    this.#registers = new RegisterBuffer({
      words: () => words,
      first: 0,
      read: id => functions.regRead(uc, id, scratch),
      write: id => functions.regWrite(uc, id, scratch),
      check,
    });
    this.#callbacks = new NativeCallbacks(koffi, types, () => this.stop());
    check(
      functions.ctl(this.#uc, UC_CTL_TCG_BUFFER_SIZE, 'uint32_t', CODE_BUFFER),
      'uc_ctl(UC_CTL_TCG_BUFFER_SIZE)',
    );
    // A block that is announced may have been translated anew since the last time: only this hook tells.
    this.onNewBlock(({ size }) => this.#load.translated(size));
    // Exits are asked for and none is given: no `until` of the engine's own.
    check(functions.ctl(this.#uc, UC_CTL_UC_USE_EXITS, 'int', 1), 'uc_ctl(UC_CTL_UC_USE_EXITS)');
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#saved?.free();
    this.#f.close(this.#uc);
    this.#callbacks.unregister();
    this.#koffi.free(this.#scratchPointer);
    this.#mapped.clear();
  }

  map(address: number, size: number, protection: number, memory: HostMemory, offset: number): void {
    const { pointer, buffer } = memory as NativeHostMemory;
    if (!buffer) throw new EngineError('engine-call-failed', 'libunicorn: this host memory was freed.');
    check(
      this.#f.memMapPtr(this.#uc, address, size, protection, pointer + offset),
      `uc_mem_map_ptr at 0x${address.toString(16)}`,
    );
    this.#mapped.add(buffer);
  }

  protect(address: number, size: number, protection: number): void {
    check(this.#f.memProtect(this.#uc, address, size, protection), 'uc_mem_protect');
  }

  unmap(address: number, size: number): void {
    check(this.#f.memUnmap(this.#uc, address, size), 'uc_mem_unmap');
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

  /**
   * uc_emu_start's own `until` is not exact (quirk `native-until`), so it is a code hook for the length of this run.
   */
  start(begin: number, until: number, timeoutMicroseconds: number, codeBase = 0): UcError {
    this.#callbacks.errors.clear();
    if (until === NOWHERE) return this.#run(begin, timeoutMicroseconds);
    const linear = (codeBase + begin) >>> 0;
    if (linear === until) {
      this.writeRegister(REG_EIP, begin);
      return UC_ERR_OK;
    }
    const hook = this.onCode(until, until, () => {});
    this.dropTranslated(until, until + 1);
    this.#callbacks.until = until;
    // When the run is over the engine fetches from the byte before an exit: it has to be where the run begins.
    const exits = Math.floor((until - 1) / PAGE_SIZE) === Math.floor(linear / PAGE_SIZE);
    if (exits) this.#setExits(until);
    try {
      return this.#run(begin, timeoutMicroseconds);
    } finally {
      this.#callbacks.until = NOWHERE;
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
    check(
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
    this.#callbacks.errors.rethrow();
    return error;
  }

  stop(): void {
    this.#f.emuStop(this.#uc);
  }

  onBlock(callback: (address: number, size: number) => void): Hook {
    return this.#addHook(UC_HOOK_BLOCK, 'code', this.#callbacks.codes, callback, 1, 0);
  }

  onCode(begin: number, end: number, callback: (address: number) => void): Hook {
    return this.#addHook(UC_HOOK_CODE, 'code', this.#callbacks.codes, callback, begin, end);
  }

  onNewBlock(callback: (current: BlockEdge, previous: BlockEdge) => void): Hook {
    return this.#addHook(UC_HOOK_EDGE_GENERATED, 'edge', this.#callbacks.edges, callback, 1, 0);
  }

  onInterrupt(callback: (vector: number) => void): Hook {
    return this.#addHook(UC_HOOK_INTR, 'interrupt', this.#callbacks.interrupts, callback, 1, 0);
  }

  onInvalidInstruction(callback: () => boolean): Hook {
    return this.#addHook(
      UC_HOOK_INSN_INVALID,
      'invalidInstruction',
      this.#callbacks.invalidInstructions,
      callback,
      1,
      0,
    );
  }

  onPortRead(callback: (port: number, size: number) => number): Hook {
    return this.#addHook(UC_HOOK_INSN, 'in', this.#callbacks.portReads, callback, 1, 0, 'int', UC_X86_INS_IN);
  }

  onPortWrite(callback: (port: number, size: number, value: number) => void): Hook {
    return this.#addHook(
      UC_HOOK_INSN,
      'out',
      this.#callbacks.portWrites,
      callback,
      1,
      0,
      'int',
      UC_X86_INS_OUT,
    );
  }

  onInvalidMemory(callback: (access: MemoryAccess) => boolean): Hook {
    return this.#addHook(
      UC_HOOK_MEM_INVALID,
      'invalidAccess',
      this.#callbacks.invalidAccesses,
      callback,
      1,
      0,
    );
  }

  onMemoryRead(begin: number, end: number, callback: (access: MemoryAccess) => void): Hook {
    return this.#addHook(UC_HOOK_MEM_READ, 'access', this.#callbacks.accesses, callback, begin, end);
  }

  onMemoryWrite(begin: number, end: number, callback: (access: MemoryAccess) => void): Hook {
    return this.#addHook(UC_HOOK_MEM_WRITE, 'access', this.#callbacks.accesses, callback, begin, end);
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
        check(
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
    check(this.#f.ctl(this.#uc, UC_CTL_TB_FLUSH), 'uc_ctl(UC_CTL_TB_FLUSH)');
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
    check(this.#f.contextAlloc(this.#uc, this.#out), 'uc_context_alloc');
    const pointer = Number(this.#out[0]);
    const bytes = new Uint8Array(this.#koffi.view(this.#out[0], this.#f.contextSize(this.#uc)));
    return {
      bytes: () => bytes,
      save: () => check(this.#f.contextSave(this.#uc, pointer), 'uc_context_save'),
      restore: () => check(this.#f.contextRestore(this.#uc, pointer), 'uc_context_restore'),
      free: () => check(this.#f.contextFree(pointer), 'uc_context_free'),
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
    check(
      this.#f.hookAdd(
        this.#uc,
        this.#out,
        type,
        this.#callbacks.pointers[kind],
        index,
        begin,
        end,
        ...variadic,
      ),
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
        this.#guarded(() => check(this.#f.hookDel(this.#uc, hook), 'uc_hook_del'));
      },
    };
  }
}
