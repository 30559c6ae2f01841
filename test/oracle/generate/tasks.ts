/** Task switches by JMP, CALL, INT and IRET: SDM vol. 3, 7.3. TSS2's task ends the case. */
import { TASK2_EIP, TASK2_ESP } from '../arena.ts';
import {
  codeSelector,
  dataSelector,
  END_VECTOR,
  IDT,
  LDT_SELECTOR,
  type OracleCase,
  TSS,
  TSS_SELECTOR,
  TSS2,
} from '../case.ts';
import {
  descriptorBytes,
  dpl,
  dword,
  gateBytes,
  PRESENT,
  TASK_GATE,
  TSS32,
  TSS32_BUSY,
  word,
} from './assemble.ts';
import { CaseBuilder, type Family, FLAG_NT } from './builder.ts';
import type { Draw } from './draw.ts';
import { anySelector, freeSelector } from './selectors.ts';

const BACK_LINK = 0x00;
const EIP = 0x20;
const EFLAGS = 0x24;
const GENERAL = 0x28;
const LDT_FIELD = 0x60;
/** ES, DS, FS, GS. */
const DATA_FIELDS = [0x48, 0x54, 0x58, 0x5c];

/** The descriptor of TSS2: right more often than not. */
function taskSegment(draw: Draw, busy: boolean): number[] {
  const type = draw.chance(92) ? (busy ? TSS32_BUSY : TSS32) : draw.pick([TSS32, TSS32_BUSY, 0x2, 0x13]);
  const access = (draw.chance(94) ? PRESENT : 0) | dpl(draw.chance(80) ? 3 : draw.int(0, 3)) | type;
  return descriptorBytes({
    base: TSS2,
    limit: draw.chance(94) ? 0x67 : draw.pick([0x66, 0x2b, 0]),
    access,
    flags: 0,
  });
}

/** What the new task finds in its registers; at times a selector that cannot be loaded. */
export function taskState(draw: Draw, b: CaseBuilder): void {
  for (let i = 0; i < 8; i++) {
    if (i !== 4) b.write(TSS2 + GENERAL + 4 * i, dword(draw.dword()));
  }
  b.write(
    TSS2 + EFLAGS,
    dword(2 | (draw.dword() & 0x8d5) | (draw.int(0, 3) << 12) | (draw.chance(50) ? 0x200 : 0)),
  );
  if (draw.chance(40)) b.write(TSS2 + draw.pick(DATA_FIELDS), word(anySelector(draw, b)));
  if (draw.chance(15)) {
    const ldt = draw.pick([LDT_SELECTOR, LDT_SELECTOR, TSS_SELECTOR, 0x0ffc, 0x38]);
    b.write(TSS2 + LDT_FIELD, word(ldt));
  }
  if (draw.chance(25)) {
    // The task starts in ring 3.
    const ring = draw.pick([1, 2, 3] as const);
    b.write(TSS2 + 0x4c, word(codeSelector(ring))).write(TSS2 + 0x50, word(dataSelector(ring)));
    for (const field of DATA_FIELDS) b.write(TSS2 + field, word(dataSelector(ring)));
  }
  b.write(TSS2 + EIP, dword(TASK2_EIP)).write(TSS2 + 0x38, dword(TASK2_ESP));
}

function transfer(draw: Draw): OracleCase {
  const call = draw.chance(50);
  const b = new CaseBuilder(draw, call ? 'task-switch/call' : 'task-switch/jmp');
  taskState(draw, b);
  const tss = freeSelector(draw, draw.chance(80) ? b.ring : draw.int(0, 3), 'gdt');
  b.slot(tss, taskSegment(draw, false));
  let selector = tss;
  if (draw.chance(35)) {
    // A slot that is not the TSS's.
    selector = freeSelector(draw, draw.chance(80) ? b.ring : draw.int(0, 3));
    if ((selector & 0xfffc) === (tss & 0xfffc)) selector = tss;
    else {
      const access = (draw.chance(92) ? PRESENT : 0) | dpl(draw.chance(80) ? 3 : draw.int(0, 3)) | TASK_GATE;
      b.slot(selector, gateBytes(tss, 0, access));
      b.topic += '-gate';
    }
  }
  b.emit(call ? 0x9a : 0xea, ...dword(draw.dword()), ...word(selector));
  return b.end();
}

/** INT n through a task gate that is refused before the switch; those that succeed are in `handlers.ts`. */
function byInterrupt(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'task-switch/int');
  const defect = draw.pick(
    b.ring === 0
      ? ['gate', 'tss', 'busy', 'present', 'limit']
      : ['gate', 'dpl', 'tss', 'busy', 'present', 'limit'],
  );
  const tss = freeSelector(draw, 0, 'gdt');
  const type = defect === 'busy' ? TSS32_BUSY : TSS32;
  const access = (defect === 'present' ? 0 : PRESENT) | dpl(draw.int(0, 3)) | type;
  b.slot(
    tss,
    descriptorBytes({
      base: TSS2,
      limit: defect === 'limit' ? draw.pick([0x66, 0x2b]) : 0x67,
      access,
      flags: 0,
    }),
  );
  const target = defect === 'tss' ? draw.pick([0, LDT_SELECTOR, 0x38, 0x1000, 0x0c]) : tss;
  const vector = draw.int(END_VECTOR + 1, 0x4f);
  const gate =
    (defect === 'gate' ? 0 : PRESENT) | dpl(defect === 'dpl' ? draw.int(0, b.ring - 1) : 3) | TASK_GATE;
  b.write(IDT + 8 * vector, gateBytes(target, 0, gate));
  return b.emit(0xcd, vector).end();
}

/** IRET with NT: back to the task that the TSS names, which has to be busy. */
function back(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'task-switch/iret');
  b.eflags |= FLAG_NT;
  taskState(draw, b);
  const tss = freeSelector(draw, draw.chance(80) ? 0 : draw.int(0, 3), 'gdt');
  b.slot(tss, taskSegment(draw, true));
  b.write(TSS + BACK_LINK, word(draw.chance(85) ? tss : draw.pick([0, TSS_SELECTOR, 0x38, 0x1000, 0x0c])));
  return b.emit(0xcf).end();
}

export const tasks: Family = {
  name: 'tasks',
  weight: 5,
  build: draw => draw.pick([transfer, transfer, byInterrupt, back])(draw),
};
