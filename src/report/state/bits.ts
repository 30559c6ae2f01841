/** Names of the bits of EFLAGS (SDM vol. 1, 3.4.3) and IA32_EFER (SDM vol. 3, 2.2.1; AMD APM vol. 2, 3.1.7). */
import type { BitNames } from '../../../emulator/operands/bits.ts';

/** Without bit 1, which is always set, and IOPL, which is a number. */
export const EFLAGS_BITS: BitNames = {
  0: 'CF',
  2: 'PF',
  4: 'AF',
  6: 'ZF',
  7: 'SF',
  8: 'TF',
  9: 'IF',
  10: 'DF',
  11: 'OF',
  14: 'NT',
  16: 'RF',
  17: 'VM',
  18: 'AC',
  19: 'VIF',
  20: 'VIP',
  21: 'ID',
};

export const EFER_BITS: BitNames = { 0: 'SCE', 8: 'LME', 10: 'LMA', 11: 'NXE', 12: 'SVME' };
