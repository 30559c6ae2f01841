/** ENTER: SDM vol. 2. It ends with a look whether the new top of the stack can be written. */
import { Stack } from './stack.ts';
import { answered, type Situation, type Verdict } from './verdict.ts';

/** Does all of it: engines neither look at the new top, nor keep the upper words with a 16-bit stack segment. */
export function enterFrame(s: Situation): Verdict {
  const { operandSize, immediate } = s.instruction;
  const { ebp } = s.cpu.registers;
  const size = operandSize === 16 ? 2 : 4;
  const stack = Stack.current(s);
  stack.push(ebp, size);
  const frame = stack.esp;
  const level = nestingLevel(s);
  const outer = new Stack(s, { register: s.cpu.segments.ss, esp: ebp, cpl: s.cpu.cpl }, stack.writes);
  for (let i = 1; i < level; i++) {
    outer.drop(-size);
    stack.push(outer.peek(0, size), size);
  }
  if (level > 0) stack.push(frame, size);
  stack.drop(-(immediate & 0xffff));
  stack.checkTop(size);
  const newEbp = size === 4 ? frame : ((ebp & 0xffff0000) | (frame & 0xffff)) >>> 0;
  return answered({ registers: { ebp: newEbp, esp: stack.esp }, writes: stack.writes });
}

/** The second immediate operand, modulo 32: how many frame pointers are pushed besides EBP. */
function nestingLevel(s: Situation): number {
  return (s.bytes[s.instruction.length - 1] ?? 0) & 0x1f;
}
