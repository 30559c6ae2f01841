/** Selectors and far pointers in memory, read with every check of an access. */
import type { MemoryUse } from '../decode/memory.ts';
import { readData } from './memory-access.ts';
import { checkUse } from './segment-access.ts';
import type { Situation } from './verdict.ts';

export interface FarPointer {
  readonly selector: number;
  readonly offset: number;
}

const linearOf = (s: Situation, use: MemoryUse, above = 0): number =>
  ((s.cpu.segments[use.segment].descriptor?.base ?? 0) + use.offset + above) >>> 0;

/** The operand that an instruction reads, apart from what it pops or pushes. */
export function sourceOperand(s: Situation): MemoryUse | undefined {
  return s.instruction.memory.find(use => use.read && !use.implicit);
}

/** The m16:16 or m16:32 operand of a far JMP or CALL, or of LDS and the like. */
export function memorySelectorAt(s: Situation, size: 2 | 4): FarPointer {
  const use = sourceOperand(s);
  if (!use) return { selector: 0, offset: 0 };
  checkUse(s, use);
  const { cpl } = s.cpu;
  const offset = readData(s, linearOf(s, use), size, cpl);
  return { selector: readData(s, linearOf(s, use, size), 2, cpl), offset };
}

/** A 16-bit selector in memory or in a general register. */
export function selectorOperand(s: Situation): number {
  const use = sourceOperand(s);
  if (use) {
    checkUse(s, use);
    return readData(s, linearOf(s, use), 2, s.cpu.cpl);
  }
  const { generalRegister } = s.instruction;
  return generalRegister ? s.cpu.registers[generalRegister] & 0xffff : 0;
}
