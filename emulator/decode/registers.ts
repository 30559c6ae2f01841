/** Registers as iced-x86 numbers them. */
import type { GeneralRegister } from '../cpu-state.ts';
import { iced } from './iced.ts';
import type { IcedInstruction } from './sensitivity.ts';

const { Code, Register } = iced;

/** Which part of which general register; a value is `(register >>> shift) & mask`. */
export const GENERAL_BY_REGISTER: Readonly<
  Record<number, { register: GeneralRegister; mask: number; shift: number }>
> = {
  ...Object.fromEntries(
    (['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'] as const).flatMap((register, i) => [
      [Register.EAX + i, { register, mask: 0xffffffff, shift: 0 }],
      [Register.AX + i, { register, mask: 0xffff, shift: 0 }],
    ]),
  ),
  ...Object.fromEntries(
    (['eax', 'ecx', 'edx', 'ebx'] as const).flatMap((register, i) => [
      [Register.AL + i, { register, mask: 0xff, shift: 0 }],
      [Register.AH + i, { register, mask: 0xff, shift: 8 }],
    ]),
  ),
};

/** The control or debug register's number of MOV CRn/DRn. */
export function systemRegisterOf({ code, op0Register, op1Register }: IcedInstruction): number | undefined {
  switch (code) {
    case Code.Mov_cr_r32:
      return op0Register - Register.CR0;
    case Code.Mov_r32_cr:
      return op1Register - Register.CR0;
    case Code.Mov_dr_r32:
      return op0Register - Register.DR0;
    case Code.Mov_r32_dr:
      return op1Register - Register.DR0;
    default:
      return undefined;
  }
}
