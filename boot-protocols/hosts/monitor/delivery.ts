/** An exception or INT n through the guest's own IDT, in its own ring, as a monitor with ring compression does it. */
import { FLAG_NT, FLAG_RF, FLAG_TF, FLAG_VM } from '../../../emulator/flags.ts';
import { isCode } from '../../../emulator/segmentation.ts';
import type { Exception, Stop } from '../../../emulator/stop.ts';
import { DOUBLE_FAULT, GENERAL_PROTECTION, SEGMENT_NOT_PRESENT } from '../../../emulator/vectors.ts';
import { type Answer, type AnswerContext, killed, unanswered } from '../answer.ts';
import { movedStack, nextEip, readWord, stackAddress, wordBytes } from '../instruction.ts';
import { virtualFlags } from '../virtual-cpu.ts';
import { codeRegister, lookUp, virtualSelector } from './ring.ts';

const GATE_SIZE = 8;
/** Gate types, SDM vol. 3, table 3-2. */
const INTERRUPT_GATE = 0xe;
const TRAP_GATE = 0xf;
const PRESENT = 0x8000;

/** Contributory exceptions and the page fault: a fault while one is delivered is a double fault. SDM vol. 3, table 6-5. */
const NOT_BENIGN: ReadonlySet<number> = new Set([0, 10, 11, 12, 13, 14]);
/** EXT and IDT bits of an error code: SDM vol. 3, figure 6-6. */
const IDT_ENTRY = 2;
const EXTERNAL = 1;

const SHUTDOWN = "The kernel's own IDT has no usable gate: the virtual CPU shuts down.";

interface Gate {
  readonly selector: number;
  readonly offset: number;
  readonly dpl: number;
  readonly interrupt: boolean;
}

type Found = { readonly gate: Gate } | { readonly fault: Exception } | { readonly task: true };

function readGate(stop: Stop, { read }: AnswerContext, vector: number): Found {
  const { base, limit } = stop.cpu.idtr;
  const entry = (vector << 3) | IDT_ENTRY | EXTERNAL;
  const low = readWord(read, base + vector * GATE_SIZE, 4);
  const high = readWord(read, base + vector * GATE_SIZE + 4, 4);
  if (vector * GATE_SIZE + GATE_SIZE - 1 > limit || low === undefined || high === undefined)
    return { fault: { vector: GENERAL_PROTECTION, errorCode: entry } };
  const type = (high >>> 8) & 0x1f;
  if (type === 0x5 || type === 0x6 || type === 0x7) return { task: true };
  if (type !== INTERRUPT_GATE && type !== TRAP_GATE)
    return { fault: { vector: GENERAL_PROTECTION, errorCode: entry } };
  if ((high & PRESENT) === 0) return { fault: { vector: SEGMENT_NOT_PRESENT, errorCode: entry } };
  return {
    gate: {
      selector: low >>> 16,
      offset: ((high & 0xffff0000) | (low & 0xffff)) >>> 0,
      dpl: (high >>> 13) & 3,
      interrupt: type === INTERRUPT_GATE,
    },
  };
}

/** Whether the guest has a handler at all for an exception, or for the double fault that it then becomes. */
export const hasIdt = ({ cpu }: Stop): boolean => cpu.idtr.limit >= GATE_SIZE - 1;

/**
 * Delivers an exception to the guest.
 *
 * @param sentence what happened before it, e.g. why a value was refused
 */
export function deliver(stop: Stop, context: AnswerContext, exception: Exception, sentence?: string): Answer {
  const { vector, errorCode } = exception;
  const found = readGate(stop, context, vector);
  if ('task' in found)
    return unanswered('The gate is a task gate or has 16 bits, which the monitor does not know.');
  if ('fault' in found) {
    if (vector === DOUBLE_FAULT) return killed(SHUTDOWN);
    const next = NOT_BENIGN.has(vector) ? { vector: DOUBLE_FAULT, errorCode: 0 } : found.fault;
    return deliver(stop, context, next, sentence);
  }
  return enterGate(stop, context, found.gate, {
    vector,
    returnTo: stop.cpu.eip,
    sentence: `${sentence === undefined ? '' : `${sentence} `}The exception goes through the kernel's own IDT.`,
    ...(errorCode === undefined ? {} : { errorCode }),
  });
}

/** INT n, INT3, INTO at virtual CPL 0: no check of the gate's DPL can fail. SDM vol. 2, INT n. */
export function softwareInterrupt(stop: Stop, context: AnswerContext, vector: number): Answer {
  const found = readGate(stop, context, vector);
  if ('task' in found)
    return unanswered('The gate is a task gate or has 16 bits, which the monitor does not know.');
  if ('fault' in found) {
    const { fault } = found;
    return deliver(stop, context, { ...fault, errorCode: (fault.errorCode ?? 0) & ~EXTERNAL });
  }
  return enterGate(stop, context, found.gate, {
    vector,
    returnTo: nextEip(stop),
    sentence: "It goes through the kernel's own IDT, whose gates are for virtual ring 0 too.",
  });
}

interface Entry {
  readonly vector: number;
  readonly errorCode?: number;
  readonly returnTo: number;
  readonly sentence: string;
}

/** SDM vol. 3, 6.12.1: the same ring, so no stack switch. */
function enterGate(stop: Stop, context: AnswerContext, gate: Gate, entry: Entry): Answer {
  const { cpu } = stop;
  const { virtual, read } = context;
  const descriptor = lookUp(stop, read, gate.selector);
  if (!descriptor || !isCode(descriptor) || !descriptor.present) {
    if (entry.vector === DOUBLE_FAULT) return killed(SHUTDOWN);
    const error = { vector: DOUBLE_FAULT, errorCode: 0 };
    return deliver(stop, context, error, "The gate's selector names no code segment.");
  }
  const pushed = [
    virtualFlags(cpu.eflags, virtual),
    virtualSelector(stop, context, cpu.segments.cs.selector),
    entry.returnTo,
    ...(entry.errorCode === undefined ? [] : [entry.errorCode]),
  ];
  const writes = pushed.map((value, index) => ({
    linear: stackAddress(stop, -4 * (index + 1)),
    bytes: wordBytes(value, 4),
  }));
  if (writes.some(({ linear }) => read(linear, 4).length < 4))
    return killed(
      'The stack is not there: the exception becomes a double fault, and the virtual CPU shuts down.',
    );
  return {
    kind: 'reflected',
    sentence: entry.sentence,
    citation: 'SDM vol. 3, 6.12.1',
    continuation: {
      type: 'delivered',
      effect: {
        registers: { esp: movedStack(stop, -4 * pushed.length) },
        eflags: (cpu.eflags & ~(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM)) >>> 0,
        eip: gate.offset,
        segments: { cs: codeRegister(context, gate.selector, descriptor) },
        writes,
      },
    },
    virtual: { ...virtual, interrupts: virtual.interrupts && !gate.interrupt },
  };
}
