/** SGDT, SIDT, SLDT, STR, SMSW; LAR, LSL, VERR, VERW, ARPL: they look and do not fault. SDM vol. 2; vol. 3, 5.10. */
import { DATA, LDT_SELECTOR, type OracleCase } from '../case.ts';
import { absolute, dword, EAX, ECX, EDX, movImmediate, OPERAND_SIZE, register, word } from './assemble.ts';
import { CaseBuilder, type Family } from './builder.ts';
import type { Draw } from './draw.ts';
import { anySelector } from './selectors.ts';

const OPERAND = DATA + 0x40;

function storeTable(draw: Draw): OracleCase {
  const idt = draw.chance(50);
  const b = new CaseBuilder(draw, idt ? 'sidt' : 'sgdt');
  if (draw.chance(30)) b.emit(OPERAND_SIZE);
  if (draw.chance(10)) return b.emit(0x0f, 0x01, register(idt ? 1 : 0, draw.int(5, 7))).end();
  return b.emit(0x0f, 0x01, ...absolute(idt ? 1 : 0, OPERAND)).end();
}

function storeWord(draw: Draw): OracleCase {
  const [topic, second, reg] = draw.pick([
    ['sldt', 0x00, 0],
    ['str', 0x00, 1],
    ['smsw', 0x01, 4],
  ] as const);
  const b = new CaseBuilder(draw, topic);
  if (draw.chance(50)) b.ldtr = LDT_SELECTOR;
  if (draw.chance(30)) b.emit(OPERAND_SIZE);
  const toRegister = draw.chance(50);
  b.emit(0x0f, second, ...(toRegister ? [register(reg, EDX)] : absolute(reg, OPERAND)));
  // SMSW to a 32-bit register leaves the upper half undefined (SDM vol. 2, SMSW): movzwl %dx,%edx.
  if (topic === 'smsw') b.emit(0x0f, 0xb7, 0xd2);
  return b.end();
}

function look(draw: Draw): OracleCase {
  const [topic, bytes, reg] = draw.pick([
    ['lar', [0x0f, 0x02], EDX],
    ['lsl', [0x0f, 0x03], EDX],
    ['verr', [0x0f, 0x00], 4],
    ['verw', [0x0f, 0x00], 5],
  ] as const);
  const b = new CaseBuilder(draw, topic);
  const selector = anySelector(draw, b);
  if (draw.chance(50)) {
    b.emit(...movImmediate(EAX, selector));
    if (draw.chance(25)) b.emit(OPERAND_SIZE);
    b.emit(...bytes, register(reg, EAX));
  } else {
    b.write(OPERAND, word(selector));
    if (draw.chance(25)) b.emit(OPERAND_SIZE);
    b.emit(...bytes, ...absolute(reg, OPERAND));
  }
  // Bits 19:16 of what LAR gives are undefined (SDM vol. 2, LAR): pushf; and $0xfff0ffff,%edx; popf.
  if (topic === 'lar') b.emit(0x9c, 0x81, 0xe2, ...dword(0xfff0ffff), 0x9d);
  return b.end();
}

function adjust(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'arpl');
  b.emit(...movImmediate(EAX, draw.dword()));
  b.emit(0x63, ...(draw.chance(50) ? [register(ECX, EAX)] : absolute(ECX, OPERAND)));
  return b.end();
}

export const descriptorReads: Family = {
  name: 'descriptor-reads',
  weight: 12,
  build: draw => draw.pick([storeTable, storeWord, look, look, look, adjust])(draw),
};
