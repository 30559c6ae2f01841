/**
 * The native engine: libunicorn 2.1 or later through koffi. Handles and pointers are plain numbers (uintptr_t, far
 * below 2^53), and registers go through one buffer that lives as long as the CPU: no call allocates.
 */
import type {
  BlockEdge,
  ContextBlob,
  EngineCapabilities,
  Hook,
  HostMemory,
  MemoryAccess,
  UcError,
  Unicorn,
  UnicornLibrary,
} from './api.ts';
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

const CAPABILITIES: EngineCapabilities = { paging: 'full', exactCodeHook: true, edgeHook: true };

/** The names a dynamic loader knows it by, then where Homebrew puts it. */
const LIBRARY_NAMES = [
  'libunicorn.so.2',
  'libunicorn.so',
  'libunicorn.2.dylib',
  'libunicorn.dylib',
  '/opt/homebrew/lib/libunicorn.2.dylib',
  '/opt/homebrew/lib/libunicorn.dylib',
  '/usr/local/lib/libunicorn.2.dylib',
  '/usr/local/lib/libunicorn.dylib',
  'unicorn.dll',
  'libunicorn.dll',
] as const;

const WHERE_TO_GET_IT =
  'Debian 13 has 2.1 as libunicorn2t64, Homebrew as unicorn; name the file with --libunicorn or STARTUP32_LIBUNICORN';

/** Buffers of guest memory that are kept: a guest has few banks. */
const KEPT_BUFFERS = 4;
/** sys/mman.h of Linux. */
const MADV_DONTNEED = 4;

/** Bytes of translated code, instead of 1 GiB: a flush writes to every page of it. */
const CODE_BUFFER = 32 << 20;

const ADDRESS_SPACE = 2 ** 32;
/** An `until` that no instruction has. */
const NOWHERE = 0xffffffff;

type Koffi = typeof import('koffi');
type KoffiLibrary = ReturnType<Koffi['load']>;

/** uc_err f(...), with every pointer as a number. */
interface Functions {
  readonly open: (arch: number, mode: number, result: BigUint64Array) => UcError;
  readonly close: (uc: number) => UcError;
  readonly regRead: (uc: number, id: number, value: number) => UcError;
  readonly regWrite: (uc: number, id: number, value: number) => UcError;
  readonly memMapPtr: (uc: number, address: number, size: number, perms: number, host: number) => UcError;
  readonly memProtect: (uc: number, address: number, size: number, perms: number) => UcError;
  readonly memUnmap: (uc: number, address: number, size: number) => UcError;
  readonly hookAdd: (
    uc: number,
    result: BigUint64Array,
    type: number,
    callback: bigint,
    user: number,
    begin: number,
    end: number,
    ...variadic: (string | number)[]
  ) => UcError;
  readonly hookDel: (uc: number, hook: number) => UcError;
  readonly emuStart: (uc: number, begin: number, until: number, timeout: number, count: number) => UcError;
  readonly emuStop: (uc: number) => UcError;
  readonly ctl: (uc: number, control: number, ...variadic: (string | number)[]) => UcError;
  readonly contextSize: (uc: number) => number;
  readonly contextAlloc: (uc: number, result: BigUint64Array) => UcError;
  readonly contextSave: (uc: number, context: number) => UcError;
  readonly contextRestore: (uc: number, context: number) => UcError;
  readonly contextFree: (context: number) => UcError;
}

/**
 * Finds and loads libunicorn.
 *
 * @param path a file; without it STARTUP32_LIBUNICORN, then the names that the system's loader knows
 * @throws {EngineError} `engine-not-found`, `engine-too-old` or `engine-load-failed`
 */
export async function loadLibunicorn(path?: string): Promise<UnicornLibrary> {
  const koffi = await importKoffi();
  const named = path ?? (process.env.STARTUP32_LIBUNICORN || undefined);
  const library = named === undefined ? findLibrary(koffi) : loadNamed(koffi, named);
  return new Libunicorn(koffi, library);
}

async function importKoffi(): Promise<Koffi> {
  try {
    return (await import('koffi')).default as unknown as Koffi;
  } catch (error) {
    throw new EngineError(
      'engine-load-failed',
      `libunicorn needs the optional package koffi, which cannot be loaded: ${messageOf(error)}`,
    );
  }
}

function loadNamed(koffi: Koffi, path: string): KoffiLibrary {
  try {
    return koffi.load(path);
  } catch (error) {
    const reason = messageOf(error);
    const missing = /no such file|cannot find|not found/i.test(reason) && !reason.includes('GLIBC');
    throw new EngineError(
      missing ? 'engine-not-found' : 'engine-load-failed',
      `libunicorn cannot be loaded from ${path}: ${reason}`,
    );
  }
}

function findLibrary(koffi: Koffi): KoffiLibrary {
  for (const name of LIBRARY_NAMES) {
    try {
      return koffi.load(name);
    } catch {
      // The next name.
    }
  }
  throw new EngineError('engine-not-found', `No libunicorn on this machine: ${WHERE_TO_GET_IT}.`);
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** 2.0.x aborts the process while it translates some invalid opcodes, e.g. ff d8 (quirk `native-2.0-aborts`). */
export function checkVersion(major: number, minor: number): void {
  if (major > 2 || (major === 2 && minor >= 1)) return;
  const reason =
    major === 2
      ? '2.0 aborts the whole process on some invalid opcodes'
      : 'it lacks what the binding is built on';
  throw new EngineError(
    'engine-too-old',
    `libunicorn is ${major}.${minor}, expected 2.1 or later: ${reason}. ${WHERE_TO_GET_IT}.`,
  );
}

class Libunicorn implements UnicornLibrary {
  readonly name = 'libunicorn';
  readonly version: string;
  readonly capabilities = CAPABILITIES;
  readonly #koffi: Koffi;
  readonly #functions: Functions;
  readonly #types: CallbackTypes;
  readonly #discard: ((pages: HostPages) => boolean) | undefined;
  /** Given back, and zero again; the oldest first. */
  readonly #kept: HostPages[] = [];

  constructor(koffi: Koffi, library: KoffiLibrary) {
    this.#koffi = koffi;
    let version: number;
    try {
      // The low byte is the patch level times 2^0 in an 0x MM mm pp ee layout: 2.1.1 is 0x020101ff.
      version = library.func('uc_version', 'uint32_t', ['void *', 'void *'])(null, null) as number;
    } catch (error) {
      throw new EngineError('engine-load-failed', `This is not libunicorn: ${messageOf(error)}`);
    }
    // 1.x packs major and minor into two bytes: 1.0.3 is 0x0100.
    const major = version > 0xffff ? version >>> 24 : version >>> 8;
    const minor = version > 0xffff ? (version >>> 16) & 0xff : version & 0xff;
    checkVersion(major, minor);
    this.version = `${major}.${minor}.${(version >>> 8) & 0xff}`;
    this.#functions = declareFunctions(library);
    this.#types = declareCallbacks(koffi);
    this.#discard = declareDiscard(koffi);
  }

  /** Part of an ArrayBuffer: zeroed, and the pages that no one touches take no memory. */
  allocate(size: number): HostMemory {
    const kept = this.#kept.findIndex(({ view }) => view.length === size);
    const pages = kept < 0 ? this.#newPages(size) : (this.#kept.splice(kept, 1)[0] as HostPages);
    let freed = false;
    const memory: NativeHostMemory = {
      size,
      pointer: pages.pointer,
      get buffer() {
        return freed ? undefined : pages.view.buffer;
      },
      bytes: () => {
        if (freed) throw new EngineError('engine-call-failed', 'libunicorn: this host memory was freed.');
        return pages.view;
      },
      free: () => {
        if (freed) return;
        freed = true;
        this.#keep(pages);
      },
    };
    return memory;
  }

  #newPages(size: number): HostPages {
    const buffer = new ArrayBuffer(size + PAGE_SIZE);
    const start = Number(this.#koffi.address(buffer));
    const pointer = Math.ceil(start / PAGE_SIZE) * PAGE_SIZE;
    return { pointer, view: new Uint8Array(buffer, pointer - start, size) };
  }

  /** For the next guest: a new buffer for each makes the collector run for each. */
  #keep(pages: HostPages): void {
    if (!this.#discard?.(pages)) return;
    this.#kept.push(pages);
    if (this.#kept.length > KEPT_BUFFERS) this.#kept.shift();
  }

  open(): Unicorn {
    return new NativeUnicorn(this.#koffi, this.#functions, this.#types);
  }
}

/** Whole pages in an ArrayBuffer. */
interface HostPages {
  readonly pointer: number;
  readonly view: Uint8Array<ArrayBuffer>;
}

interface NativeHostMemory extends HostMemory {
  readonly pointer: number;
  readonly buffer: ArrayBuffer | undefined;
}

function declareFunctions(library: KoffiLibrary): Functions {
  const f = (name: string, result: string, args: string[]): never =>
    library.func(name, result, args) as never;
  const uc = 'uintptr_t';
  return {
    open: f('uc_open', 'int', ['int', 'int', 'void *']),
    close: f('uc_close', 'int', [uc]),
    regRead: f('uc_reg_read', 'int', [uc, 'int', 'uintptr_t']),
    regWrite: f('uc_reg_write', 'int', [uc, 'int', 'uintptr_t']),
    memMapPtr: f('uc_mem_map_ptr', 'int', [uc, 'uint64_t', 'size_t', 'uint32_t', 'uintptr_t']),
    memProtect: f('uc_mem_protect', 'int', [uc, 'uint64_t', 'size_t', 'uint32_t']),
    memUnmap: f('uc_mem_unmap', 'int', [uc, 'uint64_t', 'size_t']),
    hookAdd: f('uc_hook_add', 'int', [
      uc,
      'void *',
      'int',
      'uintptr_t',
      'uintptr_t',
      'uint64_t',
      'uint64_t',
      '...',
    ]),
    hookDel: f('uc_hook_del', 'int', [uc, 'uintptr_t']),
    emuStart: f('uc_emu_start', 'int', [uc, 'uint64_t', 'uint64_t', 'uint64_t', 'size_t']),
    emuStop: f('uc_emu_stop', 'int', [uc]),
    ctl: f('uc_ctl', 'int', [uc, 'int', '...']),
    contextSize: f('uc_context_size', 'size_t', [uc]),
    contextAlloc: f('uc_context_alloc', 'int', [uc, 'void *']),
    contextSave: f('uc_context_save', 'int', [uc, 'uintptr_t']),
    contextRestore: f('uc_context_restore', 'int', [uc, 'uintptr_t']),
    contextFree: f('uc_context_free', 'int', [uc]),
  };
}

/**
 * Makes pages zero by giving them back to the system, which is fast however few or many were written; false when that
 * fails. Only Linux promises zeros: madvise(2), MADV_DONTNEED on private anonymous memory.
 */
function declareDiscard(koffi: Koffi): ((pages: HostPages) => boolean) | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const madvise = koffi.load(null).func('madvise', 'int', ['uintptr_t', 'size_t', 'int']);
    return ({ pointer, view }) => madvise(pointer, view.length, MADV_DONTNEED) === 0;
  } catch {
    return undefined;
  }
}

type TypeObject = ReturnType<Koffi['pointer']>;
type CallbackTypes = Readonly<
  Record<
    'code' | 'edge' | 'interrupt' | 'invalidInstruction' | 'in' | 'out' | 'access' | 'invalidAccess',
    TypeObject
  >
>;

/** unicorn.h: uc_cb_hookcode_t, uc_hook_edge_gen_t and the others. */
function declareCallbacks(koffi: Koffi): CallbackTypes {
  const pointer = (result: string, args: string[]): TypeObject => koffi.pointer(koffi.proto(result, args));
  const uc = 'uintptr_t';
  const user = 'uintptr_t';
  return {
    code: pointer('void', [uc, 'uint64_t', 'uint32_t', user]),
    edge: pointer('void', [uc, 'uintptr_t', 'uintptr_t', user]),
    interrupt: pointer('void', [uc, 'uint32_t', user]),
    invalidInstruction: pointer('bool', [uc, user]),
    in: pointer('uint32_t', [uc, 'uint32_t', 'int', user]),
    out: pointer('void', [uc, 'uint32_t', 'int', 'uint32_t', user]),
    access: pointer('void', [uc, 'int', 'uint64_t', 'int', 'int64_t', user]),
    invalidAccess: pointer('bool', [uc, 'int', 'uint64_t', 'int', 'int64_t', user]),
  };
}

/** The low 32 bits of what koffi makes of a 64-bit argument. */
type Wide = number | bigint;
const low32 = (value: Wide): number =>
  typeof value === 'number' ? value >>> 0 : Number(BigInt.asUintN(32, value));

class NativeUnicorn implements Unicorn {
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
  start(begin: number, until: number, timeoutMicroseconds: number): UcError {
    this.#thrown = undefined;
    if (until === NOWHERE) return this.#run(begin, timeoutMicroseconds);
    if (begin === until) {
      this.writeRegister(REG_EIP, begin);
      return UC_ERR_OK;
    }
    const hook = this.onCode(until, until, () => {});
    this.dropTranslated(until, until + 1);
    this.#until = until;
    // When the run is over the engine fetches from the byte before an exit: it has to be where the run begins.
    const exits = Math.floor((until - 1) / PAGE_SIZE) === Math.floor(begin / PAGE_SIZE);
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
      this.#check(this.#f.ctl(this.#uc, UC_CTL_TB_FLUSH), 'uc_ctl(UC_CTL_TB_FLUSH)');
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
