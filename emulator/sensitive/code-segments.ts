/** Checks of a code segment that control is to go to. SDM vol. 3, 5.8; vol. 2, JMP, CALL, RET and IRET. */
import type { Ring } from '../cpu-state.ts';
import type { Effect, LinearWrite } from '../effect.ts';
import { isCode, isConforming, type SegmentRegister, selectorRpl } from '../segmentation.ts';
import { type Entry, loaded, touch } from './descriptors.ts';
import { refuse, refuseLoad } from './refuse.ts';
import type { Stack } from './stack.ts';
import { generalProtection, NOT_PRESENT, type Situation } from './verdict.ts';

/**
 * A code segment of a direct JMP or CALL, or behind a call gate.
 *
 * @param rpl 0 behind a gate: its selector's RPL does not count
 */
export function checkTarget(entry: Entry, rpl: number, cpl: Ring): void {
  const { selector, descriptor } = entry;
  const common = { register: 'cs', selector, descriptor } as const;
  if (!isCode(descriptor)) refuseLoad({ ...common, problem: 'type' });
  if (isConforming(descriptor)) {
    if (descriptor.dpl > cpl) refuseLoad({ ...common, problem: 'privilege' });
  } else {
    if (rpl > cpl) refuseLoad({ ...common, problem: 'rpl' });
    if (descriptor.dpl !== cpl) refuseLoad({ ...common, problem: 'privilege' });
  }
  checkPresent(entry);
}

/** The code segment that a far RET or an IRET returns to; it may be of an outer ring. */
export function checkReturn(entry: Entry, cpl: Ring): void {
  const { selector, descriptor } = entry;
  const common = { register: 'cs', selector, descriptor } as const;
  const rpl = selectorRpl(selector);
  if (rpl < cpl) refuseLoad({ ...common, problem: 'rpl' });
  if (!isCode(descriptor)) refuseLoad({ ...common, problem: 'type' });
  if (isConforming(descriptor) ? descriptor.dpl > rpl : descriptor.dpl !== rpl) {
    refuseLoad({ ...common, problem: 'privilege' });
  }
  checkPresent(entry);
}

export function checkPresent({ selector, descriptor }: Entry): void {
  if (descriptor.present) return;
  refuseLoad({ register: 'cs', selector, problem: 'not-present', vector: NOT_PRESENT, descriptor });
}

/** #GP(0) when EIP is not in the segment. */
export function checkOffset(cs: SegmentRegister, offset: number, errorCode = 0): void {
  const { selector, descriptor } = cs;
  if (!descriptor || offset <= descriptor.limit) return;
  refuse(
    {
      kind: 'segment-access',
      register: 'cs',
      selector,
      access: 'fetch',
      offset,
      size: 1,
      problem: 'limit',
      descriptor,
    },
    generalProtection(errorCode),
  );
}

export interface CodeTransfer {
  readonly eip: number;
  readonly cpl: Ring;
  readonly cs: SegmentRegister;
  readonly writes: readonly LinearWrite[];
}

/**
 * Goes to an offset of a checked code segment; the selector's RPL becomes the CPL.
 *
 * @param errorCode of the #GP when the offset is beyond the limit
 */
export function enter(s: Situation, entry: Entry, offset: number, cpl: Ring, errorCode = 0): CodeTransfer {
  const cs = loaded(entry, (entry.selector & 0xfffc) | cpl);
  checkOffset(cs, offset, errorCode);
  // EIP is a linear address here: code segments with another base than 0 end the run before their first instruction.
  return { eip: offset >>> 0, cpl, cs, writes: touch(s, entry) };
}

export function transferEffect(to: CodeTransfer, stack?: Stack): Effect {
  return {
    eip: to.eip,
    cpl: to.cpl,
    segments: { cs: to.cs },
    ...(stack ? { registers: { esp: stack.esp } } : {}),
    writes: [...to.writes, ...(stack?.writes ?? [])],
  };
}
