/** POPF, PUSHF and IRET to the same ring: what becomes of IF and IOPL. SDM vol. 2, POPF, table 4-17; IRET. */

import type { Ring } from '../../../emulator/cpu-state.ts';
import { codeSelector, dataSelector, type OracleCase, STACK_TOP } from '../case.ts';
import { OPERAND_SIZE, popf, pushImmediate, word } from './assemble.ts';
import {
  ARITHMETIC,
  CaseBuilder,
  CR4_PVI,
  CR4_VME,
  type Family,
  FLAG_AC,
  FLAG_ID,
  FLAG_IF,
} from './builder.ts';
import type { Draw } from './draw.ts';

/** Any image without TF, which would trap, and NT, which would make the next IRET a task switch. */
export function flagImage(draw: Draw, extra = 0): number {
  let image = draw.dword() & ARITHMETIC;
  image |= draw.int(0, 3) << 12;
  if (draw.chance(50)) image |= FLAG_IF;
  if (draw.chance(30)) image |= FLAG_ID;
  if (draw.chance(30)) image |= FLAG_AC;
  if (draw.chance(20)) image |= draw.pick([0x80000, 0x100000, 0x10000, 0x8, 0x20, 0x8000]);
  return (image | extra) >>> 0;
}

function start(draw: Draw, topic: string): CaseBuilder {
  const b = new CaseBuilder(draw, topic);
  if (draw.chance(20)) b.cr4 |= draw.pick([CR4_PVI, CR4_VME, CR4_PVI | CR4_VME]);
  return b;
}

function pop(draw: Draw): OracleCase {
  const b = start(draw, 'popf');
  const image = flagImage(draw);
  if (draw.chance(35)) {
    // push $imm32; popfw; add $2,%esp
    b.topic = 'popf/16';
    b.emit(...pushImmediate(image), OPERAND_SIZE, 0x9d, 0x8d, 0x64, 0x24, 0x02);
  } else b.emit(...popf(image));
  if (draw.chance(30)) b.emit(0x9c, 0x58);
  return b.end();
}

function push(draw: Draw): OracleCase {
  const b = start(draw, 'pushf');
  b.eflags |= flagImage(draw) & (FLAG_ID | FLAG_AC);
  if (draw.chance(30)) b.emit(OPERAND_SIZE, 0x9c, OPERAND_SIZE, 0x58);
  else b.emit(0x9c, 0x58);
  return b.end();
}

/** Builds IRET's frame in place, at the stack pointer. */
function frame(draw: Draw, b: CaseBuilder, short: boolean, selector: number, target: number): void {
  const esp = STACK_TOP - 0x100;
  b.registers.esp = esp;
  const image = flagImage(draw);
  const bytes = short
    ? [...word(target), ...word(selector), ...word(image)]
    : [target, selector | (draw.dword() & 0xffff0000), image].flatMap(value => [
        ...word(value),
        ...word(value >>> 16),
      ]);
  b.write(esp, bytes);
}

function interruptReturn(draw: Draw): OracleCase {
  const b = start(draw, 'iret/same-ring');
  // A 16-bit IRET leaves 16 bits of EIP: there is no code of a case down there.
  const target = b.here + 0x20;
  frame(draw, b, false, codeSelector(b.ring), target);
  b.emit(0xcf);
  while (b.here < target) b.emit(0x90);
  return b.end();
}

/** To a ring further out. */
function outward(draw: Draw): OracleCase {
  const b = start(draw, 'iret/outer-ring').inRing(draw.pick([0, 1, 2] as const));
  const to = draw.int(b.ring + 1, 3) as Ring;
  const esp = STACK_TOP - 0x100;
  b.registers.esp = esp;
  const target = b.here + 0x20;
  const values = [
    target,
    codeSelector(to),
    flagImage(draw),
    STACK_TOP - draw.pick([0, 4, 0x40]),
    dataSelector(to),
  ];
  b.write(
    esp,
    values.flatMap(value => [...word(value), ...word(value >>> 16)]),
  );
  b.emit(0xcf);
  while (b.here < target) b.emit(0x90);
  if (draw.chance(40)) b.emit(0x9c, 0x58);
  return b.end();
}

export const flags: Family = {
  name: 'flags',
  weight: 12,
  build: draw => draw.pick([pop, pop, pop, push, interruptReturn, outward])(draw),
};
