/** MOV, POP and load-far-pointer to segment registers, and what reads them: SDM vol. 2; vol. 3, 5.5 to 5.8. */
import { DATA, type OracleCase } from '../case.ts';
import {
  absolute,
  BIG,
  CS,
  DS,
  dword,
  EAX,
  EDX,
  ES,
  FS,
  GS,
  movImmediate,
  OPERAND_SIZE,
  PAGES,
  pushImmediate,
  register,
  SEGMENT_PREFIX,
  SS,
  word,
} from './assemble.ts';
import { CaseBuilder, type Family } from './builder.ts';
import type { Draw } from './draw.ts';
import { anyDescriptor, anySelector, flatDescriptor } from './selectors.ts';

const NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
const POP: Readonly<Record<number, number[]>> = {
  [ES]: [0x07],
  [SS]: [0x17],
  [DS]: [0x1f],
  [FS]: [0x0f, 0xa1],
  [GS]: [0x0f, 0xa9],
};
const PUSH: Readonly<Record<number, number[]>> = {
  [ES]: [0x06],
  [CS]: [0x0e],
  [SS]: [0x16],
  [DS]: [0x1e],
  [FS]: [0x0f, 0xa0],
  [GS]: [0x0f, 0xa8],
};
const LOAD_FAR: Readonly<Record<number, number[]>> = {
  [ES]: [0xc4],
  [SS]: [0x0f, 0xb2],
  [DS]: [0xc5],
  [FS]: [0x0f, 0xb4],
  [GS]: [0x0f, 0xb5],
};
const POINTER = DATA + 0x40;

/** In ring 0 the stack has to stay what it is: exceptions go there. */
function selectorFor(draw: Draw, b: CaseBuilder, segment: number): number {
  if (segment !== SS || b.ring !== 0) return anySelector(draw, b);
  return anySelector(draw, b, (d, ring) => {
    const raw = anyDescriptor(d, ring);
    const loads = (raw.access & 0x9a) === 0x92;
    return loads ? { ...flatDescriptor(d, ring, [0x3]), access: raw.access & ~4, flags: PAGES | BIG } : raw;
  });
}

/** Uses the segment after a load that succeeds, now and then. */
function use(draw: Draw, b: CaseBuilder, segment: number): void {
  if (segment === SS || !draw.chance(40)) return;
  const opcode = draw.pick([0x8b, 0x89, 0x8a]);
  b.emit(SEGMENT_PREFIX[segment] ?? 0x3e, opcode, ...absolute(EDX, DATA + 0x80));
}

function mov(draw: Draw): OracleCase {
  const segment = draw.pick([ES, SS, SS, DS, FS, GS, ES, CS]);
  const b = new CaseBuilder(draw, `mov-to-segment/${NAMES[segment]}`);
  const selector = selectorFor(draw, b, segment);
  if (draw.chance(60)) {
    b.emit(...movImmediate(EAX, ((draw.dword() & 0xffff0000) | selector) >>> 0));
    if (draw.chance(20)) b.emit(OPERAND_SIZE);
    b.emit(0x8e, register(segment, EAX));
  } else {
    b.write(POINTER, word(selector)).emit(0x8e, ...absolute(segment, POINTER));
  }
  use(draw, b, segment);
  return b.end();
}

function pop(draw: Draw): OracleCase {
  const segment = draw.pick([ES, SS, SS, DS, FS, GS]);
  const b = new CaseBuilder(draw, `pop-segment/${NAMES[segment]}`);
  const selector = selectorFor(draw, b, segment);
  b.emit(...pushImmediate(selector | (draw.dword() & 0xffff0000)));
  if (draw.chance(25)) b.emit(OPERAND_SIZE);
  b.emit(...(POP[segment] ?? []));
  use(draw, b, segment);
  return b.end();
}

function loadFar(draw: Draw): OracleCase {
  const segment = draw.pick([ES, SS, SS, DS, FS, GS]);
  const b = new CaseBuilder(draw, `load-far-pointer/${NAMES[segment]}`);
  const selector = selectorFor(draw, b, segment);
  const short = draw.chance(25);
  b.write(
    POINTER,
    short ? [...word(draw.dword()), ...word(selector)] : [...dword(draw.dword()), ...word(selector)],
  );
  if (short) b.emit(OPERAND_SIZE);
  b.emit(...(LOAD_FAR[segment] ?? []), ...(draw.chance(95) ? absolute(EDX, POINTER) : [register(EDX, EAX)]));
  use(draw, b, segment);
  return b.end();
}

/** What a kernel reads of its segment registers: PUSH and MOV r/m, Sreg. */
function read(draw: Draw): OracleCase {
  const segment = draw.pick([ES, CS, SS, DS, FS, GS]);
  const pushes = draw.chance(50);
  const b = new CaseBuilder(draw, `${pushes ? 'push-segment' : 'mov-from-segment'}/${NAMES[segment]}`);
  b.loosenSegments(draw);
  if (draw.chance(30)) b.emit(OPERAND_SIZE);
  if (pushes) b.emit(...(PUSH[segment] ?? []));
  else if (draw.chance(50)) b.emit(0x8c, register(draw.pick([6, 7, segment]), EDX));
  else b.emit(0x8c, ...absolute(segment, POINTER));
  if (b.selectors.ds === 0) b.selectors.ds = draw.chance(50) ? 0 : b.selectors.ss;
  return b.end();
}

export const segmentLoads: Family = {
  name: 'segment-loads',
  weight: 14,
  build: draw => draw.pick([mov, mov, pop, loadFar, read])(draw),
};
