/** Segment loads and far transfers as in virtual ring 0, for a kernel that runs in an outer ring. SDM vol. 3, 5.5 to 5.8. */

import type { DecodedInstruction } from '../../../emulator/decode/instruction.ts';
import type { Effect } from '../../../emulator/effect.ts';
import { FLAG_IF, FLAG_IOPL, flagsAfterPop, iopl } from '../../../emulator/flags.ts';
import {
  type Descriptor,
  isCode,
  isConforming,
  isData,
  isReadable,
  isWritable,
  type SegmentName,
  type SegmentRegister,
} from '../../../emulator/segmentation.ts';
import type { Exception, Stop, StopOf } from '../../../emulator/stop.ts';
import { GENERAL_PROTECTION, SEGMENT_NOT_PRESENT, STACK_FAULT } from '../../../emulator/vectors.ts';
import { type Answer, type AnswerContext, emulated, unanswered } from '../answer.ts';
import {
  decode,
  mergeLow,
  movedStack,
  nextEip,
  operandAddress,
  readWord,
  registerOf,
  stackAddress,
  wordBytes,
} from '../instruction.ts';
import type { VirtualCpu } from '../virtual-cpu.ts';
import { deliver } from './delivery.ts';
import {
  accessedWrite,
  codeRegister,
  dataRegister,
  lookUp,
  stackRegister,
  virtualRpl,
  virtualSelector,
} from './ring.ts';

type SegmentLoadStop = StopOf<'segment-load'>;

const refusal = (vector: number, selector: number): Exception => ({ vector, errorCode: selector & 0xfffc });

/** What virtual ring 0 would raise for this load; `undefined` when it is allowed. */
function refusedInRing0(
  stop: SegmentLoadStop,
  context: AnswerContext,
  descriptor: Descriptor,
): Exception | undefined {
  const { register, selector } = stop;
  const rpl = virtualRpl(context, selector);
  if (register === 'ss') {
    if (rpl !== 0 || !isWritable(descriptor) || descriptor.dpl !== 0) {
      return refusal(GENERAL_PROTECTION, selector);
    }
    return descriptor.present ? undefined : refusal(STACK_FAULT, selector);
  }
  if (register === 'cs') {
    if (!isCode(descriptor) || rpl !== 0 || descriptor.dpl !== 0)
      return refusal(GENERAL_PROTECTION, selector);
  } else {
    const checked = isData(descriptor) || !isConforming(descriptor);
    const allowed = descriptor.codeOrData && isReadable(descriptor) && (!checked || rpl <= descriptor.dpl);
    if (!allowed) return refusal(GENERAL_PROTECTION, selector);
  }
  return descriptor.present ? undefined : refusal(SEGMENT_NOT_PRESENT, selector);
}

/** A load or transfer that the CPU refuses to the real ring. */
export function loadSegment(stop: SegmentLoadStop, context: AnswerContext): Answer {
  const { exception, selector } = stop;
  if (!exception) return unanswered('Nothing traps here.');
  const descriptor = lookUp(stop, context.read, selector);
  if (!descriptor) return deliver(stop, context, exception, 'On a bare CPU it faults too.');
  const refused = refusedInRing0(stop, context, descriptor);
  if (refused) return deliver(stop, context, refused, 'On a bare CPU it faults too.');
  const decoded = decode(stop);
  if (!decoded) return unanswered('The instruction cannot be read.');
  return stop.register === 'cs'
    ? transfer(stop, context, decoded, descriptor)
    : dataLoad(stop, context, decoded, descriptor);
}

function hidden(stop: SegmentLoadStop, context: AnswerContext, descriptor: Descriptor): SegmentRegister {
  const make = stop.register === 'ss' ? stackRegister : dataRegister;
  return make(context, stop.selector, descriptor);
}

/** A load of the kernel's own descriptor, which the real ring may not load from the kernel's own table. */
const compressedLoad = (detail: string, effect: Effect, virtual?: VirtualCpu): Answer => ({
  ...emulated(
    "The monitor loads the segment from the kernel's own table, with a DPL below the kernel's ring raised to it.",
    effect,
    virtual,
  ),
  citation: 'Robin and Irvine, USENIX Security 2000',
  detail,
});

function dataLoad(
  stop: SegmentLoadStop,
  context: AnswerContext,
  decoded: DecodedInstruction,
  descriptor: Descriptor,
): Answer {
  const register = stop.register as Exclude<SegmentName, 'cs'>;
  const { mnemonic, operandSize, generalRegister } = decoded;
  const size = operandSize === 16 ? 2 : 4;
  const effect: Effect = {
    segments: { [register]: hidden(stop, context, descriptor) },
    writes: accessedWrite(stop, stop.selector, descriptor),
  };
  const detail = `${register.toUpperCase()} gets the kernel's own descriptor, with DPL ${descriptor.dpl} raised to its ring.`;
  const emulated = (loaded: Effect): Answer => compressedLoad(detail, loaded);
  if (mnemonic === 'mov') return emulated(effect);
  if (mnemonic === 'pop') return emulated({ ...effect, registers: { esp: movedStack(stop, size) } });
  const address = operandAddress(stop, decoded);
  const offset = address === undefined ? undefined : readWord(context.read, address, size);
  if (offset === undefined || generalRegister === undefined) return unanswered('Its operand cannot be read.');
  const value = mergeLow(registerOf(stop, generalRegister), offset, size);
  return emulated({ ...effect, registers: { [generalRegister]: value } });
}

function transfer(
  stop: SegmentLoadStop,
  context: AnswerContext,
  decoded: DecodedInstruction,
  descriptor: Descriptor,
): Answer {
  const { mnemonic, farPointer, operandSize } = decoded;
  const size = operandSize === 16 ? 2 : 4;
  const cs = codeRegister(context, stop.selector, descriptor);
  const common: Effect = {
    segments: { cs },
    writes: accessedWrite(stop, stop.selector, descriptor),
  };
  const detail = `CS gets the kernel's own descriptor, with DPL ${descriptor.dpl} raised to its ring.`;
  const emulated = (loaded: Effect): Answer => compressedLoad(detail, loaded);
  const onStack = (index: number): number | undefined =>
    readWord(context.read, stackAddress(stop, index * size), size);
  switch (mnemonic) {
    case 'jmp':
    case 'call': {
      const address = operandAddress(stop, decoded);
      const offset =
        farPointer?.offset ?? (address === undefined ? undefined : readWord(context.read, address, size));
      if (offset === undefined) return unanswered('Its operand cannot be read.');
      if (mnemonic === 'jmp') return emulated({ ...common, eip: offset });
      const pushed = [virtualSelector(stop, context, stop.cpu.segments.cs.selector), nextEip(stop)];
      return emulated({
        ...common,
        eip: offset,
        registers: { esp: movedStack(stop, -size * pushed.length) },
        writes: [
          ...(common.writes ?? []),
          ...pushed.map((value, index) => ({
            linear: stackAddress(stop, -size * (index + 1)),
            bytes: wordBytes(value, size),
          })),
        ],
      });
    }
    case 'retf': {
      const eip = onStack(0);
      if (eip === undefined) return unanswered('The stack cannot be read.');
      return emulated({
        ...common,
        eip,
        registers: { esp: movedStack(stop, 2 * size + (decoded.immediate & 0xffff)) },
      });
    }
    case 'iretd':
    case 'iret':
    case 'iretw': {
      const eip = onStack(0);
      const image = onStack(2);
      if (eip === undefined || image === undefined) return unanswered('The stack cannot be read.');
      const { cpu } = stop;
      return compressedLoad(
        `${detail} Virtual IF becomes ${(image & FLAG_IF) === 0 ? 0 : 1}, as the frame asks.`,
        {
          ...common,
          eip,
          // Real IF and IOPL stay the host's.
          eflags: realFlags(cpu.eflags, flagsAfterPop(cpu.eflags, image, cpu.cpl, operandSize, 'iret')),
          registers: { esp: movedStack(stop, 3 * size) },
        },
        { ...context.virtual, interrupts: (image & FLAG_IF) !== 0, iopl: iopl(image) },
      );
    }
    default:
      return unanswered(`The monitor does not know ${mnemonic}.`);
  }
}

const HOST_FLAGS = FLAG_IF | FLAG_IOPL;
const realFlags = (real: number, asked: number): number =>
  ((asked & ~HOST_FLAGS) | (real & HOST_FLAGS)) >>> 0;

export const raisedAt = (stop: Stop): Exception =>
  stop.exception ?? { vector: GENERAL_PROTECTION, errorCode: 0 };
