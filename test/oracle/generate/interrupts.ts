/** INT n, INT3, INTO, INT1 through gates of every kind: SDM vol. 2, INT n; vol. 3, 6.12. */

import { HANDLER_SIZE, HANDLERS } from '../arena.ts';
import { END_VECTOR, IDT, type OracleCase, RUNNER_CODE } from '../case.ts';
import { CALL_GATE, dpl, gateBytes, INTERRUPT_GATE, PRESENT, TRAP_GATE } from './assemble.ts';
import { CaseBuilder, type Family } from './builder.ts';
import type { Draw } from './draw.ts';
import { anySelector } from './selectors.ts';

/** The handler that ends a case. */
const END = HANDLERS + END_VECTOR * HANDLER_SIZE;
/** Exceptions that push an error code, which INT n does not; and the task gate of the double fault. */
const WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17, 21]);
const OVERFLOW = 0x800;

/** INT n where the gate is not there, not for this ring, or the template's. */
function template(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'int/template');
  let vector = draw.pick([draw.int(0, 0x1f), draw.int(0x20, 0x3f), draw.int(0x50, 0xff), 3, 4]);
  if (b.ring === 0 && WITH_ERROR_CODE.has(vector)) vector = 3;
  return b.emit(0xcd, vector).end();
}

function oneByte(draw: Draw): OracleCase {
  const [topic, opcode] = draw.pick([
    ['int3', 0xcc],
    ['into', 0xce],
    ['into', 0xce],
    ['int1', 0xf1],
  ] as const);
  const b = new CaseBuilder(draw, topic);
  if (draw.chance(50)) b.eflags |= OVERFLOW;
  return b.emit(opcode).end();
}

/** A gate of the case's own: of any type and privilege, to the handler in ring 0, or to no good selector. */
function own(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'int/gate');
  const vector = draw.int(END_VECTOR + 1, 0x4f);
  const good = draw.chance(60);
  let selector = RUNNER_CODE | draw.int(0, 3);
  if (!good) {
    selector = anySelector(draw, b, (d, ring) => ({
      base: 0,
      limit: 0xfffff,
      // Data, system, code that is not present or too far out: nothing that could be entered.
      access: d.pick([0x93, 0x82, 0x89, 0x1b, 0x1f, ring < 3 ? 0xfb : 0x93]),
      flags: 0xc,
    }));
    // Code that could be entered in another ring than the handler is for.
    if ([0x30, 0x40, 0x50, 0x60].includes(selector & 0xfffc)) selector = 0;
  }
  const type =
    good || draw.chance(70) ? draw.pick([INTERRUPT_GATE, TRAP_GATE]) : draw.pick([CALL_GATE, 0, 2, 9]);
  const access = (draw.chance(85) ? PRESENT : 0) | dpl(draw.chance(65) ? 3 : draw.int(0, 3)) | type;
  b.write(IDT + vector * 8, gateBytes(selector, END, access));
  return b.emit(0xcd, vector).end();
}

export const interrupts: Family = {
  name: 'interrupts',
  weight: 8,
  build: draw => draw.pick([template, oneByte, own, own])(draw),
};
