/** The native engine: finds libunicorn 2.1 or later, and loads it through koffi. */
import type { EngineCapabilities, HostMemory, Unicorn, UnicornLibrary } from './api.ts';
import { PAGE_SIZE } from './constants.ts';
import { EngineError } from './errors.ts';

import {
  type CallbackTypes,
  declareCallbacks,
  declareFunctions,
  type Functions,
  type Koffi,
  type KoffiLibrary,
} from './libunicorn-abi.ts';
import { type NativeHostMemory, NativeUnicorn } from './libunicorn-cpu.ts';

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
  return new Libunicorn(koffi, library, named);
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

  constructor(koffi: Koffi, library: KoffiLibrary, path: string | undefined) {
    this.#koffi = koffi;
    let version: number;
    try {
      // The low byte is the patch level times 2^0 in an 0x MM mm pp ee layout: 2.1.1 is 0x020101ff.
      version = library.func('uc_version', 'uint32_t', ['void *', 'void *'])(null, null) as number;
    } catch (error) {
      throw new EngineError(
        'engine-load-failed',
        `${path ?? 'the library'} is not libunicorn: ${messageOf(error)}`,
      );
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
