/** Unicorn's C functions and callbacks as koffi declares them: include/unicorn/unicorn.h of 2.1. */
import type { UcError } from './api.ts';

export type Koffi = typeof import('koffi');
export type KoffiLibrary = ReturnType<Koffi['load']>;

/** uc_err f(...), with every pointer as a number. */
export interface Functions {
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

export function declareFunctions(library: KoffiLibrary): Functions {
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

export type TypeObject = ReturnType<Koffi['pointer']>;
export type CallbackTypes = Readonly<
  Record<
    'code' | 'edge' | 'interrupt' | 'invalidInstruction' | 'in' | 'out' | 'access' | 'invalidAccess',
    TypeObject
  >
>;

/** unicorn.h: uc_cb_hookcode_t, uc_hook_edge_gen_t and the others. */
export function declareCallbacks(koffi: Koffi): CallbackTypes {
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
export type Wide = number | bigint;
export const low32 = (value: Wide): number =>
  typeof value === 'number' ? value >>> 0 : Number(BigInt.asUintN(32, value));
