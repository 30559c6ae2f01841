/** Virtual-8086 mode: SDM vol. 3, 20.1 to 20.3. Segments are paragraphs, and IOPL decides about the interrupt flag. */
import { CR4_VME } from '../control-bits.ts';
import type { Effect } from '../effect.ts';
import { FLAG_IF, FLAG_IOPL, FLAG_RF, FLAG_TF, FLAG_VIF, iopl, poppedFlags, pushedFlags } from '../flags.ts';
import type { SegmentRegister } from '../segmentation.ts';
import { checkOffset } from './code-segments.ts';
import { readData, readSystem } from './memory-access.ts';
import type { FarPointer } from './operands.ts';
import { refuse } from './refuse.ts';
import { Stack } from './stack.ts';
import { answered, generalProtection, type Situation, type Verdict } from './verdict.ts';
import { virtual8086Segment } from './virtual-segment.ts';

/** Offset of the I/O map's base in a TSS; the interrupt redirection map is the 32 bytes before the map. */
const TSS_IO_MAP_BASE = 0x66;
const REDIRECTION_MAP_SIZE = 32;

const hasVme = (s: Situation): boolean => (s.cpu.control.cr4 & CR4_VME) !== 0;

const flagsContext = (s: Situation): Parameters<typeof pushedFlags>[0] => ({
  cpl: 3,
  operandSize: s.instruction.operandSize,
  vm86: true,
  vme: hasVme(s),
});

const refuseFlags = (rule: string): never =>
  refuse({ kind: 'iopl-sensitive-instruction', rule }, generalProtection(0));

const operandBytes = (s: Situation): 2 | 4 => (s.instruction.operandSize === 16 ? 2 : 4);

export function pushFlags(s: Situation): Verdict {
  const outcome = pushedFlags(flagsContext(s), s.cpu.eflags);
  if (outcome.kind === 'fault') return refuseFlags('pushf');
  const stack = Stack.current(s);
  stack.push(outcome.value, operandBytes(s));
  return answered({ registers: { esp: stack.esp }, writes: stack.writes });
}

export function popFlags(s: Situation): Verdict {
  const stack = Stack.current(s);
  // The level is looked at before the stack.
  if (iopl(s.cpu.eflags) < 3 && !(hasVme(s) && s.instruction.operandSize === 16)) return refuseFlags('popf');
  const image = stack.pop(operandBytes(s));
  const outcome = poppedFlags('popf', flagsContext(s), s.cpu.eflags, image);
  if (outcome.kind === 'fault') return refuseFlags('popf');
  return answered({ registers: { esp: stack.esp }, eflags: outcome.value });
}

/** A jump within virtual-8086 mode. */
function goTo(s: Situation, { selector, offset }: FarPointer, stack?: Stack): Effect {
  checkOffset({ ...s.cpu.segments.cs }, offset);
  return {
    eip: offset,
    segments: { cs: codeSegment(selector) },
    ...(stack ? { registers: { esp: stack.esp }, writes: stack.writes } : {}),
  };
}

const codeSegment = (selector: number): SegmentRegister => virtual8086Segment(selector);

export function virtualFarTransfer(s: Situation, target: FarPointer | undefined): Effect {
  const size = operandBytes(s);
  const stack = Stack.current(s);
  if (!target) {
    const offset = stack.pop(size);
    const selector = stack.pop(size) & 0xffff;
    stack.drop(s.instruction.immediate & 0xffff);
    return goTo(s, { selector, offset }, stack);
  }
  if (s.instruction.mnemonic !== 'call') return goTo(s, target);
  stack.push(s.cpu.segments.cs.selector, size);
  stack.push(s.cpu.eip + s.instruction.length, size);
  return goTo(s, target, stack);
}

export function virtualIret(s: Situation): Effect {
  const size = operandBytes(s);
  if (iopl(s.cpu.eflags) < 3 && !(hasVme(s) && size === 2)) return refuseFlags('iret');
  const stack = Stack.current(s);
  const offset = stack.pop(size);
  const selector = stack.pop(size) & 0xffff;
  const outcome = poppedFlags('iret', flagsContext(s), s.cpu.eflags, stack.pop(size));
  if (outcome.kind === 'fault') return refuseFlags('iret');
  return { ...goTo(s, { selector, offset }, stack), eflags: (outcome.value & ~FLAG_RF) >>> 0 };
}

/**
 * INT n in virtual-8086 mode: SDM vol. 3, table 20-2.
 *
 * @returns what it does by the guest's own vector table; `undefined` when it goes through the IDT
 */
export function virtualInterrupt(s: Situation, vector: number): Effect | undefined {
  const level = iopl(s.cpu.eflags);
  if (hasVme(s) && !isIntercepted(s, vector)) return throughVectorTable(s, vector, level);
  if (level < 3) refuse({ kind: 'software-interrupt', vector }, generalProtection(0));
  return undefined;
}

function isIntercepted(s: Situation, vector: number): boolean {
  const base = s.cpu.tr.descriptor?.base ?? 0;
  const map = readSystem(s, base + TSS_IO_MAP_BASE, 2) - REDIRECTION_MAP_SIZE;
  const bits = readSystem(s, base + map + (vector >>> 3), 1);
  return ((bits >>> (vector & 7)) & 1) !== 0;
}

function throughVectorTable(s: Situation, vector: number, level: number): Effect {
  const { eflags } = s.cpu;
  const virtualIf = (eflags & FLAG_VIF) !== 0 ? FLAG_IF : 0;
  const image = level === 3 ? eflags : (eflags & ~FLAG_IF) | virtualIf | FLAG_IOPL;
  const offset = readData(s, 4 * vector, 2, 3);
  const selector = readData(s, 4 * vector + 2, 2, 3);
  const stack = Stack.current(s);
  stack.push(image & 0xffff, 2);
  stack.push(s.cpu.segments.cs.selector, 2);
  stack.push(s.cpu.eip + s.instruction.length, 2);
  const cleared = FLAG_TF | FLAG_RF | (level === 3 ? FLAG_IF : FLAG_VIF);
  return { ...goTo(s, { selector, offset }, stack), eflags: (eflags & ~cleared) >>> 0 };
}
