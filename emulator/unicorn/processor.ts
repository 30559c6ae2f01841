/**
 * Processor: one CPU with one behaviour, whichever build of Unicorn is under it. It runs from an address to the next
 * thing that someone has to look at, and says what that is. What has to be worked around is in `quirks`; what the
 * guest's instructions mean is decided above (`machine.ts`).
 */
import { type CpuState, GENERAL_REGISTERS, type GeneralRegister } from '../cpu-state.ts';
import { FLAG_TF } from '../flags.ts';
import type {
  ContextBlob,
  EngineCapabilities,
  Hook,
  HostMemory,
  MemoryAccess,
  Unicorn,
  UnicornLibrary,
} from './api.ts';
import {
  PROT_ALL,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  REG_CR2,
  REG_DR6,
  REG_DR7,
  REG_EFLAGS,
  REG_EIP,
  REG_GENERAL,
  UC_ERR_EXCEPTION,
  UC_ERR_INSN_INVALID,
  UC_ERR_OK,
  UC_MEM_FETCH_PROT,
  UC_MEM_FETCH_UNMAPPED,
  UC_MEM_READ_PROT,
  UC_MEM_READ_UNMAPPED,
  UC_MEM_WRITE_PROT,
  UC_MEM_WRITE_UNMAPPED,
} from './constants.ts';
import { type Calibration, calibrate } from './quirks/calibration.ts';
import { enterCpuState, readCpuState, writeCr2 } from './quirks/cpu-state.ts';
import { ExceptionLatch } from './quirks/exceptions.ts';

export type Outcome =
  /** The instruction at EIP has not run: a stop was asked for, or `until` is reached. */
  | { readonly type: 'stopped' }
  | { readonly type: 'exception'; readonly vector: number; readonly errorCode?: number }
  | { readonly type: 'invalid-opcode' }
  /** An access to physical memory that is not there, or that is protected. EIP is at the instruction. */
  | ({ readonly type: 'memory' } & RefusedAccess)
  | { readonly type: 'error'; readonly code: number };

export interface RefusedAccess {
  readonly access: 'read' | 'write' | 'fetch';
  /** There is memory, and it is guarded or read-only. */
  readonly protected: boolean;
  readonly address: number;
  readonly size: number;
  /** What was to be written, where that is known. */
  readonly value: number | undefined;
}

export interface ProcessorEvents {
  /** A block is about to run; true stops before it. While watching every block, each time; else when it is new. */
  block(start: number, size: number): boolean;
  portRead(port: number, size: number): number;
  portWrite(port: number, size: number, value: number): void;
}

/** Never an instruction's address: no bank reaches the last byte. */
const NOWHERE = 0xffffffff;
const ADDRESS_SPACE = 2 ** 32;

export type BlockWatch = 'every' | 'new';

export class Processor {
  readonly capabilities: EngineCapabilities;
  readonly #uc: Unicorn;
  readonly #events: ProcessorEvents;
  readonly #latch: ExceptionLatch;
  readonly #calibration: Calibration;
  readonly #context: ContextBlob;
  #watch: BlockWatch = 'every';
  #watchHook: Hook | undefined;
  readonly #stopPoints = new Map<number, Hook>();
  /** A code hook fires for the instruction that a run starts with: this one is let through. */
  #passing = NOWHERE;
  /** It is a repeated string instruction: each round starts with it. */
  #repeating = false;
  /** Until of the last run: translated code that starts there may be nothing but an exit. */
  #lastUntil = NOWHERE;
  /** The block before which an event stopped the run. */
  #stoppedBefore = NOWHERE;
  /** Until the first run there is no translated code. */
  #hasRun = false;
  #vector = -1;
  /** Base of CS: the engine's EIP is an offset in it, and all its addresses of code are linear. */
  #codeBase = 0;
  #access: MemoryAccess | undefined;

  constructor(library: UnicornLibrary, events: ProcessorEvents) {
    this.capabilities = library.capabilities;
    this.#uc = library.open();
    this.#events = events;
    this.#calibration = calibrate(library);
    this.#context = this.#uc.contextAlloc();
    this.#latch = new ExceptionLatch(this.#uc, this.#calibration);
    this.#uc.onInterrupt(vector => {
      this.#vector = vector;
      this.#uc.stop();
    });
    this.#uc.onInvalidMemory(access => {
      // unicorn.js runs the instruction's helper on after its first refused access.
      this.#access ??= access;
      return false;
    });
    this.#uc.onPortRead((port, size) => this.#events.portRead(port, size));
    this.#uc.onPortWrite((port, size, value) => this.#events.portWrite(port, size, value));
    this.watch('every');
  }

  close(): void {
    this.#latch.free();
    this.#context.free();
    this.#uc.close();
  }

  /** @throws {EngineError} `engine-state-rejected` when the CPU does not take a value */
  enter(state: CpuState): void {
    this.#codeBase = state.segments.cs.descriptor?.base ?? 0;
    enterCpuState(this.#uc, this.#context, this.#calibration, state);
  }

  readCpuState(): CpuState {
    const state = readCpuState(this.#uc, this.#context, this.#calibration);
    this.#codeBase = state.segments.cs.descriptor?.base ?? 0;
    return state;
  }

  map(address: number, size: number, memory: HostMemory, offset: number, writable: boolean): void {
    this.#uc.map(address, size, writable ? PROT_ALL : PROT_READ | PROT_EXEC, memory, offset);
  }

  unmap(address: number, size: number): void {
    this.#uc.unmap(address, size);
  }

  /** Makes a mapped range untouchable, or opens it again. */
  guard(address: number, size: number, closed: boolean): void {
    this.#uc.protect(address, size, closed ? PROT_NONE : PROT_ALL);
  }

  onMemoryWrite(begin: number, end: number, callback: () => void): Hook {
    return this.#uc.onMemoryWrite(begin, end, callback);
  }

  /** From now on {@link ProcessorEvents.block} is called for every block, or only for new ones (native engine). */
  watch(blocks: BlockWatch): void {
    const changes = this.#watchHook !== undefined;
    this.#watchHook?.remove();
    this.#watch = blocks;
    this.forgetStopPoints();
    const announce = (start: number, size: number): void => {
      if (!this.#events.block(start, size)) return;
      this.#stoppedBefore = start;
      this.#uc.stop();
    };
    this.#watchHook =
      blocks === 'every'
        ? this.#uc.onBlock(announce)
        : this.#uc.onNewBlock(current => announce(current.pc, current.size));
    // Code that is translated already would not call the new hook.
    if (changes) this.dropAll();
  }

  get watching(): BlockWatch {
    return this.#watch;
  }

  /** Makes every later run stop before the instruction at `address`. Only while watching new blocks. */
  addStopPoint(address: number, blockStart: number, blockEnd: number): void {
    if (this.#stopPoints.has(address)) return;
    this.#stopPoints.set(
      address,
      this.#uc.onCode(address, address, () => {
        if (address !== this.#passing) this.#uc.stop();
        if (!this.#repeating) this.#passing = NOWHERE;
      }),
    );
    this.#uc.dropTranslated(blockStart, blockEnd);
  }

  forgetStopPoints(): void {
    for (const hook of this.#stopPoints.values()) hook.remove();
    this.#stopPoints.clear();
  }

  /** It is time for {@link dropAll}: see the quirk `code-buffer-overflow`. */
  get codeBufferIsHigh(): boolean {
    return this.#uc.codeBufferIsHigh;
  }

  /** Forgets all translated code. */
  dropAll(): void {
    if (!this.#hasRun) return;
    this.#uc.dropTranslated(0, ADDRESS_SPACE);
  }

  drop(begin: number, end: number): void {
    this.#uc.dropTranslated(begin, end);
  }

  /**
   * Runs from `begin`, a linear address.
   *
   * @param until stop before the instruction there, if control comes to it in a straight line; `undefined`: nowhere
   * @param repeating the instruction at `begin` is a repeated string instruction, to be done to its end
   */
  run(begin: number, until: number | undefined, repeating = false): Outcome {
    this.#repeating = repeating;
    this.#hasRun = true;
    this.#vector = -1;
    this.#access = undefined;
    if (begin === this.#lastUntil) this.#uc.dropTranslated(begin, begin + 1);
    this.#lastUntil = until ?? NOWHERE;
    this.#passing = begin;
    this.#stoppedBefore = NOWHERE;
    const error = this.#uc.start((begin - this.#codeBase) >>> 0, until ?? NOWHERE, 0, this.#codeBase);
    this.#passing = NOWHERE;
    // Where blocks are chained, libunicorn 2.1.1 leaves EIP at an earlier one: see the quirk `stale-eip`.
    if (this.#stoppedBefore !== NOWHERE) this.eip = this.#stoppedBefore;
    return this.#outcome(error);
  }

  /**
   * Runs the one instruction at `begin` by the trap flag: the engine translates nothing behind it.
   *
   * @param eflags as they are now, with TF clear
   */
  trapStep(begin: number, eflags: number): Outcome {
    this.writeFlags(eflags | FLAG_TF);
    const outcome = this.run(begin, undefined);
    this.writeFlags(this.#uc.readRegister(REG_EFLAGS) & ~FLAG_TF);
    return outcome.type === 'exception' && outcome.vector === DEBUG ? { type: 'stopped' } : outcome;
  }

  #outcome(error: number): Outcome {
    if (this.#access) {
      if (this.#vector >= 0) this.#latch.take();
      return { type: 'memory', ...refusal(this.#access) };
    }
    if (this.#vector >= 0) {
      const errorCode = this.#latch.take();
      return HAS_ERROR_CODE.has(this.#vector)
        ? { type: 'exception', vector: this.#vector, errorCode }
        : { type: 'exception', vector: this.#vector };
    }
    if (error === UC_ERR_OK) return { type: 'stopped' };
    if (error === UC_ERR_INSN_INVALID || error === UC_ERR_EXCEPTION) return { type: 'invalid-opcode' };
    return { type: 'error', code: error };
  }

  /** Asks the run to end; only from inside an event. */
  stop(): void {
    this.#uc.stop();
  }

  /** Linear: the base of CS is in it. */
  get eip(): number {
    return (this.#codeBase + this.#uc.readRegister(REG_EIP)) >>> 0;
  }

  set eip(value: number) {
    this.#uc.writeRegister(REG_EIP, (value - this.#codeBase) >>> 0);
  }

  readRegisters(): Record<GeneralRegister, number> {
    const registers = {} as Record<GeneralRegister, number>;
    for (const name of GENERAL_REGISTERS) registers[name] = this.#uc.readRegister(REG_GENERAL[name]);
    return registers;
  }

  writeRegister(name: GeneralRegister, value: number): void {
    this.#uc.writeRegister(REG_GENERAL[name], value);
  }

  /** Undoes what an instruction at `eip` has done to the registers. */
  restore(eip: number, registers: Readonly<Record<GeneralRegister, number>>, eflags: number): void {
    this.eip = eip;
    for (const name of GENERAL_REGISTERS) this.writeRegister(name, registers[name]);
    this.writeFlags(eflags);
  }

  /** The bits that software may change at any privilege level. */
  writeFlags(value: number): void {
    this.#uc.writeRegister(REG_EFLAGS, value);
  }

  get eflags(): number {
    return this.#uc.readRegister(REG_EFLAGS);
  }

  get cr2(): number {
    return this.#uc.readRegister(REG_CR2);
  }

  /** The address of a page fault that the engine did not find by itself. */
  writeCr2(value: number): void {
    writeCr2(this.#uc, this.#context, this.#calibration, value);
  }

  /** DR6, debug status, or DR7, debug control. */
  readDebug(index: 6 | 7): number {
    return this.#uc.readRegister(index === 6 ? REG_DR6 : REG_DR7);
  }

  writeDebug(index: 6 | 7, value: number): void {
    this.#uc.writeRegister(index === 6 ? REG_DR6 : REG_DR7, value);
  }

  writeMsr(index: number, value: bigint): void {
    this.#uc.writeMsr(index, value);
  }
}

const REFUSALS: Readonly<Record<number, Pick<RefusedAccess, 'access' | 'protected'>>> = {
  [UC_MEM_READ_UNMAPPED]: { access: 'read', protected: false },
  [UC_MEM_WRITE_UNMAPPED]: { access: 'write', protected: false },
  [UC_MEM_FETCH_UNMAPPED]: { access: 'fetch', protected: false },
  [UC_MEM_READ_PROT]: { access: 'read', protected: true },
  [UC_MEM_WRITE_PROT]: { access: 'write', protected: true },
  [UC_MEM_FETCH_PROT]: { access: 'fetch', protected: true },
};

function refusal({ type, address, size, value }: MemoryAccess): RefusedAccess {
  return { ...(REFUSALS[type] ?? { access: 'read', protected: false }), address, size, value };
}

const DEBUG = 1;

/** Vectors that push an error code: SDM vol. 3, table 6-1. */
const HAS_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17, 21]);
