/** A stack on which the Machine itself pushes and from which it pops: limits, wrap-around and page faults as on a CPU. */
import type { Ring } from '../cpu-state.ts';
import type { LinearWrite } from '../effect.ts';
import type { SegmentRegister } from '../segmentation.ts';
import { isWritable } from '../segmentation.ts';
import { inLimit } from './limits.ts';
import { checkAccess, littleEndianWrite, readData } from './memory-access.ts';
import { refuse } from './refuse.ts';
import { type Situation, STACK_FAULT } from './verdict.ts';

export interface StackPlace {
  readonly register: SegmentRegister;
  readonly esp: number;
  /** Privilege of the accesses. */
  readonly cpl: Ring;
  /** Error code of #SS when the stack is too small: 0, or the selector of a stack that is being changed to. */
  readonly errorCode?: number;
}

export class Stack {
  readonly writes: LinearWrite[];
  readonly #s: Situation;
  readonly #place: StackPlace;
  #esp: number;

  /** @param writes what has been pushed and is not in memory yet: it is found when it is read */
  constructor(s: Situation, place: StackPlace, writes: LinearWrite[] = []) {
    this.writes = writes;
    this.#s = s;
    this.#place = place;
    this.#esp = place.esp;
  }

  /** The stack of the running program. */
  static current(s: Situation): Stack {
    return new Stack(s, { register: s.cpu.segments.ss, esp: s.cpu.registers.esp, cpl: s.cpu.cpl });
  }

  get #mask(): number {
    return this.#place.register.descriptor?.big === false ? 0xffff : 0xffffffff;
  }

  /** A 16-bit stack pointer leaves the upper word alone. */
  #moved(by: number): number {
    const mask = this.#mask;
    return (((this.#esp & ~mask) | ((this.#esp + by) & mask)) >>> 0) as number;
  }

  get esp(): number {
    return this.#esp;
  }

  push(value: number, size: 2 | 4): void {
    const esp = this.#moved(-size);
    const linear = this.#linear(esp, size, 'write');
    checkAccess(this.#s, linear, size, 'write', this.#place.cpl);
    this.writes.push(littleEndianWrite(linear, size, value));
    this.#esp = esp;
  }

  pop(size: 2 | 4): number {
    const value = this.peek(0, size);
    this.drop(size);
    return value;
  }

  /** @param above bytes above the stack pointer */
  peek(above: number, size: 2 | 4): number {
    const linear = this.#linear(this.#moved(above), size, 'read');
    let value = readData(this.#s, linear, size, this.#place.cpl);
    for (const write of this.writes) {
      for (const [i, byte] of write.bytes.entries()) {
        const at = write.linear + i - linear;
        if (at >= 0 && at < size) value = ((value & ~(0xff << (8 * at))) | (byte << (8 * at))) >>> 0;
      }
    }
    return value;
  }

  /** Raises what a write of so many bytes at the stack pointer would raise. */
  checkTop(size: 2 | 4): void {
    checkAccess(this.#s, this.#linear(this.#esp, size, 'write'), size, 'write', this.#place.cpl);
  }

  drop(bytes: number): void {
    this.#esp = this.#moved(bytes);
  }

  #linear(esp: number, size: number, access: 'read' | 'write'): number {
    const { register, errorCode = 0 } = this.#place;
    const { selector, descriptor } = register;
    const offset = (esp & this.#mask) >>> 0;
    const common = { kind: 'segment-access', register: 'ss', selector, access, offset, size } as const;
    const exception = { vector: STACK_FAULT, errorCode };
    if (!descriptor) refuse({ ...common, problem: 'null' }, exception);
    if (access === 'write' && !isWritable(descriptor)) {
      refuse({ ...common, problem: 'read-only', descriptor }, exception);
    }
    if (!inLimit(descriptor, offset, size)) refuse({ ...common, problem: 'limit', descriptor }, exception);
    return (descriptor.base + offset) >>> 0;
  }
}
