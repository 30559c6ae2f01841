/** The stack of an inner ring, from the TSS: SDM vol. 3, 5.8.5 and 7.2. Faults on it are #TS and #SS. */
import type { Ring } from '../cpu-state.ts';
import type { LinearWrite } from '../effect.ts';
import { isNullSelector, isWritable, type SegmentRegister, selectorRpl } from '../segmentation.ts';
import { fetchEntry, loaded, SYSTEM_TYPE, touch } from './descriptors.ts';
import { readSystem } from './memory-access.ts';
import { refuseLoad } from './refuse.ts';
import { INVALID_TSS, type Situation, STACK_FAULT } from './verdict.ts';

export interface InnerStack {
  readonly ss: SegmentRegister;
  readonly esp: number;
  readonly writes: readonly LinearWrite[];
}

const isTss32 = (register: SegmentRegister): boolean =>
  ((register.descriptor?.type ?? 0) & 0x8) === SYSTEM_TYPE.tss32 - 1;

/** @param external bit 0 of the error codes: an exception is being delivered */
export function innerStack(s: Situation, ring: Ring, external = 0): InnerStack {
  const { tr } = s.cpu;
  const tss = tr.descriptor;
  const wide = isTss32(tr);
  const at = wide ? 4 + 8 * ring : 2 + 4 * ring;
  const size = wide ? 4 : 2;
  const last = at + (wide ? 7 : 3);
  if (!tss || last > tss.limit) {
    const errorCode = (tr.selector & 0xfffc) | external;
    refuseLoad({ register: 'tr', selector: tr.selector, problem: 'limit', vector: INVALID_TSS, errorCode });
  }
  const esp = readSystem(s, tss.base + at, size);
  const selector = readSystem(s, tss.base + at + size, 2);
  const errorCode = (selector & 0xfffc) | external;
  const refusal = { register: 'ss', selector, vector: INVALID_TSS, errorCode } as const;
  if (isNullSelector(selector)) refuseLoad({ ...refusal, problem: 'null' });
  const entry = fetchEntry(s, selector, refusal);
  const { descriptor } = entry;
  if (selectorRpl(selector) !== ring) refuseLoad({ ...refusal, problem: 'rpl', descriptor });
  if (descriptor.dpl !== ring) refuseLoad({ ...refusal, problem: 'privilege', descriptor });
  if (!isWritable(descriptor)) refuseLoad({ ...refusal, problem: 'type', descriptor });
  if (!descriptor.present) {
    refuseLoad({ ...refusal, vector: STACK_FAULT, problem: 'not-present', descriptor });
  }
  return { ss: loaded(entry, selector), esp, writes: touch(s, entry) };
}
