/** Where a near branch goes. */
import { iced } from './iced.ts';
import type { IcedInstruction } from './sensitivity.ts';

const { Code, FlowControl, OpKind } = iced;

export interface NearBranch {
  /** Linear; `undefined` for RET, and for JMP and CALL through a register or memory. See {@link branchOffset}. */
  readonly target: number | undefined;
  /** EIP is cut to 16 bits. */
  readonly narrow: boolean;
  /** For a conditional jump: iced's code of the condition, and whether ECX decides as well. */
  readonly condition: string | undefined;
}

export function branchOf(instruction: IcedInstruction): NearBranch | undefined {
  const kind = instruction.op0Kind;
  const flow = instruction.flowControl;
  if (kind === OpKind.NearBranch16 || kind === OpKind.NearBranch32) {
    const target = kind === OpKind.NearBranch16 ? instruction.nearBranch16 : instruction.nearBranch32;
    const condition =
      flow === FlowControl.ConditionalBranch
        ? (iced.Mnemonic[instruction.mnemonic] ?? '').toLowerCase()
        : undefined;
    return { target: target >>> 0, narrow: kind === OpKind.NearBranch16, condition };
  }
  const isIndirect =
    flow === FlowControl.Return || flow === FlowControl.IndirectBranch || flow === FlowControl.IndirectCall;
  if (!isIndirect) return undefined;
  const isFar = /^(Jmp_m16|Call_m16|Retf|Iret|Sys|Jmp_ptr|Call_ptr)/.test(Code[instruction.code] ?? '');
  return isFar ? undefined : { target: undefined, narrow: false, condition: undefined };
}

/** The offset in a code segment that starts at `base`. */
export const branchOffset = ({ target, narrow }: NearBranch, base: number): number | undefined =>
  target === undefined ? undefined : narrow ? (target - base) & 0xffff : (target - base) >>> 0;
