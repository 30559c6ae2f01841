/** Repeated string instructions that write over their own bytes. */
import type { CpuState } from '../cpu-state.ts';
import type { DecodedInstruction } from '../decode/instruction.ts';
import { FLAG_DF } from '../flags.ts';

/**
 * How often the repeated string instruction at `start` can run before its next write would be to its own bytes, at
 * least 1: what follows that write is whatever stands there then (SDM vol. 3, 11.6), and the engines do not agree.
 *
 * @param start linear
 * @returns `undefined` when it writes nothing there, however often it runs
 */
export function iterationsBefore(
  start: number,
  instruction: DecodedInstruction,
  cpu: CpuState,
): number | undefined {
  const { repeated, memory, addressSize, length } = instruction;
  const store = repeated ? memory.find(use => use.write) : undefined;
  if (!store) return undefined;
  const mask = addressSize === 16 ? 0xffff : 0xffffffff;
  const count = (cpu.registers.ecx & mask) >>> 0;
  const first = (cpu.segments[store.segment].descriptor?.base ?? 0) + store.offset;
  const { size } = store;
  // Positive while the instruction is still ahead of the writes, in bytes.
  const ahead = (cpu.eflags & FLAG_DF) === 0 ? start - (first + size) : first - (start + length);
  const between = ahead >= 0 ? Math.floor(ahead / size) + 1 : 0;
  const reaches = ahead >= 0 || overlaps(first, size, start, length);
  if (!reaches || count <= Math.max(between, 1)) return undefined;
  return Math.max(between, 1);
}

const overlaps = (a: number, size: number, b: number, length: number): boolean =>
  a < b + length && b < a + size;
