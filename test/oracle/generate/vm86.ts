/** Virtual-8086 mode: what IOPL and CR4.VME make of CLI, STI, PUSHF, POPF, INT n and IRET. SDM vol. 3, 20.2 and 20.3. */
import { CODE, DATA, type OracleCase, STACK } from '../case.ts';
import { word } from './assemble.ts';
import { CaseBuilder, CR4_VME, type Family, FLAG_IF, FLAG_VM } from './builder.ts';
import type { Draw } from './draw.ts';
import { flagImage } from './flags.ts';

const VIF = 0x80000;
const VIP = 0x100000;
/** STACK in the segment of SS. */
const SP = 0x1000;

/** In virtual-8086 mode, at the start of CODE. */
export function startVm86(draw: Draw, topic: string): CaseBuilder {
  const b = new CaseBuilder(draw, topic);
  b.mode = 'vm86';
  b.ring = 3;
  b.eflags |= FLAG_VM;
  const data = DATA >>> 4;
  Object.assign(b.selectors, { cs: CODE >>> 4, ss: STACK >>> 4, ds: data, es: data, fs: data, gs: data });
  b.registers.esp = SP;
  b.registers.ebp = SP - 0x100;
  b.at = CODE;
  b.eip = 0;
  if (draw.chance(40)) {
    b.cr4 |= CR4_VME;
    // Both at once are a #GP(0) before the first instruction.
    if (draw.chance(40)) b.eflags |= draw.pick([VIF, VIF, VIP, VIP, VIF | VIP]);
  }
  return b;
}

/** HLT is a #GP(0) in virtual-8086 mode, whatever IOPL is. */
const end = (b: CaseBuilder): OracleCase => b.emit(0xf4).build();

function flags(draw: Draw): OracleCase {
  const [topic, bytes] = draw.pick([
    ['cli', [0xfa]],
    ['sti', [0xfb]],
    ['pushf', [0x9c, 0x58]],
    ['pushf', [0x66, 0x9c, 0x66, 0x58]],
    ['popf', [0x9d]],
    ['popf', [0x66, 0x9d]],
  ] as const);
  const b = startVm86(draw, `vm86/${topic}`);
  b.write(STACK + SP, [...word(flagImage(draw)), ...word(draw.dword() & 0x3d)]);
  return end(b.emit(...bytes));
}

function back(draw: Draw): OracleCase {
  const b = startVm86(draw, 'vm86/iret');
  const target = 0x20;
  b.write(STACK + SP, [
    ...word(target),
    ...word(CODE >>> 4),
    ...word(flagImage(draw) & (draw.chance(70) ? ~0 : ~FLAG_IF)),
  ]);
  b.emit(0xcf);
  while (b.here < CODE + target) b.emit(0x90);
  return end(b);
}

function interrupt(draw: Draw): OracleCase {
  const b = startVm86(draw, 'vm86/int');
  return end(b.emit(...draw.pick([[0xcd, 0x41], [0xcd, 0x21], [0xcc], [0xce], [0xcd, 0x03]])));
}

/** Refused as at CPL 3, undefined here, or as anywhere. */
function other(draw: Draw): OracleCase {
  const [topic, bytes] = draw.pick([
    ['lgdt', [0x0f, 0x01, 0x16, 0x40, 0x00]],
    ['mov-to-cr', [0x0f, 0x22, 0xc0]],
    ['mov-from-cr', [0x0f, 0x20, 0xc0]],
    ['lar', [0x0f, 0x02, 0xc0]],
    ['lsl', [0x0f, 0x03, 0xc0]],
    ['verr', [0x0f, 0x00, 0xe0]],
    ['sldt', [0x0f, 0x00, 0xc0]],
    ['str', [0x0f, 0x00, 0xc8]],
    ['lldt', [0x0f, 0x00, 0xd0]],
    ['ltr', [0x0f, 0x00, 0xd8]],
    ['arpl', [0x63, 0xc0]],
    ['smsw', [0x0f, 0x01, 0xe1]],
    ['sgdt', [0x0f, 0x01, 0x06, 0x40, 0x00]],
    ['mov-to-segment', [0x8e, 0xd8]],
    ['clts', [0x0f, 0x06]],
    ['add', [0x01, 0xd0]],
    ['mov', [0x8b, 0x16, 0x40, 0x00]],
    ['mov-limit', [0x66, 0x8b, 0x16, 0xfe, 0xff]],
    ['far-jmp', [0xea, 0x10, 0x00, 0x00, 0x40]],
    ['in', [0xec]],
    ['out', [0xee]],
  ] as const);
  const b = startVm86(draw, `vm86/${topic}`);
  b.registers.edx = 0x1000;
  return end(b.emit(...bytes, ...Array.from({ length: 0x12 }, () => 0x90)));
}

export const vm86: Family = {
  name: 'vm86',
  weight: 3,
  build: draw => draw.pick([flags, flags, back, interrupt, other])(draw),
};
