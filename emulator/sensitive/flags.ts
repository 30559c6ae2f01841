/** POPF and IRET: what EFLAGS they ask for, and what they get. */
import { CR4_VME } from '../control-bits.ts';
import { FLAG_IF, FLAG_VM, iopl, poppedFlags } from '../flags.ts';
import type { FlagChange } from '../stop.ts';
import { generalProtection, RUN, readWord, type Situation, stop, type Verdict } from './verdict.ts';

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

/** Flags asked for and not given, unless the run is told to stop at faults alone. */
export function loadFlags(s: Situation, kind: 'popf' | 'iret', image: number): Verdict {
  const current = s.cpu.eflags;
  const { operandSize } = s.instruction;
  const requested = requestedFlags(s, image);
  const context = {
    cpl: s.cpu.cpl,
    operandSize,
    vm86: (current & FLAG_VM) !== 0,
    vme: (s.cpu.control.cr4 & CR4_VME) !== 0,
  };
  const outcome = poppedFlags(kind, context, current, requested);
  if (outcome.kind === 'fault') {
    return stop({ kind: 'iopl-sensitive-instruction', rule: kind }, generalProtection(0));
  }
  const resulting = outcome.value;
  const lost = lostFlags(current, requested, resulting);
  return lost.length === 0 || s.stopOn === 'fault'
    ? RUN
    : stop({ kind, rule: kind, operandSize, current, requested, resulting, lost });
}

/** EFLAGS as the image on the stack asks for it: a 16-bit image has no upper word. */
export const requestedFlags = (s: Situation, image: number): number =>
  s.instruction.operandSize === 16 ? ((s.cpu.eflags & 0xffff0000) | (image & 0xffff)) >>> 0 : image;

export function popf(s: Situation): Verdict {
  const image = stackSlot(s, 0);
  return image === undefined ? RUN : loadFlags(s, 'popf', image);
}

/** CS and the flags of IRET's frame; `undefined` where they cannot be read. */
export function iretSlots(s: Situation): { readonly selector: number; readonly flags: number } | undefined {
  const selector = stackSlot(s, 1);
  const flags = stackSlot(s, 2);
  return selector === undefined || flags === undefined ? undefined : { selector: selector & 0xffff, flags };
}
