/** Interrupts and exceptions through the guest's own IDT: SDM vol. 3, 6.11 to 6.13; vol. 2, INT n. */
import type { Ring } from '../cpu-state.ts';
import type { Effect } from '../effect.ts';
import { FLAG_IF, FLAG_NT, FLAG_RF, FLAG_TF, FLAG_VM } from '../flags.ts';
import { isCode, isConforming, isNullSelector, type SegmentName } from '../segmentation.ts';
import type { Cause } from '../stop.ts';
import { enter } from './code-segments.ts';
import { type Entry, fetchEntry, gateOffset, gateSelector, SYSTEM_TYPE } from './descriptors.ts';
import { innerStack } from './inner-stack.ts';
import { readSystem } from './memory-access.ts';
import { refuse, refuseLoad } from './refuse.ts';
import { Stack } from './stack.ts';
import { switchTask, taskEntry } from './task-switch.ts';
import { GENERAL_PROTECTION, NOT_PRESENT, type Situation } from './verdict.ts';

export interface Delivery {
  readonly vector: number;
  /** INT n, INT3, INTO: the gate's DPL is checked. */
  readonly software: boolean;
  /** Pushed behind the return address, for the vectors that have one. */
  readonly errorCode?: number;
  /** Where the handler returns to. */
  readonly returnEip: number;
}

const GATE_SIZE = 8;
const { interruptGate16, interruptGate32, taskGate, trapGate16, trapGate32 } = SYSTEM_TYPE;

/**
 * What the CPU does when it takes an interrupt or exception through the IDT; what goes wrong on the way is thrown as
 * in all evaluators, with error codes that say so (IDT, EXT: SDM vol. 3, 6.13).
 */
export function deliver(s: Situation, delivery: Delivery): Effect {
  const { vector, software } = delivery;
  const external = software ? 0 : 1;
  const { idtr, cpl } = s.cpu;
  const idtError = (vector << 3) | 2 | external;
  const cause: Cause = { kind: 'software-interrupt', vector };
  const refuseGate = (fault: number): never => refuse(cause, { vector: fault, errorCode: idtError });

  if (vector * GATE_SIZE + GATE_SIZE - 1 > idtr.limit) refuseGate(GENERAL_PROTECTION);
  const low = readSystem(s, idtr.base + vector * GATE_SIZE, 4);
  const high = readSystem(s, idtr.base + vector * GATE_SIZE + 4, 4);
  // With the S bit in front: a code or data descriptor is no gate.
  const type = (high >>> 8) & 0x1f;
  const isGate = [taskGate, interruptGate16, trapGate16, interruptGate32, trapGate32].some(t => t === type);
  if (!isGate) refuseGate(GENERAL_PROTECTION);
  if (software && ((high >>> 13) & 3) < cpl) refuseGate(GENERAL_PROTECTION);
  if ((high & 0x8000) === 0) refuseGate(NOT_PRESENT);
  const gate = { low, high };
  if (type === taskGate) {
    const entry = taskEntry(s, gateSelector(gate), external);
    const returning = { ...s, cpu: { ...s.cpu, eip: delivery.returnEip - s.instruction.length } };
    return switchTask(returning, entry, 'int');
  }
  const wide = (type & 8) !== 0;
  return throughGate(s, delivery, gateSelector(gate), gateOffset(gate, wide), {
    wide,
    clearsIf: (type & 1) === 0,
  });
}

interface GateKind {
  readonly wide: boolean;
  /** An interrupt gate, not a trap gate. */
  readonly clearsIf: boolean;
}

function throughGate(
  s: Situation,
  delivery: Delivery,
  selector: number,
  offset: number,
  gate: GateKind,
): Effect {
  const { cpu } = s;
  const external = delivery.software ? 0 : 1;
  const entry = handlerSegment(s, selector, external);
  const { descriptor } = entry;
  const virtual = (cpu.eflags & FLAG_VM) !== 0;
  const inward = !isConforming(descriptor) && descriptor.dpl < cpu.cpl;
  const ring = (inward ? descriptor.dpl : cpu.cpl) as Ring;
  if (virtual && ring !== 0) {
    const errorCode = (selector & 0xfffc) | external;
    refuseLoad({ register: 'cs', selector, problem: 'privilege', errorCode, descriptor });
  }
  const size = gate.wide ? 4 : 2;
  const inner = inward ? innerStack(s, ring, external) : undefined;
  const stack = inner
    ? new Stack(s, {
        register: inner.ss,
        esp: inner.esp,
        cpl: ring,
        errorCode: (inner.ss.selector & 0xfffc) | external,
      })
    : new Stack(s, {
        register: cpu.segments.ss,
        esp: cpu.registers.esp,
        cpl: cpu.cpl,
        errorCode: external,
      });
  const push = (value: number): void => stack.push(value, size);
  if (inner) {
    if (virtual) for (const name of VIRTUAL_8086_ORDER) push(cpu.segments[name].selector);
    push(cpu.segments.ss.selector);
    push(cpu.registers.esp);
  }
  push(cpu.eflags);
  push(cpu.segments.cs.selector);
  push(delivery.returnEip);
  if (delivery.errorCode !== undefined) push(delivery.errorCode);
  const to = enter(s, entry, offset, ring, external);
  const cleared = FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM | (gate.clearsIf ? FLAG_IF : 0);
  const big = inner?.ss.descriptor?.big ?? true;
  const esp = big ? stack.esp : ((cpu.registers.esp & 0xffff0000) | (stack.esp & 0xffff)) >>> 0;
  return {
    eip: to.eip,
    cpl: ring,
    eflags: (cpu.eflags & ~cleared) >>> 0,
    registers: { esp },
    segments: {
      ...(virtual ? NO_DATA_SEGMENTS : {}),
      cs: to.cs,
      ...(inner ? { ss: inner.ss } : {}),
    },
    writes: [...to.writes, ...(inner?.writes ?? []), ...stack.writes],
  };
}

/** Pushed, and then null, when virtual-8086 mode is left: SDM vol. 3, 20.3.1. */
const VIRTUAL_8086_ORDER = ['gs', 'fs', 'ds', 'es'] as const satisfies readonly SegmentName[];
const NULL = { selector: 0, descriptor: undefined };
const NO_DATA_SEGMENTS = { gs: NULL, fs: NULL, ds: NULL, es: NULL };

function handlerSegment(s: Situation, selector: number, external: number): Entry {
  const register = 'cs';
  const errorCode = (selector & 0xfffc) | external;
  if (isNullSelector(selector)) {
    refuseLoad({ register, selector, problem: 'null', errorCode: external });
  }
  const entry = fetchEntry(s, selector, { register, errorCode });
  const { descriptor } = entry;
  const refusal = { register, selector, errorCode, descriptor } as const;
  if (!isCode(descriptor)) refuseLoad({ ...refusal, problem: 'type' });
  if (descriptor.dpl > s.cpu.cpl) refuseLoad({ ...refusal, problem: 'privilege' });
  if (!descriptor.present) refuseLoad({ ...refusal, problem: 'not-present', vector: NOT_PRESENT });
  return entry;
}
