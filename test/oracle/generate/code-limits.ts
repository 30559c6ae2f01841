/** CS limits, and instructions that reach over them: #GP(0) at the fetch. SDM vol. 3, 5.3. */
import { pageTableEntry } from '../arena.ts';
import { CODE, DATA, type OracleCase, STACK } from '../case.ts';
import { BIG, CODE_READ, DATA_WRITE, dpl, dword, PRESENT, SEGMENT } from './assemble.ts';
import { CaseBuilder, type Family } from './builder.ts';
import type { Draw } from './draw.ts';
import { freeSelector } from './selectors.ts';

function limited(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'cs-limit');
  b.at = CODE;
  const limit = CODE + draw.int(0, 12);
  const selector = freeSelector(draw, b.ring);
  b.descriptor(selector, { base: 0, limit, access: PRESENT | dpl(b.ring) | SEGMENT | CODE_READ, flags: BIG });
  b.selectors.cs = selector;
  switch (draw.int(0, 4)) {
    case 0:
      b.emit(0xb8, ...dword(0x12345678), 0x41);
      break;
    case 1:
      // jmp over some bytes
      b.emit(0xeb, draw.int(0, 9));
      for (let i = 0; i < 9; i++) b.emit(0x90);
      break;
    case 2:
      b.emit(0x68, ...dword(CODE + draw.int(6, 16)), 0xc3);
      for (let i = 0; i < 9; i++) b.emit(0x90);
      break;
    case 3:
      b.emit(0xe8, draw.int(0, 9), 0, 0, 0);
      for (let i = 0; i < 9; i++) b.emit(0x90);
      break;
    default:
      for (let i = draw.int(0, 9); i > 0; i--) b.emit(0x40 | draw.int(5, 7));
  }
  return b.end();
}

/**
 * A near call beyond the limit whose return address cannot be pushed either: the target is checked first (SDM vol. 2,
 * CALL). Outside ring 0, where exceptions have a stack of their own.
 */
function callOrder(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'cs-limit/call').inRing(draw.pick([1, 2, 3] as const));
  b.at = CODE;
  const selector = freeSelector(draw, b.ring, 'gdt');
  const access = PRESENT | dpl(b.ring) | SEGMENT;
  b.descriptor(selector, { base: 0, limit: CODE + 0x20, access: access | CODE_READ, flags: BIG });
  b.selectors.cs = selector;
  const target = draw.pick([0x10, 0x21, 0x1000]);
  if (draw.chance(60)) {
    const stack = freeSelector(draw, b.ring, 'ldt');
    b.descriptor(stack, { base: STACK, limit: 0xff, access: access | DATA_WRITE, flags: BIG });
    b.selectors.ss = stack;
    b.registers.esp = draw.pick([0x80, 0x102, 2, 0x200]);
  } else {
    b.paging = draw.pick(['32-bit', 'pae'] as const);
    b.write(pageTableEntry(b.paging, STACK), dword(0));
    b.registers.esp = STACK + draw.pick([0x100, 0x1002, 0x1004]);
  }
  switch (draw.int(0, 2)) {
    case 0:
      b.emit(0xe8, ...dword(target - 5));
      break;
    case 1:
      b.registers.eax = CODE + target;
      b.emit(0xff, 0xd0);
      break;
    default:
      b.write(DATA, dword(CODE + target)).emit(0xff, 0x15, ...dword(DATA));
  }
  while (b.here < CODE + 0x10) b.emit(0x90);
  return b.end();
}

export const codeLimits: Family = {
  name: 'code-limits',
  weight: 4,
  build: draw => draw.pick([limited, limited, callOrder])(draw),
};
