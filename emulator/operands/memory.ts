/** Operands in memory, read for a report: what cannot be read has a reason. */
import type { MemoryUse } from '../decode/memory.ts';
import { pagingIsOn, walk } from '../paging.ts';
import { type Descriptor, decodeDescriptor } from '../segmentation.ts';
import { inLimit } from '../sensitive/limits.ts';
import { littleEndian, type Situation } from '../sensitive/verdict.ts';
import type { OperandMemory, Unreadable } from './types.ts';

const ADDRESSES = 2 ** 32;

/** Why not all of [linear, linear + size) can be read; `undefined` when it can. */
export function unreadable(s: Situation, linear: number, size: number): Unreadable | undefined {
  const had = readAll(s, linear, size).length;
  if (had >= size) return undefined;
  const missing = (linear + had) % ADDRESSES;
  if (!pagingIsOn(s.cpu.control)) return 'no-memory';
  if (s.readPhysical === undefined) return 'page-not-present';
  return walk(missing, s.cpu.control, s.readPhysical).physical === undefined
    ? 'page-not-present'
    : 'no-memory';
}

/** As `s.read`, but on from the top of the address space to its bottom, as the CPU does. */
export function readAll(s: Situation, linear: number, size: number): Uint8Array {
  const room = ADDRESSES - linear;
  if (size <= room) return s.read(linear, size);
  const upper = s.read(linear, room);
  if (upper.length < room) return upper;
  const lower = s.read(0, size - room);
  const all = new Uint8Array(upper.length + lower.length);
  all.set(upper);
  all.set(lower, upper.length);
  return all;
}

/** Bytes at an operand, and where it is; no bytes when they cannot all be read. */
export function readOperand(
  s: Situation,
  use: Pick<MemoryUse, 'segment' | 'offset'>,
  size: number,
): { readonly memory: OperandMemory; readonly bytes: Uint8Array | undefined } {
  const { descriptor } = s.cpu.segments[use.segment];
  const { segment, offset } = use;
  const linear = ((descriptor?.base ?? 0) + offset) >>> 0;
  const reason: Unreadable | undefined = !descriptor
    ? 'null-segment'
    : inLimit(descriptor, offset, size)
      ? unreadable(s, linear, size)
      : 'segment-limit';
  const memory: OperandMemory = { segment, offset, linear, size, ...(reason && { unreadable: reason }) };
  return { memory, bytes: reason ? undefined : readAll(s, linear, size) };
}

/** A little-endian word or dword in bytes that are long enough. */
export const wordAt = (bytes: Uint8Array, at: number): number =>
  littleEndian(bytes.subarray(at, at + 2)) ?? 0;
export const dwordAt = (bytes: Uint8Array, at: number): number =>
  littleEndian(bytes.subarray(at, at + 4)) ?? 0;

export const descriptorAt = (bytes: Uint8Array, at: number): Descriptor =>
  decodeDescriptor(dwordAt(bytes, at), dwordAt(bytes, at + 4));
