/** Loads of segment registers, LDTR and TR, checked in the order of the SDM (vol. 3, 5.5 and 5.6). */
import type { TableRegister } from '../cpu-state.ts';
import type { MemoryUse } from '../decode/memory.ts';
import {
  DESCRIPTOR_SIZE,
  type Descriptor,
  decodeDescriptor,
  isConforming,
  isData,
  isNullSelector,
  isReadable,
  isWritable,
  type SegmentName,
  selectorRpl,
  selectorUsesLdt,
} from '../segmentation.ts';
import type { Exception, SegmentLoadProblem } from '../stop.ts';
import { fetchEntry, SYSTEM_TYPE } from './descriptors.ts';
import { selectorOperand } from './operands.ts';
import { refuseLoad } from './refuse.ts';
import { isAvailableTss } from './task-switch.ts';
import {
  generalProtection,
  littleEndian,
  NOT_PRESENT,
  RUN,
  readWord,
  type Situation,
  STACK_FAULT,
  stop,
  type Verdict,
} from './verdict.ts';

export { inLimit } from './limits.ts';

export interface SelectorLookup {
  readonly descriptor?: Descriptor;
  readonly problem?: 'no-gdt' | 'no-ldt' | 'limit';
}

/** The descriptor that a selector names, read as the CPU reads it. */
export function lookUp(s: Situation, selector: number): SelectorLookup {
  let table: TableRegister = s.cpu.gdtr;
  if (selectorUsesLdt(selector)) {
    const ldt = s.cpu.ldtr.descriptor;
    if (!ldt) return { problem: 'no-ldt' };
    table = ldt;
  } else if (s.state.noGdt) return { problem: 'no-gdt' };
  const offset = selector & 0xfff8;
  if (offset + DESCRIPTOR_SIZE - 1 > table.limit) return { problem: 'limit' };
  const low = readWord(s, table.base + offset, 4);
  const high = readWord(s, table.base + offset + 4, 4);
  if (low === undefined || high === undefined) return {};
  return { descriptor: decodeDescriptor(low, high) };
}

interface LoadCheck {
  readonly problem: SegmentLoadProblem;
  readonly exception: Exception | undefined;
}

const selectorError = (selector: number): Exception => generalProtection(selector & 0xfffc);

/** SDM vol. 2, MOV: loading SS. */
function checkStack(s: Situation, selector: number, d: Descriptor): LoadCheck | undefined {
  if (selectorRpl(selector) !== s.cpu.cpl) return { problem: 'rpl', exception: selectorError(selector) };
  if (!isWritable(d)) return { problem: 'type', exception: selectorError(selector) };
  if (d.dpl !== s.cpu.cpl) return { problem: 'privilege', exception: selectorError(selector) };
  if (!d.present) {
    return { problem: 'not-present', exception: { vector: STACK_FAULT, errorCode: selector & 0xfffc } };
  }
  return undefined;
}

/** SDM vol. 2, MOV: loading DS, ES, FS, GS. */
function checkData(s: Situation, selector: number, d: Descriptor): LoadCheck | undefined {
  if (!d.codeOrData || !isReadable(d)) return { problem: 'type', exception: selectorError(selector) };
  const checked = isData(d) || !isConforming(d);
  if (checked && (selectorRpl(selector) > d.dpl || s.cpu.cpl > d.dpl)) {
    return { problem: 'privilege', exception: selectorError(selector) };
  }
  if (!d.present) {
    return { problem: 'not-present', exception: { vector: NOT_PRESENT, errorCode: selector & 0xfffc } };
  }
  return undefined;
}

/** Loading a segment register (not CS) with `selector`. */
export function segmentLoad(s: Situation, register: Exclude<SegmentName, 'cs'>, selector: number): Verdict {
  if (isNullSelector(selector)) {
    if (register === 'ss') {
      return stop({ kind: 'segment-load', register, selector, problem: 'null' }, generalProtection(0));
    }
    // Legal, and the segment is unusable from then on: with no table there is no way back.
    const isLoss = s.state.noGdt && s.stopOn !== 'fault';
    return isLoss ? stop({ kind: 'segment-load', register, selector, problem: 'no-gdt' }) : RUN;
  }
  const { descriptor, problem } = lookUp(s, selector);
  if (problem) return stop({ kind: 'segment-load', register, selector, problem }, selectorError(selector));
  if (!descriptor) return RUN;
  const check = register === 'ss' ? checkStack(s, selector, descriptor) : checkData(s, selector, descriptor);
  if (!check) return RUN;
  return stop(
    { kind: 'segment-load', register, selector, problem: check.problem, descriptor },
    check.exception,
  );
}

/** The selector that LLDT, LTR, MOV or a far pointer in memory names. */
export function memorySelector(s: Situation, use: MemoryUse, offsetInOperand: number): number | undefined {
  const base = s.cpu.segments[use.segment].descriptor?.base ?? 0;
  return littleEndian(s.read((base + use.offset + offsetInOperand) >>> 0, 2));
}

/** LLDT at CPL 0: SDM vol. 2. The engine loads what passes. */
export function loadLdtr(s: Situation): Verdict {
  const register = 'ldtr';
  const selector = selectorOperand(s);
  if (isNullSelector(selector)) return RUN;
  if (selectorUsesLdt(selector)) refuseLoad({ register, selector, problem: 'type' });
  const { descriptor } = fetchEntry(s, selector, { register });
  const refusal = { register, selector, descriptor } as const;
  if (descriptor.codeOrData || descriptor.type !== SYSTEM_TYPE.ldt) {
    refuseLoad({ ...refusal, problem: 'type' });
  }
  if (!descriptor.present) refuseLoad({ ...refusal, problem: 'not-present', vector: NOT_PRESENT });
  return RUN;
}

/** LTR at CPL 0: SDM vol. 2. A null selector, which engines take, is #GP(0). */
export function loadTaskRegister(s: Situation): Verdict {
  const register = 'tr';
  const selector = selectorOperand(s);
  if (isNullSelector(selector)) refuseLoad({ register, selector, problem: 'null', errorCode: 0 });
  if (selectorUsesLdt(selector)) refuseLoad({ register, selector, problem: 'type' });
  const { descriptor } = fetchEntry(s, selector, { register });
  const refusal = { register, selector, descriptor } as const;
  if (!isAvailableTss(descriptor)) refuseLoad({ ...refusal, problem: 'type' });
  if (!descriptor.present) refuseLoad({ ...refusal, problem: 'not-present', vector: NOT_PRESENT });
  return RUN;
}
