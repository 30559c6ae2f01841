/**
 * The narrow waist: Unicorn's C API (uc_*) as a TypeScript interface, implemented by `unicorn-js.ts` (embedded)
 * and `libunicorn.ts` (native). One-to-one with C where it can be; workarounds live in `quirks.ts` on top of it.
 * Nothing outside `emulator/unicorn/` may import this file but for types.
 */

export type EngineName = 'unicorn.js' | 'libunicorn';

export interface EngineCapabilities {
  /** `identity`: page tables are checked, but an access always goes to physical = linear. `full`: real translation. */
  readonly paging: 'identity' | 'full';
  /** A code hook on one address stops exactly and harmlessly (native only). */
  readonly exactCodeHook: boolean;
  /** A hook that is called once for every newly translated block (native only). */
  readonly edgeHook: boolean;
}

/** A loaded build of Unicorn; `open` makes a CPU. Loading is done once in a process. */
export interface UnicornLibrary {
  readonly name: EngineName;
  /** e.g. `1.0.3` or `2.1.1`. */
  readonly version: string;
  readonly capabilities: EngineCapabilities;
  /** Host memory that a guest can be mapped onto without copying. Zeroed. `size` in bytes, a multiple of 4096. */
  allocate(size: number): HostMemory;
  /** A 32-bit x86 CPU in protected mode (UC_ARCH_X86, UC_MODE_32) with no memory. */
  open(): Unicorn;
}

export interface HostMemory {
  readonly size: number;
  /** A view of the bytes; after `free` an error. Never keep it across a call into the engine: the embedded build's heap moves when it grows. */
  bytes(): Uint8Array;
  free(): void;
}

/** uc_err of unicorn.h; the numbers are the same in 1.x and 2.x. */
export type UcError = number;

export interface MemoryAccess {
  readonly type: number;
  readonly address: number;
  readonly size: number;
  readonly value: number;
}

export interface BlockEdge {
  readonly pc: number;
  readonly instructions: number;
  readonly size: number;
}

export interface Hook {
  remove(): void;
}

/** Ranges are inclusive, `begin` > `end` means everywhere (as in C). */
export interface Unicorn {
  close(): void;

  /** uc_mem_map_ptr of `size` bytes at physical `address` onto `memory` from `offset`. Page-granular. */
  map(address: number, size: number, protection: number, memory: HostMemory, offset: number): void;
  protect(address: number, size: number, protection: number): void;
  unmap(address: number, size: number): void;

  /** uc_reg_read of a 32-bit or 16-bit register; the id is of `constants.ts`. */
  readRegister(id: number): number;
  writeRegister(id: number, value: number): void;
  /** GDTR, IDTR, LDTR, TR (uc_x86_mmr). `flags` is the descriptor's high dword as QEMU keeps it. */
  readTable(id: number): { selector: number; base: number; limit: number; flags: number };
  writeTable(id: number, value: { selector: number; base: number; limit: number; flags: number }): void;
  readMsr(index: number): bigint;
  writeMsr(index: number, value: bigint): void;

  /** uc_emu_start without count; `timeoutMicroseconds` 0 means none. Returns the error instead of throwing. */
  start(begin: number, until: number, timeoutMicroseconds: number, codeBase?: number): UcError;
  stop(): void;

  onBlock(callback: (address: number, size: number) => void): Hook;
  /** Only with `capabilities.exactCodeHook`. */
  onCode(begin: number, end: number, callback: (address: number) => void): Hook;
  /** Only with `capabilities.edgeHook`. */
  onNewBlock(callback: (current: BlockEdge, previous: BlockEdge) => void): Hook;
  onInterrupt(callback: (vector: number) => void): Hook;
  /** UC_HOOK_INSN_INVALID; returning false ends the run with UC_ERR_INSN_INVALID. */
  onInvalidInstruction(callback: () => boolean): Hook;
  onPortRead(callback: (port: number, size: number) => number): Hook;
  onPortWrite(callback: (port: number, size: number, value: number) => void): Hook;
  /** Unmapped and protected accesses; returning true retries the access. */
  onInvalidMemory(callback: (access: MemoryAccess) => boolean): Hook;
  onMemoryRead(begin: number, end: number, callback: (access: MemoryAccess) => void): Hook;
  onMemoryWrite(begin: number, end: number, callback: (access: MemoryAccess) => void): Hook;

  /** All translated code should be dropped soon: the engine does not survive an overflow of its buffer. */
  readonly codeBufferIsHigh: boolean;
  /** Drops translated code in [begin, end) so that hooks added since reach it. */
  dropTranslated(begin: number, end: number): void;

  /** uc_context_*: the CPU's whole state as an opaque blob. */
  contextAlloc(): ContextBlob;
}

export interface ContextBlob {
  /** A live view of the blob (valid until the next call into the engine). */
  bytes(): Uint8Array;
  /** uc_context_save into this blob. */
  save(): void;
  /** uc_context_restore from this blob. */
  restore(): void;
  free(): void;
}
