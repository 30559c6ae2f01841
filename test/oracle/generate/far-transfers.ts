/** Far JMP, CALL and RET, IRET to any ring, call gates: SDM vol. 2; vol. 3, 5.8. */
import type { Ring } from '../../../emulator/cpu-state.ts';
import {
  CODE,
  codeSelector,
  DATA,
  DOUBLE_FAULT_TSS,
  dataSelector,
  type OracleCase,
  STACK_TOP,
  TSS,
  TSS_SELECTOR,
} from '../case.ts';
import {
  absolute,
  BIG,
  CALL_GATE,
  CODE_CONFORMING,
  CODE_CONFORMING_READ,
  CODE_EXECUTE,
  CODE_READ,
  dpl,
  dword,
  gateBytes,
  OPERAND_SIZE,
  PAGES,
  PRESENT,
  type RawDescriptor,
  SEGMENT,
  word,
} from './assemble.ts';
import { CaseBuilder, type Family } from './builder.ts';
import type { Draw } from './draw.ts';
import { flagImage } from './flags.ts';
import { anyDescriptor, anySelector, FLAT_LIMIT, freeSelector, RINGS } from './selectors.ts';

const POINTER = DATA + 0x40;
const CODE_TYPES = [CODE_READ, CODE_READ, CODE_EXECUTE, CODE_CONFORMING, CODE_CONFORMING_READ];

/** A code segment most of the time; its DPL suits most of the time. */
function codeDescriptor(draw: Draw, ring: number): RawDescriptor {
  if (draw.chance(15)) return anyDescriptor(draw, ring);
  const type = draw.pick(CODE_TYPES);
  const suitable = (type & 4) !== 0 ? draw.int(0, ring) : ring;
  return {
    base: 0,
    // Sometimes the target lies behind the limit.
    limit: draw.chance(92) ? FLAT_LIMIT : 0x3f,
    access:
      (draw.chance(92) ? PRESENT : 0) | dpl(draw.chance(70) ? suitable : draw.int(0, 3)) | SEGMENT | type,
    flags: PAGES | BIG,
  };
}

/** A code selector that a transfer in ring `ring` can use more often than not. */
function codeTarget(draw: Draw, b: CaseBuilder, ring: number): number {
  if (draw.chance(35)) return codeSelector(ring as Ring);
  if (draw.chance(20)) return codeSelector(draw.pick(RINGS));
  const any = anySelector(draw, b, d => codeDescriptor(d, ring));
  // The task of the double fault is the runner's.
  const selector = (any & 0xfffc) === DOUBLE_FAULT_TSS ? TSS_SELECTOR | (any & 3) : any;
  return draw.chance(70) ? (selector & 0xfffc) | ring : selector;
}

/** Instructions up to a fixed place that the transfer leads to. */
const ROOM = 0x20;

function pad(b: CaseBuilder, target: number): void {
  while (b.here < target) b.emit(0x90);
}

function direct(draw: Draw): OracleCase {
  const call = draw.chance(50);
  const b = new CaseBuilder(draw, call ? 'far-call' : 'far-jmp');
  const target = b.here + ROOM;
  transfer(draw, b, call, codeTarget(draw, b, b.ring), target);
  pad(b, target);
  return b.end();
}

function transfer(draw: Draw, b: CaseBuilder, call: boolean, selector: number, offset: number): void {
  if (draw.chance(60)) {
    b.emit(call ? 0x9a : 0xea, ...dword(offset), selector & 0xff, selector >>> 8);
    return;
  }
  b.write(POINTER, [...dword(offset), selector & 0xff, selector >>> 8]);
  b.emit(0xff, ...absolute(call ? 3 : 5, POINTER));
}

/** To a code segment that starts at CODE: 32-bit or 16-bit code, with 32-bit or 16-bit offsets. */
function based(draw: Draw): OracleCase {
  const call = draw.chance(40);
  const b = new CaseBuilder(draw, call ? 'far-call/based' : 'far-jmp/based');
  b.at = CODE;
  const target = ROOM;
  const selector = freeSelector(draw, b.ring);
  const access = PRESENT | dpl(b.ring) | SEGMENT | draw.pick([CODE_READ, CODE_EXECUTE]);
  b.descriptor(selector, {
    base: CODE,
    limit: draw.pick([0x1fff, 0x1fff, 0x22, 0x21, 0x1f]),
    access,
    flags: draw.pick([0, BIG]),
  });
  if (draw.chance(40)) b.emit(OPERAND_SIZE, call ? 0x9a : 0xea, target, 0, selector & 0xff, selector >>> 8);
  else b.emit(call ? 0x9a : 0xea, ...dword(target), selector & 0xff, selector >>> 8);
  pad(b, CODE + target);
  // inc %eax, or %ax
  return b.emit(0x40).end();
}

/** Through a call gate: into the same ring, or further in with a stack from the TSS. */
function gate(draw: Draw): OracleCase {
  const call = draw.chance(75);
  const b = new CaseBuilder(draw, call ? 'far-call/gate' : 'far-jmp/gate');
  const target = b.here + ROOM;
  const inner = draw.chance(60) ? draw.int(0, b.ring) : draw.int(0, 3);
  // The RPL of the gate's selector is not looked at.
  const code = (codeTarget(draw, b, inner) & 0xfffc) | draw.int(0, 3);
  const selector = freeSelector(draw, draw.chance(80) ? b.ring : draw.int(0, 3), 'gdt');
  const access = (draw.chance(93) ? PRESENT : 0) | dpl(draw.chance(80) ? 3 : draw.int(0, 3)) | CALL_GATE;
  if (draw.chance(20)) {
    // A stack in the TSS that cannot be taken: null, not of the ring, not there, not writable, not present.
    const ring = draw.pick([1, 2] as const);
    b.write(TSS + 4 + 8 * ring + 4, word(anySelector(draw, b)));
  }
  b.slot(selector, gateBytes(code, target, access, draw.chance(50) ? 0 : draw.int(1, 31)));
  b.registers.esp = STACK_TOP - 0x100;
  transfer(draw, b, call, selector, draw.chance(50) ? target : draw.dword());
  pad(b, target);
  return b.end();
}

/** The frame of RET and IRET, from the stack pointer up. */
function frame(b: CaseBuilder, values: readonly number[]): void {
  b.registers.esp = STACK_TOP - 0x100;
  b.write(b.registers.esp, values.flatMap(dword));
}

/** A stack selector for a return to `ring`; never one that ring 0 would go on with. */
function stackFor(draw: Draw, b: CaseBuilder, ring: number): number {
  if (draw.chance(50)) return dataSelector(ring as Ring);
  const selector = anySelector(draw, b);
  return draw.chance(60) ? (selector & 0xfffc) | ring : selector;
}

function back(draw: Draw): OracleCase {
  const interrupt = draw.chance(50);
  const b = new CaseBuilder(draw, interrupt ? 'iret' : 'far-return');
  const target = b.here + ROOM;
  const to = draw.chance(40) ? b.ring : draw.int(0, 3);
  const code = codeTarget(draw, b, to);
  const bytes = draw.pick([0, 0, 8]);
  const stack = stackFor(draw, b, to);
  const esp = STACK_TOP - draw.pick([0, 0x40]);
  b.loosenSegments(draw);
  for (const name of ['ds', 'es', 'fs', 'gs'] as const)
    if (draw.chance(20)) b.selectors[name] = dataSelector(3);
  if (interrupt) {
    frame(b, [target, code | (draw.dword() & 0xffff0000), flagImage(draw), esp, stack]);
    b.emit(0xcf);
  } else {
    const parameters = Array.from({ length: bytes / 4 }, () => draw.dword());
    frame(b, [target, code, ...parameters, esp, stack]);
    if (bytes === 0) b.emit(0xcb);
    else b.emit(0xca, bytes, 0);
  }
  pad(b, target);
  return b.end();
}

export const farTransfers: Family = {
  name: 'far-transfers',
  weight: 14,
  build: draw => draw.pick([direct, direct, based, gate, gate, gate, back, back, back])(draw),
};
