/** #NM and #UD of the FPU, MMX and SSE by CR0 and CR4 (SDM vol. 3, 2.5, tables 12-1 and 13-1); #AC at CPL 3 (6.15). */
import { DATA, type OracleCase, STACK_TOP } from '../case.ts';
import { absolute, EDX } from './assemble.ts';
import { CaseBuilder, CR0_AM, CR0_EM, CR0_MP, CR0_TS, CR4_OSFXSR, type Family, FLAG_AC } from './builder.ts';
import type { Draw } from './draw.ts';

const INSTRUCTIONS: readonly (readonly [string, readonly number[]])[] = [
  ['fnop', [0xd9, 0xd0]],
  ['fninit', [0xdb, 0xe3]],
  ['fnclex', [0xdb, 0xe2]],
  ['fwait', [0x9b]],
  ['fnstcw', [0xd9, ...absolute(7, DATA + 0x40)]],
  ['emms', [0x0f, 0x77]],
  ['pxor', [0x0f, 0xef, 0xc0]],
  ['xorps', [0x0f, 0x57, 0xc0]],
  ['movaps', [0x0f, 0x28, 0xc1]],
  ['pxor-xmm', [0x66, 0x0f, 0xef, 0xc0]],
];

function available(draw: Draw): OracleCase {
  const [topic, bytes] = draw.pick(INSTRUCTIONS);
  const b = new CaseBuilder(draw, `coprocessor/${topic}`);
  for (const bit of [CR0_MP, CR0_EM, CR0_TS]) if (draw.chance(40)) b.cr0 |= bit;
  if (draw.chance(60)) b.cr4 |= CR4_OSFXSR;
  // What FNINIT and FNSTCW find of an FPU is not this suite's business.
  if (topic === 'fnstcw') b.emit(0xdb, 0xe3);
  return b.emit(...bytes).end();
}

function aligned(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'alignment');
  b.cr0 = draw.chance(80) ? b.cr0 | CR0_AM : b.cr0;
  if (draw.chance(80)) b.eflags |= FLAG_AC;
  if (draw.chance(75)) b.inRing(3);
  const address = DATA + 0x40 + draw.int(0, 7);
  const opcode = draw.pick([[0x8b], [0x89], [0x8a], [0x66, 0x8b], [0x01], [0x0f, 0xb7], [0x0f, 0xc7]]);
  if (opcode[1] === 0xc7) return b.emit(0x0f, 0xc7, ...absolute(1, DATA + 0x40 + draw.int(0, 7))).end();
  if (draw.chance(25)) {
    b.registers.esp = STACK_TOP - draw.int(1, 3);
    return b.emit(draw.pick([0x52, 0x5a, 0x9c])).end();
  }
  return b.emit(...opcode, ...absolute(EDX, address)).end();
}

export const coprocessor: Family = {
  name: 'coprocessor',
  weight: 5,
  build: draw => draw.pick([available, available, aligned])(draw),
};
