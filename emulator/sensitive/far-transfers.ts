/** Far JMP, CALL and RET, done by the Machine: SDM vol. 2, JMP, CALL, RET; the checks in Bochs's order where it is silent. */
import type { Ring } from '../cpu-state.ts';
import type { Effect } from '../effect.ts';
import { selectorRpl, selectorUsesLdt } from '../segmentation.ts';
import { throughCallGate } from './call-gates.ts';
import { checkReturn, checkTarget, enter, transferEffect } from './code-segments.ts';
import { type Entry, fetchNonNull, gateSelector, SYSTEM_TYPE } from './descriptors.ts';
import { type FarPointer, memorySelectorAt } from './operands.ts';
import { refuseLoad } from './refuse.ts';
import { outerEsp, outerStack, withdrawn } from './returns.ts';
import { Stack } from './stack.ts';
import { switchTask, taskEntry } from './task-switch.ts';
import { answered, NOT_PRESENT, type Situation, type Verdict } from './verdict.ts';
import { virtualFarTransfer } from './vm86.ts';

const { callGate16, callGate32, taskGate, tss16, tss32 } = SYSTEM_TYPE;

export function farTransfer(s: Situation): Verdict {
  const { mnemonic, operandSize } = s.instruction;
  const size = operandSize === 16 ? 2 : 4;
  const isReturn = mnemonic === 'retf';
  if (isReturn && !s.state.vm86) return answered(farReturn(s, size));
  const target = isReturn ? undefined : (s.instruction.farPointer ?? memorySelectorAt(s, size));
  if (s.state.vm86 || !target) return answered(virtualFarTransfer(s, target));
  return answered(mnemonic === 'call' ? farCall(s, target, size) : farJump(s, target));
}

function farJump(s: Situation, target: FarPointer): Effect {
  const entry = fetchNonNull(s, target.selector, { register: 'cs' });
  if (entry.descriptor.codeOrData) {
    checkTarget(entry, selectorRpl(target.selector), s.cpu.cpl);
    return transferEffect(enter(s, entry, target.offset, s.cpu.cpl));
  }
  return throughSystem(s, entry, 'jmp');
}

function farCall(s: Situation, target: FarPointer, size: 2 | 4): Effect {
  const entry = fetchNonNull(s, target.selector, { register: 'cs' });
  if (!entry.descriptor.codeOrData) return throughSystem(s, entry, 'call');
  checkTarget(entry, selectorRpl(target.selector), s.cpu.cpl);
  const stack = Stack.current(s);
  stack.push(s.cpu.segments.cs.selector, size);
  stack.push(s.cpu.eip + s.instruction.length, size);
  return transferEffect(enter(s, entry, target.offset, s.cpu.cpl), stack);
}

/** Call gates, task gates and task state segments as the target of JMP and CALL. */
function throughSystem(s: Situation, entry: Entry, by: 'jmp' | 'call'): Effect {
  const { selector, descriptor } = entry;
  const refusal = { register: 'cs', selector, descriptor } as const;
  const notPresent = { ...refusal, problem: 'not-present', vector: NOT_PRESENT } as const;
  if (descriptor.dpl < s.cpu.cpl || descriptor.dpl < selectorRpl(selector)) {
    refuseLoad({ ...refusal, problem: 'privilege' });
  }
  switch (descriptor.type) {
    case tss16:
    case tss32:
      if (selectorUsesLdt(selector)) refuseLoad({ ...refusal, problem: 'type' });
      if (!descriptor.present) refuseLoad(notPresent);
      return switchTask(s, entry, by);
    case taskGate:
      if (!descriptor.present) refuseLoad(notPresent);
      return switchTask(s, taskEntry(s, gateSelector(entry)), by);
    case callGate16:
    case callGate32:
      if (!descriptor.present) refuseLoad(notPresent);
      return throughCallGate(s, entry, by);
    default:
      return refuseLoad({ ...refusal, problem: 'type' });
  }
}

function farReturn(s: Situation, size: 2 | 4): Effect {
  const { cpl } = s.cpu;
  const parameters = s.instruction.immediate & 0xffff;
  const stack = Stack.current(s);
  // Bochs reads the selector first; which of the two faults shows in CR2 alone.
  const eip = stack.peek(0, size);
  const selector = stack.peek(size, size) & 0xffff;
  const entry = fetchNonNull(s, selector, { register: 'cs' });
  checkReturn(entry, cpl);
  const outer = selectorRpl(selector) as Ring;
  if (outer === cpl) {
    const to = enter(s, entry, eip, cpl);
    stack.drop(2 * size + parameters);
    return transferEffect(to, stack);
  }
  const esp = stack.peek(2 * size + parameters, size);
  const ss = outerStack(s, stack.peek(3 * size + parameters, size) & 0xffff, outer);
  const to = enter(s, entry, eip, outer);
  return {
    eip: to.eip,
    cpl: outer,
    segments: { ...withdrawn(s, outer), cs: to.cs, ss: ss.ss },
    registers: { esp: outerEsp(s, ss.ss, esp + parameters) },
    writes: [...to.writes, ...ss.writes],
  };
}
