/** The part of the Emscripten module that the binding uses. Pointers are numbers; a u64 is two i32, low first. */
export interface EmscriptenOptions {
  readonly print?: (text: string) => void;
  readonly printErr?: (text: string) => void;
}

/** A C function that is called back. Its signature string has the result first: `v` void, `i` i32. */
export type EmscriptenCallback = (...args: number[]) => number | undefined;

export interface UnicornModule {
  /** Replaced when the heap grows: never keep it across a call. */
  readonly HEAPU8: Uint8Array;
  readonly HEAPU32: Uint32Array;
  _malloc(size: number): number;
  _free(pointer: number): void;
  addFunction(callback: EmscriptenCallback, signature: string): number;
  removeFunction(pointer: number): void;
  _uc_version(major: number, minor: number): number;
  _uc_open(arch: number, mode: number, result: number): number;
  _uc_close(uc: number): number;
  _uc_reg_read(uc: number, id: number, value: number): number;
  _uc_reg_write(uc: number, id: number, value: number): number;
  _uc_mem_write(uc: number, low: number, high: number, bytes: number, size: number): number;
  _uc_mem_map_ptr(uc: number, low: number, high: number, size: number, perms: number, host: number): number;
  _uc_mem_protect(uc: number, low: number, high: number, size: number, perms: number): number;
  _uc_mem_unmap(uc: number, low: number, high: number, size: number): number;
  _uc_hook_add(
    uc: number,
    result: number,
    type: number,
    callback: number,
    user: number,
    beginLow: number,
    beginHigh: number,
    endLow: number,
    endHigh: number,
    instruction: number,
  ): number;
  _uc_hook_del(uc: number, hook: number): number;
  _uc_emu_start(
    uc: number,
    beginLow: number,
    beginHigh: number,
    untilLow: number,
    untilHigh: number,
    timeoutLow: number,
    timeoutHigh: number,
    count: number,
  ): number;
  _uc_emu_stop(uc: number): number;
  _uc_context_alloc(uc: number, result: number): number;
  _uc_context_save(uc: number, context: number): number;
  _uc_context_restore(uc: number, context: number): number;
  _uc_free(pointer: number): number;
}
