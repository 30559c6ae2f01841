/**
 * What the native engine calls: one C function for each kind of hook, and the handlers behind it. All are made at once,
 * because koffi.register inside a callback breaks that callback's later calls.
 */
import type { BlockEdge, MemoryAccess } from './api.ts';
import { CallbackErrors, Handlers } from './handlers.ts';
import { type CallbackTypes, type Koffi, low32, type Wide } from './libunicorn-abi.ts';

/** An `until` that no instruction has. */
export const NOWHERE = 0xffffffff;

export class NativeCallbacks {
  readonly codes = new Handlers<(address: number, size: number) => void>();
  readonly edges = new Handlers<(current: BlockEdge, previous: BlockEdge) => void>();
  readonly interrupts = new Handlers<(vector: number) => void>();
  readonly invalidInstructions = new Handlers<() => boolean>();
  readonly portReads = new Handlers<(port: number, size: number) => number>();
  readonly portWrites = new Handlers<(port: number, size: number, value: number) => void>();
  readonly accesses = new Handlers<(access: MemoryAccess) => void>();
  readonly invalidAccesses = new Handlers<(access: MemoryAccess) => boolean>();
  readonly errors: CallbackErrors;
  /** The C function of each kind. */
  readonly pointers: Readonly<Record<keyof CallbackTypes, bigint>>;
  /** The run ends before the instruction here. */
  until = NOWHERE;
  readonly #koffi: Koffi;
  readonly #stop: () => void;

  /** @param stop ends the run */
  constructor(koffi: Koffi, types: CallbackTypes, stop: () => void) {
    this.#koffi = koffi;
    this.#stop = stop;
    this.errors = new CallbackErrors(stop);
    this.pointers = this.#register(types);
  }

  unregister(): void {
    for (const pointer of Object.values(this.pointers)) this.#koffi.unregister(pointer);
  }

  #register(types: CallbackTypes): Readonly<Record<keyof CallbackTypes, bigint>> {
    const { errors } = this;
    const register = <A extends unknown[], R>(
      kind: keyof CallbackTypes,
      callback: (...args: A) => R,
      failed: R,
    ): bigint => this.#koffi.register(errors.guarded(callback, failed), types[kind]);
    return {
      code: this.#koffi.register(
        (_uc: number, address: number, size: number, user: number) => this.#onCode(address, size, user),
        types.code,
      ),
      edge: register(
        'edge',
        (_uc: number, current: number, previous: number, user: number) => {
          this.edges.get(user)?.(this.#edge(current), this.#edge(previous));
        },
        undefined,
      ),
      interrupt: register(
        'interrupt',
        (_uc: number, vector: number, user: number) => {
          this.interrupts.get(user)?.(vector);
        },
        undefined,
      ),
      invalidInstruction: register(
        'invalidInstruction',
        (_uc: number, user: number) => this.invalidInstructions.get(user)?.() ?? false,
        false,
      ),
      in: register(
        'in',
        (_uc: number, port: number, size: number, user: number) =>
          (this.portReads.get(user)?.(port, size) ?? 0) >>> 0,
        0,
      ),
      out: register(
        'out',
        (_uc: number, port: number, size: number, value: number, user: number) => {
          this.portWrites.get(user)?.(port, size, value);
        },
        undefined,
      ),
      access: register(
        'access',
        (_uc: number, type: number, address: Wide, size: number, value: Wide, user: number) => {
          this.accesses.get(user)?.({ type, address: low32(address), size, value: low32(value) });
        },
        undefined,
      ),
      invalidAccess: register(
        'invalidAccess',
        (_uc: number, type: number, address: Wide, size: number, value: Wide, user: number) => {
          const access = { type, address: low32(address), size, value: low32(value) };
          return this.invalidAccesses.get(user)?.(access) ?? false;
        },
        false,
      ),
    };
  }

  /** Of a block, or of one instruction. It comes for every block: no call through {@link CallbackErrors.guarded}. */
  #onCode(address: number, size: number, user: number): void {
    // Its block hook comes first: nobody is told of a block that does not run.
    if (address === this.until) {
      this.#stop();
      return;
    }
    try {
      this.codes.get(user)?.(address, size);
    } catch (error) {
      this.errors.catch(error);
    }
  }

  /** struct uc_tb: u64 pc, u16 icount, u16 size; null before the first block. */
  #edge(pointer: number): BlockEdge {
    if (pointer === 0) return { pc: 0, instructions: 0, size: 0 };
    const counts = this.#koffi.decode.uint32(pointer + 8);
    return { pc: this.#koffi.decode.uint32(pointer), instructions: counts & 0xffff, size: counts >>> 16 };
  }
}
