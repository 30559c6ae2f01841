/**
 * Registers by uc_reg_read and uc_reg_write. Every value goes through one buffer that the engine sees too, so that no
 * call allocates.
 */
import type { UcError } from './api.ts';
import { REG_MSR } from './constants.ts';

/** Bytes: enough for a pointer, a register, a uc_x86_mmr or a uc_x86_msr. */
export const REGISTER_BUFFER_SIZE = 64;
/** x86.h, struct uc_x86_mmr, in words: u16 selector at 0, u64 base at 8, u32 limit at 16, u32 flags at 20. */
const MMR = { selector: 0, base: 2, limit: 4, flags: 5, size: 6 } as const;
/** x86.h, struct uc_x86_msr, in words: u32 rid at 0, u64 value at 8. */
const MSR = { index: 0, low: 2, high: 3, size: 4 } as const;

export interface RegisterCalls {
  /** The 32-bit words that the buffer is in: another array after the engine's memory has grown. */
  words(): Uint32Array;
  /** The buffer's first word. */
  readonly first: number;
  /** uc_reg_read into the buffer. */
  read(id: number): UcError;
  /** uc_reg_write from it. */
  write(id: number): UcError;
  /** @throws {EngineError} unless the call gave UC_ERR_OK */
  check(error: UcError, call: string): void;
}

export interface TableValue {
  readonly selector: number;
  readonly base: number;
  readonly limit: number;
  readonly flags: number;
}

export class RegisterBuffer {
  readonly #calls: RegisterCalls;

  constructor(calls: RegisterCalls) {
    this.#calls = calls;
  }

  read(id: number): number {
    // A segment register writes two bytes only.
    this.#clear(1);
    this.#read(id);
    return this.word(0);
  }

  write(id: number, value: number): void {
    this.#clear(2);
    this.#set(0, value);
    this.#write(id);
  }

  readTable(id: number): TableValue {
    this.#clear(MMR.size);
    this.#read(id);
    return {
      selector: this.word(MMR.selector) & 0xffff,
      base: this.word(MMR.base),
      limit: this.word(MMR.limit),
      flags: this.word(MMR.flags),
    };
  }

  writeTable(id: number, value: TableValue): void {
    this.#clear(MMR.size);
    this.#set(MMR.selector, value.selector);
    this.#set(MMR.base, value.base);
    this.#set(MMR.limit, value.limit);
    this.#set(MMR.flags, value.flags);
    this.#write(id);
  }

  readMsr(index: number): bigint {
    this.#clear(MSR.size);
    this.#set(MSR.index, index);
    this.#read(REG_MSR);
    return (BigInt(this.word(MSR.high)) << 32n) | BigInt(this.word(MSR.low));
  }

  writeMsr(index: number, value: bigint): void {
    this.#clear(MSR.size);
    this.#set(MSR.index, index);
    this.#set(MSR.low, Number(value & 0xffffffffn));
    this.#set(MSR.high, Number(value >> 32n));
    this.#write(REG_MSR);
  }

  word(index: number): number {
    return this.#calls.words()[this.#calls.first + index] as number;
  }

  #set(index: number, value: number): void {
    this.#calls.words()[this.#calls.first + index] = value;
  }

  #clear(count: number): void {
    const { first } = this.#calls;
    this.#calls.words().fill(0, first, first + count);
  }

  #read(id: number): void {
    this.#calls.check(this.#calls.read(id), `uc_reg_read of register ${id}`);
  }

  #write(id: number): void {
    this.#calls.check(this.#calls.write(id), `uc_reg_write of register ${id}`);
  }
}
