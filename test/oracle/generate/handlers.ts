/**
 * INT n, INT3 and INTO to handlers of the case's own: through 32-bit and 16-bit interrupt and trap gates into the same
 * ring or an inner one, and through task gates. SDM vol. 3, 6.12 and 6.14 to 6.16; vol. 2, INT n, IRET.
 */
import type { Ring } from '../../../emulator/cpu-state.ts';
import { TASK2_EIP } from '../arena.ts';
import { CODE, END_VECTOR, IDT, type OracleCase, STACK_TOP, TSS, TSS2 } from '../case.ts';
import {
  BIG,
  CODE_CONFORMING_READ,
  CODE_READ,
  dpl,
  gateBytes,
  INTERRUPT_GATE,
  INTERRUPT_GATE16,
  OPERAND_SIZE,
  PRESENT,
  SEGMENT,
  TASK_GATE,
  TRAP_GATE,
  TRAP_GATE16,
  TSS_LIMIT_32,
  TSS32,
  word,
} from './assemble.ts';
import { CaseBuilder, type Family } from './builder.ts';
import type { Draw } from './draw.ts';
import { anySelector, freeSelector } from './selectors.ts';
import { taskState } from './tasks.ts';
import { startVm86 } from './vm86.ts';

/** Offset of the handler in CODE. */
const HANDLER = 0x1800;

/** What a handler does before the case ends: shows its frame, or goes back. */
function handlerCode(draw: Draw, isWide: boolean, mayReturn: boolean): number[] {
  const pop = isWide ? [] : [OPERAND_SIZE];
  const end = [0xcd, END_VECTOR];
  switch (draw.int(0, 3)) {
    case 0:
      // EIP, CS and EFLAGS of the frame; pushf shows what the gate did with IF.
      return [0x9c, 0x5d, ...pop, 0x58, ...pop, 0x59, ...pop, 0x5a, ...end];
    case 1:
      return [...pop, 0x58, ...pop, 0x59, ...end];
    default:
      return mayReturn ? [0x40, ...pop, 0xcf] : [0x9c, 0x58, ...end];
  }
}

/** Code of the ring at CODE, 64 KiB at most away from any 16-bit offset. */
export function basedCode(draw: Draw, b: CaseBuilder, ring: number, type = CODE_READ): number {
  const selector = b.unused(freeSelector(draw, ring));
  b.descriptor(selector, {
    base: CODE,
    limit: 0x1fff,
    access: PRESENT | dpl(ring) | SEGMENT | type,
    flags: BIG,
  });
  return selector;
}

/** From a code segment at CODE, so that 16 bits of EIP are enough to go back. */
function throughGate(draw: Draw): OracleCase {
  const narrow = draw.chance(45);
  const b = new CaseBuilder(draw, narrow ? 'int/handler-16' : 'int/handler');
  b.at = CODE;
  b.eip = 0;
  b.selectors.cs = basedCode(draw, b, b.ring);
  const ring = (draw.chance(50) ? b.ring : draw.int(0, b.ring)) as Ring;
  const conforming = draw.chance(15);
  let handler = basedCode(draw, b, ring, conforming ? CODE_CONFORMING_READ : CODE_READ);
  // The RPL of the gate's selector does not count.
  if (draw.chance(50)) handler = (handler & 0xfffc) | draw.int(0, 3);
  const type = narrow ? draw.pick([INTERRUPT_GATE16, TRAP_GATE16]) : draw.pick([INTERRUPT_GATE, TRAP_GATE]);
  const gateDpl = draw.chance(85) ? 3 : draw.int(0, 3);
  const beyond = draw.chance(3);
  b.write(CODE + HANDLER, handlerCode(draw, !narrow, true));
  // A 16-bit gate has no upper half of an offset: what stands there is not looked at.
  const offset = (beyond ? 0x2000 : HANDLER) | (narrow && draw.chance(10) ? draw.dword() & 0xffff0000 : 0);
  if (draw.chance(12)) {
    // A stack of ring 1 or 2 that cannot be taken.
    b.write(TSS + 4 + 8 * draw.pick([1, 2]) + 4, word(anySelector(draw, b)));
  }
  const [opcode, vector] = draw.pick([
    [[0xcd], draw.int(END_VECTOR + 1, 0x4f)],
    [[0xcd], draw.int(END_VECTOR + 1, 0x4f)],
    [[0xcd], draw.int(END_VECTOR + 1, 0x4f)],
    [[0xcc], 3],
    [[0xce], 4],
  ] as const);
  b.write(IDT + 8 * vector, gateBytes(handler, offset >>> 0, PRESENT | dpl(gateDpl) | type));
  b.emit(...opcode, ...(vector > 4 ? [vector] : []));
  // What the handler returns to.
  return b.emit(0x45).end();
}

/** Out of virtual-8086 mode: the frame has nine words or doublewords. */
function fromVm86(draw: Draw): OracleCase {
  const narrow = draw.chance(50);
  const b = startVm86(draw, narrow ? 'int/vm86-handler-16' : 'int/vm86-handler').withIopl(3);
  b.cr4 &= ~1;
  b.eflags &= ~0x180000;
  const vector = draw.int(END_VECTOR + 1, 0x4f);
  const ring = draw.chance(80) ? 0 : draw.int(1, 3);
  const handler = basedCode(draw, b, ring);
  b.write(CODE + HANDLER, handlerCode(draw, !narrow, false));
  const type = narrow ? draw.pick([INTERRUPT_GATE16, TRAP_GATE16]) : INTERRUPT_GATE;
  b.write(IDT + 8 * vector, gateBytes(handler, HANDLER, PRESENT | dpl(3) | type));
  return b.emit(0xcd, vector, 0xf4).build();
}

/** To the task of TSS2, which ends the case or goes back by IRET. */
function throughTaskGate(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'task-switch/int-gate');
  taskState(draw, b);
  const tss = b.unused(freeSelector(draw, draw.int(0, 3), 'gdt'));
  b.slot(tss, [
    ...word(TSS_LIMIT_32),
    ...word(TSS2),
    TSS2 >>> 16,
    PRESENT | dpl(draw.int(0, 3)) | TSS32,
    0,
    0,
  ]);
  if (draw.chance(30)) b.write(TASK2_EIP, [0xcf]);
  const vector = draw.int(END_VECTOR + 1, 0x4f);
  b.write(
    IDT + 8 * vector,
    gateBytes(tss, draw.dword(), PRESENT | dpl(draw.chance(90) ? 3 : draw.int(0, 3)) | TASK_GATE),
  );
  return b.emit(0xcd, vector).end();
}

/** The state with which a task goes on is in its own TSS, and it is the busy one that is returned to. */
function backAndForth(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'task-switch/int-gate');
  const tss = b.unused(freeSelector(draw, 0, 'gdt'));
  b.slot(tss, [...word(TSS_LIMIT_32), ...word(TSS2), TSS2 >>> 16, PRESENT | dpl(3) | TSS32, 0, 0]);
  const vector = draw.int(END_VECTOR + 1, 0x4f);
  b.write(IDT + 8 * vector, gateBytes(tss, 0, PRESENT | dpl(3) | TASK_GATE));
  // str %ax; iret
  b.write(TASK2_EIP, [0x0f, 0x00, 0xc8, 0xcf]);
  b.registers.esp = STACK_TOP - 0x40;
  return b.emit(0xcd, vector, 0x0f, 0x00, 0xc9, 0x9c, 0x5a).end();
}

export const handlers: Family = {
  name: 'handlers',
  weight: 6,
  build: draw =>
    draw.pick([throughGate, throughGate, throughGate, throughGate, fromVm86, throughTaskGate, backAndForth])(
      draw,
    ),
};
