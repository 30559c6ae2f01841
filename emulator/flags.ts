/** EFLAGS (SDM vol. 1, 3.4.3) and what POPF and IRET really change (SDM vol. 2, POPF and IRET). */

export const FLAG_CF = 1 << 0;
/** Bit 1 always reads as 1. */
export const FLAG_RESERVED_1 = 1 << 1;
export const FLAG_PF = 1 << 2;
export const FLAG_AF = 1 << 4;
export const FLAG_ZF = 1 << 6;
export const FLAG_SF = 1 << 7;
export const FLAG_TF = 1 << 8;
export const FLAG_IF = 1 << 9;
export const FLAG_DF = 1 << 10;
export const FLAG_OF = 1 << 11;
export const FLAG_IOPL = 3 << 12;
export const FLAG_NT = 1 << 14;
export const FLAG_RF = 1 << 16;
export const FLAG_VM = 1 << 17;
export const FLAG_AC = 1 << 18;
export const FLAG_ID = 1 << 21;

export const iopl = (eflags: number): number => (eflags >>> 12) & 3;

const ARITHMETIC = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF;
const ALWAYS = ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT;
const ALWAYS_32 = FLAG_AC | FLAG_ID;

/**
 * EFLAGS after POPF or a same-privilege IRET in protected mode.
 * IF changes only when CPL <= IOPL, IOPL only at CPL 0; neither faults (SDM vol. 2, POPF, table 4-16).
 *
 * @param operandSize 16 leaves the upper word alone
 */
export function flagsAfterPop(
  current: number,
  requested: number,
  cpl: number,
  operandSize: 16 | 32,
  instruction: 'popf' | 'iret' = 'popf',
): number {
  let changes = ALWAYS;
  if (cpl <= iopl(current)) changes |= FLAG_IF;
  if (cpl === 0) changes |= FLAG_IOPL;
  if (operandSize === 32) changes |= ALWAYS_32;
  let result = (current & ~changes) | (requested & changes);
  if (operandSize === 32) {
    // POPFD clears RF; IRETD loads it from the frame.
    result = instruction === 'popf' ? result & ~FLAG_RF : (result & ~FLAG_RF) | (requested & FLAG_RF);
  }
  return (result | FLAG_RESERVED_1) >>> 0;
}
