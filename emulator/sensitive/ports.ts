/** IN, OUT, INS, OUTS outside the I/O privilege level: the TSS's I/O permission bitmap. SDM vol. 1, 19.5.2. */
import type { Cause } from '../stop.ts';
import { generalProtection, littleEndian, RUN, type Situation, stop, type Verdict } from './verdict.ts';

/** Offset of the bitmap's base in a 32-bit TSS. SDM vol. 3, figure 7-2. */
const TSS_IO_MAP_BASE = 0x66;
const TSS_SMALLEST_LIMIT = 0x67;

function bitmapAllows(s: Situation, port: number, size: number): boolean {
  const tss = s.cpu.tr.descriptor;
  if (!tss || tss.limit < TSS_SMALLEST_LIMIT) return false;
  const base = littleEndian(s.read(tss.base + TSS_IO_MAP_BASE, 2));
  if (base === undefined) return false;
  const at = base + (port >>> 3);
  // The CPU reads two bytes, and both have to lie in the segment.
  if (at + 1 > tss.limit) return false;
  const bits = littleEndian(s.read((tss.base + at) >>> 0, 2));
  if (bits === undefined) return false;
  return ((bits >>> (port & 7)) & ((1 << size) - 1)) === 0;
}

export function portAccess(s: Situation, rule: string): Verdict {
  const { instruction, cpu } = s;
  const number = instruction.immediatePort ? instruction.immediate & 0xff : cpu.registers.edx & 0xffff;
  const size = instruction.portSize;
  if (bitmapAllows(s, number, size)) return RUN;
  const mask = size === 4 ? 0xffffffff : (1 << (size * 8)) - 1;
  const port: Extract<Cause, { kind: 'iopl-sensitive-instruction' }>['port'] =
    rule === 'out'
      ? { number, size, direction: 'out', value: (cpu.registers.eax & mask) >>> 0 }
      : { number, size, direction: rule === 'outs' ? 'out' : 'in' };
  return stop({ kind: 'iopl-sensitive-instruction', rule, port }, generalProtection(0));
}
