/** Accesses through segments, which no engine checks: SDM vol. 3, 5.3 to 5.5; alignment, vol. 3, 6.15 (interrupt 17). */

import type { MemoryUse } from '../decode/memory.ts';
import { FLAG_DF } from '../flags.ts';
import { isReadable, isWritable } from '../segmentation.ts';
import { inLimit } from './limits.ts';
import { refuse, verdictOf } from './refuse.ts';
import {
  GENERAL_PROTECTION,
  generalProtection,
  RUN,
  type Situation,
  STACK_FAULT,
  type Verdict,
} from './verdict.ts';

const ALIGNMENT_CHECK = 17;

/** Refuses one operand, or does nothing. */
export function checkUse(s: Situation, operand: MemoryUse): void {
  if (operand.size === 0) return;
  checkSegment(s, operand);
  if (s.state.alignment) checkAlignment(s, operand);
}

/** A push or pop with a 16-bit stack segment goes by SP, whatever the code segment. */
function effective(s: Situation, use: MemoryUse): MemoryUse {
  const narrow = use.implicit && s.cpu.segments.ss.descriptor?.big === false;
  return narrow ? { ...use, offset: use.offset & 0xffff } : use;
}

function checkSegment(s: Situation, operand: MemoryUse): void {
  const use = effective(s, operand);
  // A code segment is never writable: SDM vol. 3, 5.5.
  if (!s.state.notFlat.has(use.segment) && !(use.segment === 'cs' && use.write)) return;
  const { selector, descriptor } = s.cpu.segments[use.segment];
  const common = {
    kind: 'segment-access' as const,
    register: use.segment,
    selector,
    access: use.write ? ('write' as const) : ('read' as const),
    offset: use.offset,
    size: use.size,
  };
  const exception = { vector: use.segment === 'ss' ? STACK_FAULT : GENERAL_PROTECTION, errorCode: 0 };
  if (!descriptor) refuse({ ...common, problem: 'null' }, generalProtection(0));
  if (!descriptor.present) refuse({ ...common, problem: 'not-present', descriptor }, exception);
  if (use.write && !isWritable(descriptor)) {
    refuse({ ...common, problem: 'read-only', descriptor }, generalProtection(0));
  }
  if (!use.write && !isReadable(descriptor)) {
    refuse({ ...common, problem: 'execute-only', descriptor }, generalProtection(0));
  }
  if (!inLimit(descriptor, use.offset, use.size)) {
    refuse({ ...common, problem: 'limit', descriptor }, exception);
  }
}

/** Bytes that an operand of a size is to be aligned to: SDM vol. 3, table 6-7. Larger ones have rules of their own. */
const ALIGNMENT: Readonly<Record<number, number>> = { 2: 2, 4: 4, 6: 4, 8: 8, 10: 8 };

function checkAlignment(s: Situation, operand: MemoryUse): void {
  const { segment, offset, size } = effective(s, operand);
  const alignment = ALIGNMENT[size];
  const base = s.cpu.segments[segment].descriptor?.base ?? 0;
  if (alignment === undefined || (base + offset) % alignment === 0) return;
  refuse({ kind: 'exception' }, { vector: ALIGNMENT_CHECK, errorCode: 0 });
}

/** In the order of the accesses: what is read comes before what is written. */
function inOrder(s: Situation): readonly MemoryUse[] {
  const { memory } = s.instruction;
  return memory.length < 2 ? memory : [...memory].sort((a, b) => Number(a.write) - Number(b.write));
}

/** Every operand of the instruction that is asked for, up to the first that faults. */
export function checkAccesses(s: Situation, isAskedFor: (use: MemoryUse) => boolean = () => true): void {
  for (const use of inOrder(s)) if (isAskedFor(use)) checkUse(s, use);
}

/**
 * A repeated string instruction does what it can before it faults: the registers then stand at the iteration that
 * does.
 */
export function stringAccesses(s: Situation): Verdict {
  const mask = s.instruction.addressSize === 16 ? 0xffff : 0xffffffff;
  const count = (s.cpu.registers.ecx & mask) >>> 0;
  if (count === 0) return RUN;
  const iterations = Math.min(...s.instruction.memory.map(use => allowedIterations(s, use, mask, count)));
  if (iterations >= count) return RUN;
  if (iterations === 0) checkAccesses(s);
  return iterations === 0 ? RUN : { type: 'partly', iterations };
}

/** Iterations that are looked at one by one before some of them run. */
const LONGEST_LOOK = 4096;

/** How many iterations go through before the first in which this operand faults. */
function allowedIterations(s: Situation, use: MemoryUse, mask: number, count: number): number {
  const passes = (part: MemoryUse): boolean => {
    const verdict = verdictOf(() => {
      checkUse(s, part);
      return RUN;
    });
    return verdict.type === 'run';
  };
  const step = (s.cpu.eflags & FLAG_DF) === 0 ? use.size : -use.size;
  const lowest = step > 0 ? use.offset : use.offset + (count - 1) * step;
  const size = count * use.size;
  if (!passes(use)) return 0;
  // Aligned once is aligned always.
  const whole = { ...use, offset: lowest, size };
  if (lowest >= 0 && lowest + size - 1 <= mask && passes(whole)) return count;
  // Offsets wrap around, and segments may be expand-down: no closed form is right for all of them.
  const longest = Math.min(count, LONGEST_LOOK);
  for (let i = 1; i < longest; i++) {
    if (!passes({ ...use, offset: ((use.offset + i * step) & mask) >>> 0 })) return i;
  }
  return longest;
}
