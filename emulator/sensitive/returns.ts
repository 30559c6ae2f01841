/** What far RET and IRET to an outer ring have in common: the caller's stack, and data segments that are taken away. */
import type { Ring } from '../cpu-state.ts';
import type { Effect, LinearWrite } from '../effect.ts';
import {
  isCode,
  isConforming,
  isWritable,
  type SegmentName,
  type SegmentRegister,
  selectorRpl,
} from '../segmentation.ts';
import { DATA_SEGMENTS, fetchNonNull, loaded, touch } from './descriptors.ts';
import { refuseLoad } from './refuse.ts';
import { type Situation, STACK_FAULT } from './verdict.ts';

const NULL: SegmentRegister = { selector: 0, descriptor: undefined };

export interface OuterStack {
  readonly ss: SegmentRegister;
  readonly writes: readonly LinearWrite[];
}

/** SS from the frame: SDM vol. 2, RET, RETURN-TO-OUTER-PRIVILEGE-LEVEL. */
export function outerStack(s: Situation, selector: number, cpl: Ring): OuterStack {
  const register = 'ss';
  const entry = fetchNonNull(s, selector, { register });
  const { descriptor } = entry;
  const refusal = { register, selector, descriptor } as const;
  if (selectorRpl(selector) !== cpl) refuseLoad({ ...refusal, problem: 'rpl' });
  if (!isWritable(descriptor)) refuseLoad({ ...refusal, problem: 'type' });
  if (descriptor.dpl !== cpl) refuseLoad({ ...refusal, problem: 'privilege' });
  if (!descriptor.present) refuseLoad({ ...refusal, problem: 'not-present', vector: STACK_FAULT });
  return { ss: loaded(entry, selector), writes: touch(s, entry) };
}

/** Data segments that the outer ring may not have become null. */
export function withdrawn(s: Situation, cpl: Ring): Effect['segments'] {
  const taken = DATA_SEGMENTS.filter(name => {
    const { descriptor } = s.cpu.segments[name];
    if (!descriptor) return s.cpu.segments[name].selector !== 0;
    return descriptor.dpl < cpl && !(isCode(descriptor) && isConforming(descriptor));
  });
  return Object.fromEntries(taken.map(name => [name, NULL])) as Partial<Record<SegmentName, SegmentRegister>>;
}

/** ESP after a return to a stack: a 16-bit one gets SP alone. */
export function outerEsp(s: Situation, ss: SegmentRegister, esp: number): number {
  if (ss.descriptor?.big) return esp >>> 0;
  return ((s.cpu.registers.esp & 0xffff0000) | (esp & 0xffff)) >>> 0;
}
