/** SGDT, SIDT, SLDT, STR and SMSW with CR4.UMIP, in all rings and in virtual-8086 mode: SDM vol. 3, 2.5. */
import { DATA, LDT_SELECTOR, type OracleCase } from '../case.ts';
import { absolute, EDX, OPERAND_SIZE, register, word } from './assemble.ts';
import { CaseBuilder, CR4_UMIP, CR4_VME, type Family } from './builder.ts';
import type { Draw } from './draw.ts';
import { startVm86 } from './vm86.ts';

/** Second byte of the opcode and register field of ModR/M. */
const INSTRUCTIONS = [
  ['sgdt', 0x01, 0],
  ['sidt', 0x01, 1],
  ['sldt', 0x00, 0],
  ['str', 0x00, 1],
  ['smsw', 0x01, 4],
] as const;
const OPERAND = DATA + 0x40;

function protectedMode(draw: Draw): OracleCase {
  const [topic, second, reg] = draw.pick(INSTRUCTIONS);
  const b = new CaseBuilder(draw, `umip/${topic}`);
  b.cr4 |= CR4_UMIP;
  if (draw.chance(50)) b.ldtr = LDT_SELECTOR;
  if (draw.chance(20)) b.loosenSegments(draw);
  if (draw.chance(25)) b.emit(OPERAND_SIZE);
  // With a register operand SGDT and SIDT are something else, or nothing.
  const toRegister = second === 0x00 || reg === 4 ? draw.chance(50) : draw.chance(5);
  // 0F 01 C0 to C7 and C8 to CF: no VMX, MONITOR or the like is meant here.
  b.emit(
    0x0f,
    second,
    ...(toRegister ? [register(reg, reg === 4 || second === 0 ? EDX : 6)] : absolute(reg, OPERAND)),
  );
  // The upper half of a 32-bit register is not defined (SDM vol. 2, SMSW): movzwl %dx,%edx.
  if (topic === 'smsw') b.emit(0x0f, 0xb7, 0xd2);
  return b.end();
}

function virtualMode(draw: Draw): OracleCase {
  const [topic, second, reg] = draw.pick(INSTRUCTIONS);
  const b = startVm86(draw, `umip/vm86-${topic}`);
  b.cr4 |= CR4_UMIP;
  if (draw.chance(50)) b.cr4 &= ~CR4_VME;
  return b.emit(0x0f, second, (reg << 3) | 6, ...word(0x40), 0xf4).build();
}

export const umip: Family = {
  name: 'umip',
  weight: 3,
  build: draw => draw.pick([protectedMode, protectedMode, protectedMode, virtualMode])(draw),
};
