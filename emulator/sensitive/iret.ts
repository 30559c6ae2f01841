/** IRET in protected mode, done by the Machine: SDM vol. 2, IRET/IRETD. */
import type { Ring } from '../cpu-state.ts';
import type { Effect } from '../effect.ts';
import { FLAG_NT, FLAG_RESERVED_1, FLAG_RF, FLAG_VM, flagsAfterPop } from '../flags.ts';
import type { SegmentName, SegmentRegister } from '../segmentation.ts';
import { selectorRpl } from '../segmentation.ts';
import { checkReturn, enter, transferEffect } from './code-segments.ts';
import { type Entry, fetchNonNull } from './descriptors.ts';
import { loadFlags } from './flags.ts';
import { outerEsp, outerStack, withdrawn } from './returns.ts';
import { Stack } from './stack.ts';
import { returnToTask, VALID_FLAGS } from './task-switch.ts';
import { answered, type Situation, type Verdict } from './verdict.ts';
import { virtual8086Segment } from './virtual-segment.ts';
import { virtualIret } from './vm86.ts';

export function iret(s: Situation): Verdict {
  const { cpu, instruction } = s;
  const { cpl } = cpu;
  if (s.state.vm86) return answered(virtualIret(s));
  if ((cpu.eflags & FLAG_NT) !== 0) return answered(returnToTask(s));
  const size = instruction.operandSize === 16 ? 2 : 4;
  const stack = Stack.current(s);
  const eip = stack.peek(0, size);
  const selector = stack.peek(size, size) & 0xffff;
  const image = stack.peek(2 * size, size);
  if (cpl === 0 && size === 4 && (image & FLAG_VM) !== 0) return answered(toVirtual8086(stack, image));
  const entry = fetchNonNull(s, selector, { register: 'cs' });
  checkReturn(entry, cpl);
  const requested = size === 2 ? ((cpu.eflags & 0xffff0000) | image) >>> 0 : image;
  // RF lasts until the next instruction has run, and hides code breakpoints only: no engine has them.
  const eflags = flagsAfterPop(cpu.eflags, requested, cpl, instruction.operandSize, 'iret') & ~FLAG_RF;
  const outer = selectorRpl(selector) as Ring;
  const effect =
    outer === cpl ? sameLevel(s, stack, size, entry, eip) : outerLevel(s, stack, size, entry, eip, outer);
  const loss = loadFlags(s, 'iret', image);
  return loss.type === 'stop' ? loss : answered({ ...effect, eflags });
}

function sameLevel(s: Situation, stack: Stack, size: 2 | 4, entry: Entry, eip: number): Effect {
  const to = enter(s, entry, eip, s.cpu.cpl);
  stack.drop(3 * size);
  return transferEffect(to, stack);
}

function outerLevel(s: Situation, stack: Stack, size: 2 | 4, entry: Entry, eip: number, outer: Ring): Effect {
  const selector = stack.peek(4 * size, size) & 0xffff;
  const esp = stack.peek(3 * size, size);
  const { ss, writes } = outerStack(s, selector, outer);
  const to = enter(s, entry, eip, outer);
  return {
    eip: to.eip,
    cpl: outer,
    segments: { ...withdrawn(s, outer), cs: to.cs, ss },
    registers: { esp: outerEsp(s, ss, esp) },
    writes: [...to.writes, ...writes],
  };
}

/** The frame's slots above EFLAGS: ESP, then these. */
const VIRTUAL_8086_FRAME = ['ss', 'es', 'ds', 'fs', 'gs'] as const;

/** Ring 0 returns to virtual-8086 mode: SDM vol. 3, 20.2.3. */
function toVirtual8086(stack: Stack, image: number): Effect {
  const esp = stack.peek(12, 4);
  const segments = Object.fromEntries(
    VIRTUAL_8086_FRAME.map((name, i) => [name, virtual8086Segment(stack.peek(16 + 4 * i, 4))]),
  ) as Partial<Record<SegmentName, SegmentRegister>>;
  return {
    eip: stack.peek(0, 4) & 0xffff,
    eflags: ((image & VALID_FLAGS) | FLAG_RESERVED_1) >>> 0,
    cpl: 3,
    registers: { esp },
    segments: { ...segments, cs: virtual8086Segment(stack.peek(4, 4)) },
  };
}
