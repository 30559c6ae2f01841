/** The embedded engine: Unicorn 1.0.3 as plain JavaScript. Works in Node and in a browser page. */
import type { EngineCapabilities, HostMemory, Unicorn, UnicornLibrary } from './api.ts';
import { PAGE_SIZE } from './constants.ts';
import type { UnicornModule } from './emscripten.ts';
import { EngineError } from './errors.ts';
import { type JsHostMemory, UnicornJs } from './unicorn-js-cpu.ts';
import { Heap } from './unicorn-js-heap.ts';

const CAPABILITIES: EngineCapabilities = { paging: 'identity', exactCodeHook: false, edgeHook: false };
/** Where malloc's sbrk keeps the end of the heap in use (this very build). */
const PROGRAM_BREAK = 106336;

export async function loadUnicornJs(): Promise<UnicornLibrary> {
  let create: typeof import('./unicorn-x86.generated.js').default;
  try {
    create = (await import('./unicorn-x86.generated.js')).default;
  } catch (error) {
    throw new EngineError(
      'engine-load-failed',
      `unicorn.js cannot be loaded; npm run build makes it: ${error instanceof Error ? error.message : error}`,
    );
  }
  const ignore = (): void => {};
  return new UnicornJsLibrary(create({ print: ignore, printErr: ignore }));
}

class UnicornJsLibrary implements UnicornLibrary {
  readonly name = 'unicorn.js';
  readonly version: string;
  readonly capabilities = CAPABILITIES;
  readonly #module: UnicornModule;
  readonly #heap: Heap;
  /** Guest memory that was given back, by size: malloc would hand it out in pieces. */
  readonly #free = new Map<number, number[]>();

  constructor(module: UnicornModule) {
    this.#module = module;
    this.#heap = new Heap(module);
    // uc_version reports 1.0.0: UC_VERSION_EXTRA is not in its result.
    this.version = '1.0.3';
  }

  allocate(size: number): HostMemory {
    const recycled = this.#free.get(size)?.pop();
    if (recycled !== undefined) this.#heap.bytes.fill(0, recycled, recycled + size);
    const pointer = recycled ?? this.#allocatePages(size);
    let freed = false;
    const heap = this.#heap;
    let all = heap.bytes;
    let view = all.subarray(pointer, pointer + size);
    const memory: JsHostMemory = {
      size,
      pointer,
      bytes: () => {
        if (freed) throw new EngineError('engine-call-failed', 'unicorn.js: this host memory was freed.');
        if (all !== heap.bytes) {
          all = heap.bytes;
          view = all.subarray(pointer, pointer + size);
        }
        return view;
      },
      free: () => {
        if (freed) return;
        freed = true;
        const list = this.#free.get(size);
        if (list) list.push(pointer);
        else this.#free.set(size, [pointer]);
      },
    };
    return memory;
  }

  #allocatePages(size: number): number {
    const used = this.#heap.words[PROGRAM_BREAK >>> 2] as number;
    const raw = this.#module._malloc(size + PAGE_SIZE);
    if (raw === 0) {
      throw new EngineError(
        'engine-call-failed',
        `unicorn.js has no room for ${size} bytes of guest memory.`,
      );
    }
    const pointer = Math.ceil(raw / PAGE_SIZE) * PAGE_SIZE;
    // Heap above the old break was never used: it is zero, and stays without memory behind it until it is touched.
    if (pointer < used) this.#heap.bytes.fill(0, pointer, Math.min(used, pointer + size));
    return pointer;
  }

  open(): Unicorn {
    return new UnicornJs(this.#module, this.#heap);
  }
}
