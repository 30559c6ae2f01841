/** Segment loads, far transfers and accesses through segments, checked in the order of the SDM (vol. 3, 5.5 to 5.8). */
import type { TableRegister } from '../cpu-state.ts';
import { FLAG_DF } from '../flags.ts';
import type { MemoryUse } from '../instructions.ts';
import {
  type Descriptor,
  decodeDescriptor,
  isCode,
  isConforming,
  isData,
  isExpandDown,
  isNullSelector,
  isReadable,
  isWritable,
  type SegmentName,
  selectorRpl,
  selectorUsesLdt,
} from '../segmentation.ts';
import type { Exception, SegmentLoadProblem } from '../stop.ts';
import {
  GENERAL_PROTECTION,
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

const DESCRIPTOR_SIZE = 8;

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

/** Task segments, task gates and call gates: SDM vol. 3, table 3-2. */
const TRANSFER_TYPES: ReadonlySet<number> = new Set([0x1, 0x3, 0x4, 0x5, 0x9, 0xb, 0xc]);

/** SDM vol. 2, JMP: a far jump to a code segment at the same privilege. Gates and tasks are left to the CPU. */
function checkCode(s: Situation, selector: number, d: Descriptor): LoadCheck | undefined {
  if (!d.codeOrData && TRANSFER_TYPES.has(d.type)) return undefined;
  if (!isCode(d)) return { problem: 'type', exception: selectorError(selector) };
  const allowed = isConforming(d)
    ? d.dpl <= s.cpu.cpl
    : d.dpl === s.cpu.cpl && selectorRpl(selector) <= s.cpu.cpl;
  if (!allowed) return { problem: 'privilege', exception: selectorError(selector) };
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
    return s.state.noGdt ? stop({ kind: 'segment-load', register, selector, problem: 'no-gdt' }) : RUN;
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

/** Loading CS by a far JMP or CALL to `selector`. */
export function codeLoad(s: Situation, selector: number, offset: number | undefined): Verdict {
  const register = 'cs';
  if (isNullSelector(selector)) {
    return stop({ kind: 'segment-load', register, selector, problem: 'null' }, generalProtection(0));
  }
  const { descriptor, problem } = lookUp(s, selector);
  if (problem) return stop({ kind: 'segment-load', register, selector, problem }, selectorError(selector));
  if (!descriptor) return RUN;
  const check = checkCode(s, selector, descriptor);
  if (!check) {
    const beyond = offset !== undefined && descriptor.codeOrData && offset > descriptor.limit;
    if (!beyond) return RUN;
    const access = { kind: 'segment-access', register, selector, access: 'fetch', offset, size: 1 } as const;
    return stop({ ...access, problem: 'limit', descriptor }, generalProtection(0));
  }
  return stop(
    { kind: 'segment-load', register, selector, problem: check.problem, descriptor },
    check.exception,
  );
}

/** Loading CS by a far RET or IRET to `selector`: SDM vol. 2, RET and IRET, up to the code segment. */
export function codeReturn(s: Situation, selector: number): Verdict {
  const register = 'cs';
  if (isNullSelector(selector)) {
    return stop({ kind: 'segment-load', register, selector, problem: 'null' }, generalProtection(0));
  }
  const { descriptor, problem } = lookUp(s, selector);
  if (problem) return stop({ kind: 'segment-load', register, selector, problem }, selectorError(selector));
  if (!descriptor) return RUN;
  const rpl = selectorRpl(selector);
  const refuse = (p: SegmentLoadProblem, exception: Exception): Verdict =>
    stop({ kind: 'segment-load', register, selector, problem: p, descriptor }, exception);
  if (!isCode(descriptor)) return refuse('type', selectorError(selector));
  if (rpl < s.cpu.cpl) return refuse('rpl', selectorError(selector));
  if (isConforming(descriptor) ? descriptor.dpl > rpl : descriptor.dpl !== rpl) {
    return refuse('privilege', selectorError(selector));
  }
  if (!descriptor.present)
    return refuse('not-present', { vector: NOT_PRESENT, errorCode: selector & 0xfffc });
  return RUN;
}

/** The selector that LLDT, LTR, MOV or a far pointer in memory names. */
export function memorySelector(s: Situation, use: MemoryUse, offsetInOperand: number): number | undefined {
  const base = s.cpu.segments[use.segment].descriptor?.base ?? 0;
  return littleEndian(s.read((base + use.offset + offsetInOperand) >>> 0, 2));
}

/** SDM vol. 3, 5.3: whether [offset, offset + size) lies in the segment. */
export function inLimit(d: Descriptor, offset: number, size: number): boolean {
  const last = offset + Math.max(size, 1) - 1;
  if (!isExpandDown(d)) return last <= d.limit;
  return offset > d.limit && last <= (d.big ? 0xffffffff : 0xffff);
}

/** The memory that a repeated string instruction goes through, as one operand: SDM vol. 2, REP. */
function span(s: Situation, use: MemoryUse): MemoryUse {
  if (!s.instruction.repeated) return use;
  const bytes = use.size * s.cpu.registers.ecx;
  const down = (s.cpu.eflags & FLAG_DF) !== 0;
  return { ...use, offset: down ? use.offset + use.size - bytes : use.offset, size: bytes };
}

/** An access through a segment, which no engine checks: the first operand that faults. */
export function segmentAccess(s: Situation): Verdict {
  for (const operand of s.instruction.memory) {
    const use = span(s, operand);
    // A code segment is never writable: SDM vol. 3, 5.5.
    const checked = s.state.notFlat.has(use.segment) || (use.segment === 'cs' && use.write);
    if (!checked || use.size === 0) continue;
    const { selector, descriptor } = s.cpu.segments[use.segment];
    const access = use.write ? 'write' : 'read';
    const common = {
      kind: 'segment-access' as const,
      register: use.segment,
      selector,
      access: access as 'read' | 'write',
      offset: operand.offset,
      size: operand.size,
    };
    const exception = { vector: use.segment === 'ss' ? STACK_FAULT : GENERAL_PROTECTION, errorCode: 0 };
    if (!descriptor) return stop({ ...common, problem: 'null' }, generalProtection(0));
    if (!descriptor.present) return stop({ ...common, problem: 'not-present', descriptor }, exception);
    if (use.write && !isWritable(descriptor)) {
      return stop({ ...common, problem: 'read-only', descriptor }, generalProtection(0));
    }
    if (!use.write && !isReadable(descriptor)) {
      return stop({ ...common, problem: 'execute-only', descriptor }, generalProtection(0));
    }
    if (use.offset < 0 || !inLimit(descriptor, use.offset, use.size)) {
      return stop({ ...common, problem: 'limit', descriptor }, exception);
    }
  }
  return RUN;
}
