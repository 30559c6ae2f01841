/** Code size, operand size and port size. */
import { iced } from './iced.ts';

const { Code } = iced;

/** Of the code segment. */
export type CodeBits = 16 | 32;

const CODES_16 = new Set<number>([
  Code.Popfw,
  Code.Iretw,
  Code.Retfw,
  Code.Retfw_imm16,
  Code.Jmp_ptr1616,
  Code.Jmp_m1616,
  Code.Call_ptr1616,
  Code.Call_m1616,
  Code.Popw_ES,
  Code.Popw_SS,
  Code.Popw_DS,
  Code.Popw_FS,
  Code.Popw_GS,
  Code.Les_r16_m1616,
  Code.Lds_r16_m1616,
  Code.Lss_r16_m1616,
  Code.Lfs_r16_m1616,
  Code.Lgs_r16_m1616,
  Code.Rdrand_r16,
  Code.Rdseed_r16,
  Code.Lgdt_m1632_16,
  Code.Lidt_m1632_16,
  Code.Pushfw,
  Code.Retnw,
  Code.Retnw_imm16,
  Code.Enterw_imm16_imm8,
  Code.Smsw_rm16,
  Code.Sldt_rm16,
  Code.Str_rm16,
  Code.Lar_r16_rm16,
  Code.Lsl_r16_rm16,
]);
export const operandSizeOf = (code: number): 16 | 32 => (CODES_16.has(code) ? 16 : 32);

export function portSizeOf(codeName: string): 1 | 2 | 4 {
  if (/^(In_AL|Out_(imm8|DX)_AL|Insb|Outsb)/.test(codeName)) return 1;
  if (/^(In_AX|Out_(imm8|DX)_AX|Insw|Outsw)/.test(codeName)) return 2;
  return 4;
}
