/** Call gates: SDM vol. 3, 5.8.3 to 5.8.5. */
import type { Ring } from '../cpu-state.ts';
import type { Effect } from '../effect.ts';
import { isCode, isConforming } from '../segmentation.ts';
import { checkPresent, checkTarget, enter } from './code-segments.ts';
import {
  type Entry,
  fetchNonNull,
  gateOffset,
  gateParameters,
  gateSelector,
  SYSTEM_TYPE,
} from './descriptors.ts';
import { innerStack } from './inner-stack.ts';
import { refuseLoad } from './refuse.ts';
import { Stack } from './stack.ts';
import type { Situation } from './verdict.ts';

/** @param gate present, and open to the caller */
export function throughCallGate(s: Situation, gate: Entry, by: 'jmp' | 'call'): Effect {
  const { cpl } = s.cpu;
  const wide = gate.descriptor.type === SYSTEM_TYPE.callGate32;
  const offset = gateOffset(gate, wide);
  const entry = fetchNonNull(s, gateSelector(gate), { register: 'cs' });
  if (by === 'jmp') {
    checkTarget(entry, 0, cpl);
    const to = enter(s, entry, offset, cpl);
    return { eip: to.eip, segments: { cs: to.cs }, writes: to.writes };
  }
  const { selector, descriptor } = entry;
  if (!isCode(descriptor)) refuseLoad({ register: 'cs', selector, problem: 'type', descriptor });
  if (descriptor.dpl > cpl) refuseLoad({ register: 'cs', selector, problem: 'privilege', descriptor });
  checkPresent(entry);
  const size = wide ? 4 : 2;
  const back = [s.cpu.segments.cs.selector, s.cpu.eip + s.instruction.length] as const;
  if (isConforming(descriptor) || descriptor.dpl === cpl) {
    const stack = Stack.current(s);
    for (const value of back) stack.push(value, size);
    const to = enter(s, entry, offset, cpl);
    return {
      eip: to.eip,
      segments: { cs: to.cs },
      registers: { esp: stack.esp },
      writes: [...to.writes, ...stack.writes],
    };
  }
  const ring = descriptor.dpl as Ring;
  const inner = innerStack(s, ring);
  const from = Stack.current(s);
  const stack = new Stack(s, {
    register: inner.ss,
    esp: inner.esp,
    cpl: ring,
    errorCode: inner.ss.selector & 0xfffc,
  });
  stack.push(s.cpu.segments.ss.selector, size);
  stack.push(s.cpu.registers.esp, size);
  for (let i = gateParameters(gate) - 1; i >= 0; i--) stack.push(from.peek(i * size, size), size);
  for (const value of back) stack.push(value, size);
  const to = enter(s, entry, offset, ring);
  return {
    eip: to.eip,
    cpl: ring,
    segments: { cs: to.cs, ss: inner.ss },
    registers: { esp: newEsp(s, inner.ss.descriptor?.big ?? false, stack.esp) },
    writes: [...to.writes, ...inner.writes, ...stack.writes],
  };
}

/** A 16-bit stack gets SP alone. */
function newEsp(s: Situation, big: boolean, esp: number): number {
  return big ? esp : ((s.cpu.registers.esp & 0xffff0000) | (esp & 0xffff)) >>> 0;
}
