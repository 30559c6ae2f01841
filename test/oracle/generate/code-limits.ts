/** CS limits, and instructions that reach over them: #GP(0) at the fetch. SDM vol. 3, 5.3. */
import { CODE, type OracleCase } from '../case.ts';
import { BIG, CODE_READ, dpl, dword, PRESENT, SEGMENT } from './assemble.ts';
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

export const codeLimits: Family = { name: 'code-limits', weight: 3, build: limited };
