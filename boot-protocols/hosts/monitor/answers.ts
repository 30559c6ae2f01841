/**
 * `monitor`: a classic trap-and-emulate monitor with ring compression. The kernel believes that it owns ring 0; whatever
 * traps is done on a virtual CPU exactly as a bare one would do it. What does not trap, the monitor never hears of: a
 * `popf` that loses IF stays lost. Popek and Goldberg, CACM 17 (1974); Robin and Irvine, USENIX Security 2000.
 */
import type { Stop, StopOf } from '../../../emulator/stop.ts';
import {
  type Answer,
  type AnswerContext,
  carriedOut,
  emulated,
  ended,
  passed,
  type Respond,
  unanswered,
} from '../answer.ts';
import { decode } from '../instruction.ts';
import { deliver, hasIdt, softwareInterrupt } from './delivery.ts';
import { PRIVILEGED } from './privileged.ts';
import { inVirtualRing0 } from './ring.ts';
import { loadSegment, raisedAt } from './transfers.ts';

function ioplSensitive(stop: StopOf<'iopl-sensitive-instruction'>, context: AnswerContext): Answer {
  const { virtual } = context;
  switch (stop.rule) {
    case 'cli':
      return emulated('Virtual IF becomes 0.', {}, { ...virtual, interrupts: false });
    case 'sti':
      return emulated('Virtual IF becomes 1.', {}, { ...virtual, interrupts: true });
    case 'pushf':
    case 'popf':
    case 'iret':
      return unanswered('The code runs in virtual-8086 mode, which the monitor does not know.');
    default:
      return carriedOut(
        'The monitor does the port access on the virtual bus; a port without a device reads all ones.',
      );
  }
}

function privileged(stop: StopOf<'privileged-instruction'>, context: AnswerContext): Answer {
  const decoded = decode(stop);
  const emulate = Object.hasOwn(PRIVILEGED, stop.rule) ? PRIVILEGED[stop.rule] : undefined;
  if (!decoded || !emulate) return unanswered(`The monitor does not know ${stop.rule}.`);
  return emulate(stop, decoded, context);
}

/** In the kernel's user mode every trap goes to the kernel. */
const toKernel = (stop: Stop, context: AnswerContext): Answer =>
  deliver(stop, context, raisedAt(stop), "It is outside the kernel's ring.");

function pageFault(stop: StopOf<'page-fault'>, context: AnswerContext): Answer {
  if (stop.problem === 'supervisor' && stop.cpu.cpl === 3)
    return unanswered(
      'Ring 3 cannot use supervisor pages: only a monitor with shadow page tables goes on here.',
    );
  return hasIdt(stop)
    ? deliver(stop, context, raisedAt(stop))
    : {
        kind: 'killed',
        sentence: 'The kernel has no IDT yet: the virtual CPU shuts down, as a bare one would.',
      };
}

/** A hole in the physical addresses, which has nothing to do with privilege: the bus of the machine answers. */
const emptyBus = ({ address, size }: StopOf<'memory-hole'>): Answer => ({
  kind: 'passed',
  sentence:
    'No memory is there: as on a bare machine a read gives all ones and a write is lost, without a fault.',
  continuation: { type: 'let-pass', emptyBus: { address, size } },
});

export const monitor: Respond = (stop, context): Answer => {
  switch (stop.kind) {
    case 'iopl-sensitive-instruction':
      return inVirtualRing0(stop, context) ? ioplSensitive(stop, context) : toKernel(stop, context);
    case 'privileged-instruction':
      return inVirtualRing0(stop, context) ? privileged(stop, context) : toKernel(stop, context);
    case 'segment-load':
      if (!stop.exception) return passed('Nothing traps: the CPU goes on.');
      return inVirtualRing0(stop, context) ? loadSegment(stop, context) : toKernel(stop, context);
    case 'popf':
    case 'iret':
    case 'sensitive':
      return passed('Nothing traps: the monitor never hears of it, and the flag keeps its value.');
    case 'software-interrupt':
      return inVirtualRing0(stop, context)
        ? softwareInterrupt(stop, context, stop.vector)
        : toKernel(stop, context);
    case 'page-fault':
      return pageFault(stop, context);
    case 'invalid-opcode':
    case 'forced-emulation':
    case 'exception':
    case 'segment-access':
      return deliver(stop, context, raisedAt(stop), 'A bare CPU raises it too.');
    case 'halt':
      return ended('The kernel halts, and no interrupt comes here.');
    case 'shutdown':
      return ended('A bare CPU would shut down too: the kernel has no handler.');
    case 'hypercall':
      return unanswered('A monitor for unmodified kernels answers no hypercalls.');
    case 'memory-hole':
      return stop.access === 'fetch'
        ? unanswered('There is no code at this address, on a bare machine either.')
        : emptyBus(stop);
    case 'rom-write':
      return unanswered('The monitor does not know how a machine drops a write to ROM.');
    case 'loader-memory':
      return unanswered("The page is the loader's, and the kernel has no business in it.");
    case 'long-mode':
      return unanswered('The kernel goes on in 64-bit code, and startup32 runs 32-bit code only.');
    default:
      return unanswered('The run ended for a reason of its own.');
  }
};
