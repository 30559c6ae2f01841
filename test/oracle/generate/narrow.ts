/** What is left of the 80286: 16-bit call gates, 16-bit far returns and 16-bit task state segments. SDM vol. 3, 21.4 and 7.6. */
import type { Ring } from '../../../emulator/cpu-state.ts';
import { RING0_STACK_TOP, TASK2_ESP } from '../arena.ts';
import {
  CODE,
  codeSelector,
  dataSelector,
  LDT_SELECTOR,
  type OracleCase,
  STACK_TOP,
  TSS,
  TSS_SELECTOR,
  TSS2,
} from '../case.ts';
import {
  BIG,
  CALL_GATE16,
  CODE_READ,
  DATA_WRITE,
  descriptorBytes,
  dpl,
  dword,
  gateBytes,
  OPERAND_SIZE,
  PAGES,
  PRESENT,
  SEGMENT,
  TASK_GATE,
  TSS_LIMIT_16,
  TSS16,
  TSS16_BUSY,
  word,
} from './assemble.ts';
import { CaseBuilder, type Family, FLAG_NT } from './builder.ts';
import type { Draw } from './draw.ts';
import { flagImage } from './flags.ts';
import { basedCode } from './handlers.ts';
import { anyDescriptor, anySelector, freeSelector, RINGS } from './selectors.ts';

/** Where transfers lead to, in the segment at CODE. */
const TARGET = 0x40;
/** The end of the case that the template has at TASK2_EIP: its offset in CODE. */
const TASK_IP = 0x1e00;

/** At CODE, with CS based there: 16 bits of EIP reach all of it. */
function start(draw: Draw, topic: string): CaseBuilder {
  const b = new CaseBuilder(draw, topic);
  b.at = CODE;
  b.eip = 0;
  b.selectors.cs = basedCode(draw, b, b.ring);
  return b;
}

function finish(b: CaseBuilder): OracleCase {
  while (b.here < CODE + TARGET) b.emit(0x90);
  return b.end();
}

function callGate(draw: Draw): OracleCase {
  const call = draw.chance(75);
  const b = start(draw, call ? 'far-call/gate-16' : 'far-jmp/gate-16');
  const inner = draw.chance(60) ? draw.int(0, b.ring) : b.ring;
  const target = (basedCode(draw, b, inner) & 0xfffc) | draw.int(0, 3);
  const selector = b.unused(freeSelector(draw, draw.chance(85) ? b.ring : draw.int(0, 3), 'gdt'));
  const access = (draw.chance(93) ? PRESENT : 0) | dpl(draw.chance(85) ? 3 : draw.int(0, 3)) | CALL_GATE16;
  // A 16-bit gate has no upper half of an offset: what stands there is not looked at.
  const upper = draw.chance(10) ? draw.dword() & 0xffff0000 : 0;
  const offset = draw.chance(3) ? 0x2000 : TARGET | upper;
  if (draw.chance(15)) b.write(TSS + 4 + 8 * draw.pick([1, 2]) + 4, word(anySelector(draw, b)));
  b.slot(selector, gateBytes(target, offset >>> 0, access, draw.chance(50) ? 0 : draw.int(1, 31)));
  b.registers.esp = STACK_TOP - 0x100;
  b.emit(call ? 0x9a : 0xea, ...dword(draw.dword()), ...word(selector));
  return finish(b);
}

/** Seldom code that can be entered; and that starts at CODE, as 16 bits of EIP reach nothing else of a case. */
function badCode(draw: Draw, b: CaseBuilder): number {
  const selector = anySelector(draw, b, (d, ring) => ({ ...anyDescriptor(d, ring), base: CODE }));
  const isTemplates = RINGS.some(ring => (selector & 0xfffc) === (codeSelector(ring) & 0xfffc));
  return isTemplates ? 0 : selector;
}

/** RETF and IRET with 16-bit operands: to this ring or an outer one. */
function back(draw: Draw): OracleCase {
  const interrupt = draw.chance(50);
  const b = start(draw, interrupt ? 'iret/16' : 'far-return/16');
  const to = draw.chance(50) ? b.ring : (draw.int(0, 3) as Ring);
  const code = draw.chance(85) ? basedCode(draw, b, to) : badCode(draw, b);
  const stack = draw.chance(80) ? dataSelector(to) : anySelector(draw, b);
  b.registers.esp = STACK_TOP - 0x100;
  const parameters = draw.pick([0, 0, 4]);
  // The new stack pointer is a word as well: the upper half of ESP stays what it is.
  const values = interrupt
    ? [TARGET, code, flagImage(draw), STACK_TOP - 0x40, stack]
    : [TARGET, code, ...Array.from({ length: parameters / 2 }, () => draw.dword()), STACK_TOP - 0x40, stack];
  b.write(b.registers.esp, values.flatMap(word));
  if (interrupt) b.emit(OPERAND_SIZE, 0xcf);
  else b.emit(OPERAND_SIZE, ...(parameters === 0 ? [0xcb] : [0xca, ...word(parameters)]));
  return finish(b);
}

/** A stack for ring 0 whose top is RING0_STACK_TOP, for those who have 16 bits of a stack pointer. */
function ring0Stack(draw: Draw, b: CaseBuilder): { readonly selector: number; readonly sp: number } {
  const base = RING0_STACK_TOP & 0xffff0000;
  const selector = b.unused(freeSelector(draw, 0, 'gdt'));
  b.descriptor(selector, { base, limit: 0xf, access: PRESENT | SEGMENT | DATA_WRITE, flags: PAGES | BIG });
  return { selector, sp: RING0_STACK_TOP & 0xffff };
}

/** Fields of a 16-bit TSS: SDM vol. 3, figure 7-10. */
const SP0 = 0x02;
const SS0 = 0x04;
const IP = 0x0e;
const FLAGS = 0x10;
const AX = 0x12;
const SEGMENTS = 0x22;
const LDT_FIELD = 0x2a;

/** A task of 16 bits at TSS2, which ends the case. */
function narrowTask(draw: Draw, b: CaseBuilder): void {
  const ring = draw.chance(70) ? 0 : draw.pick([1, 2, 3] as const);
  const stack = ring0Stack(draw, b);
  const data = dataSelector(ring);
  b.write(
    TSS2,
    Array.from({ length: TSS_LIMIT_16 + 1 }, () => 0),
  );
  b.write(TSS2 + SP0, word(stack.sp)).write(TSS2 + SS0, word(stack.selector));
  b.write(TSS2 + IP, word(TASK_IP)).write(TSS2 + FLAGS, word(flagImage(draw) & 0xffff));
  for (let i = 0; i < 8; i++) b.write(TSS2 + AX + 2 * i, word(draw.dword()));
  // Only the low half of ESP is in the TSS; the stack's segment makes up for it, outside ring 0 as inside.
  const ss = b.unused(freeSelector(draw, ring, 'gdt'));
  b.descriptor(ss, {
    base: TASK2_ESP & 0xffff0000,
    limit: 0xf,
    access: PRESENT | dpl(ring) | SEGMENT | DATA_WRITE,
    flags: PAGES,
  });
  b.write(TSS2 + AX + 2 * 4, word(TASK2_ESP));
  const cs = b.unused(freeSelector(draw, ring, 'gdt'));
  b.descriptor(cs, {
    base: CODE,
    limit: 0x1fff,
    access: PRESENT | dpl(ring) | SEGMENT | CODE_READ,
    flags: BIG,
  });
  for (const [i, selector] of [data, cs, ss, data].entries())
    b.write(TSS2 + SEGMENTS + 2 * i, word(selector));
  if (draw.chance(20)) b.write(TSS2 + SEGMENTS + draw.pick([0, 6]), word(anySelector(draw, b)));
  if (draw.chance(20)) b.write(TSS2 + LDT_FIELD, word(draw.pick([LDT_SELECTOR, TSS_SELECTOR, 0x0ffc])));
}

function taskDescriptor(draw: Draw, type: number): number[] {
  return descriptorBytes({
    base: TSS2,
    limit: draw.chance(92) ? TSS_LIMIT_16 : draw.pick([TSS_LIMIT_16 - 1, 0]),
    access: (draw.chance(95) ? PRESENT : 0) | dpl(draw.chance(85) ? 3 : draw.int(0, 3)) | type,
    flags: 0,
  });
}

function task(draw: Draw): OracleCase {
  const call = draw.chance(50);
  const b = new CaseBuilder(draw, call ? 'task-switch/call-16' : 'task-switch/jmp-16');
  narrowTask(draw, b);
  const tss = b.unused(freeSelector(draw, b.ring, 'gdt'));
  b.slot(tss, taskDescriptor(draw, TSS16));
  let selector = tss;
  if (draw.chance(25)) {
    const gate = b.unused(freeSelector(draw, b.ring));
    if ((gate & 0xfffc) !== (tss & 0xfffc)) {
      selector = gate;
      b.slot(gate, gateBytes(tss, 0, PRESENT | dpl(3) | TASK_GATE));
    }
  }
  return b.emit(call ? 0x9a : 0xea, ...dword(draw.dword()), ...word(selector)).end();
}

function taskReturn(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'task-switch/iret-16');
  b.eflags |= FLAG_NT;
  narrowTask(draw, b);
  const tss = b.unused(freeSelector(draw, 0, 'gdt'));
  b.slot(tss, taskDescriptor(draw, TSS16_BUSY)).write(TSS, word(tss));
  return b.emit(0xcf).end();
}

/** The case's own task has a 16-bit TSS: stacks of inner rings are in it, an I/O permission bitmap is not. */
function own(draw: Draw): OracleCase {
  const b = start(draw, 'tss-16');
  if (b.ring === 0) b.inRing(draw.pick([1, 2, 3] as const));
  b.selectors.cs = basedCode(draw, b, b.ring);
  b.slot(TSS_SELECTOR, descriptorBytes({ base: TSS, limit: 0xfff, access: PRESENT | TSS16, flags: 0 }));
  const stack = ring0Stack(draw, b);
  b.write(
    TSS,
    Array.from({ length: TSS_LIMIT_16 + 1 }, () => 0),
  );
  b.write(TSS + SP0, word(stack.sp)).write(TSS + SS0, word(stack.selector));
  const [topic, bytes] = draw.pick([
    ['in', [0xec]],
    ['out', [0xee]],
    ['cli', [0xfa]],
    ['nothing', []],
  ] as const);
  b.topic = `tss-16/${topic}`;
  b.registers.edx = 0x1000;
  if (topic === 'in') b.ignore.add('eax');
  b.emit(...bytes);
  return finish(b);
}

export const narrow: Family = {
  name: 'narrow',
  weight: 6,
  build: draw => draw.pick([callGate, callGate, back, back, task, task, taskReturn, own])(draw),
};
