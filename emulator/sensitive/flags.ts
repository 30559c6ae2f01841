/** POPF and IRET: what EFLAGS they ask for, and what they get. */
import { FLAG_IF, FLAG_NT, FLAG_VM, flagsAfterPop, iopl } from '../flags.ts';
import type { FlagChange } from '../stop.ts';
import { codeReturn } from './segments.ts';
import { RUN, readWord, type Situation, stop, type Verdict } from './verdict.ts';

/** The stack slot `index` (of the operand's size) above the stack pointer. */
export function stackSlot(s: Situation, index: number): number | undefined {
  const bytes = s.instruction.operandSize / 8;
  const stack = s.cpu.segments.ss.descriptor;
  const mask = stack?.big === false ? 0xffff : 0xffffffff;
  const offset = ((s.cpu.registers.esp + index * bytes) & mask) >>> 0;
  return readWord(s, ((stack?.base ?? 0) + offset) >>> 0, bytes === 2 ? 2 : 4);
}

function lostFlags(current: number, requested: number, resulting: number): FlagChange[] {
  const bit = (flags: number): number => ((flags & FLAG_IF) !== 0 ? 1 : 0);
  const lost: FlagChange[] = [];
  if (bit(requested) !== bit(resulting)) {
    lost.push({ flag: 'IF', current: bit(current), requested: bit(requested), resulting: bit(resulting) });
  }
  if (iopl(requested) !== iopl(resulting)) {
    lost.push({
      flag: 'IOPL',
      current: iopl(current),
      requested: iopl(requested),
      resulting: iopl(resulting),
    });
  }
  return lost;
}

function silentLoss(s: Situation, kind: 'popf' | 'iret', image: number): Verdict {
  const current = s.cpu.eflags;
  const { operandSize } = s.instruction;
  const requested = operandSize === 16 ? ((current & 0xffff0000) | (image & 0xffff)) >>> 0 : image;
  const resulting = flagsAfterPop(current, requested, s.cpu.cpl, operandSize, kind);
  const lost = lostFlags(current, requested, resulting);
  return lost.length === 0
    ? RUN
    : stop({ kind, rule: kind, operandSize, current, requested, resulting, lost });
}

export function popf(s: Situation): Verdict {
  const image = stackSlot(s, 0);
  return image === undefined ? RUN : silentLoss(s, 'popf', image);
}

export function iret(s: Situation): Verdict {
  // SDM vol. 2, IRET: a nested task returns by its TSS, and ring 0 may return to virtual-8086 mode; neither looks at CS.
  if ((s.cpu.eflags & FLAG_NT) !== 0) return RUN;
  const selector = stackSlot(s, 1);
  const image = stackSlot(s, 2);
  if (selector === undefined || image === undefined) return RUN;
  if (s.cpu.cpl === 0 && s.instruction.operandSize === 32 && (image & FLAG_VM) !== 0) return RUN;
  const code = codeReturn(s, selector & 0xffff);
  return code.type === 'stop' ? code : silentLoss(s, 'iret', image);
}
