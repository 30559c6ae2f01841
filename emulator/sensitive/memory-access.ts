/** Memory accesses of an instruction that the Machine does itself, with the page faults of a CPU. */
import type { Ring } from '../cpu-state.ts';
import type { LinearWrite } from '../effect.ts';
import { refuse } from './refuse.ts';
import type { Situation } from './verdict.ts';

type Size = 1 | 2 | 4;

/** Raises #PF (or stops at a hole) when the access is refused. */
export function checkAccess(
  s: Situation,
  linear: number,
  size: number,
  access: 'read' | 'write',
  cpl: Ring,
  system = false,
): void {
  const refusal = s.refusal?.({ linear: linear >>> 0, size, access, cpl, system });
  if (refusal) refuse(refusal.cause, refusal.exception);
}

function numberOf(bytes: Uint8Array): number {
  let value = 0;
  for (let i = bytes.length - 1; i >= 0; i--) value = value * 256 + (bytes[i] ?? 0);
  return value;
}

/** Reads as the CPU reads descriptor tables and task state segments: as supervisor, whatever the CPL. */
export function readSystem(s: Situation, linear: number, size: Size): number {
  checkAccess(s, linear, size, 'read', 0, true);
  return numberOf(s.read(linear >>> 0, size));
}

export function readData(s: Situation, linear: number, size: Size, cpl: Ring): number {
  checkAccess(s, linear, size, 'read', cpl);
  return numberOf(s.read(linear >>> 0, size));
}

/** A write of the CPU itself to a descriptor table or task state segment. */
export function systemWrite(s: Situation, linear: number, size: Size, value: number): LinearWrite {
  checkAccess(s, linear, size, 'write', 0, true);
  return littleEndianWrite(linear, size, value);
}

export function littleEndianWrite(linear: number, size: Size, value: number): LinearWrite {
  const bytes = Uint8Array.from({ length: size }, (_, i) => (value >>> (8 * i)) & 0xff);
  return { linear: linear >>> 0, bytes };
}
