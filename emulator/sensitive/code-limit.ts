/** The limit of the code segment: SDM vol. 3, 5.3; vol. 2, JMP, CALL, RET, Jcc: #GP(0) when it is exceeded. */

import { branchOffset } from '../decode/branch.ts';
import { FLAG_CF, FLAG_OF, FLAG_PF, FLAG_SF, FLAG_ZF } from '../flags.ts';
import { checkOffset } from './code-segments.ts';
import { readData } from './memory-access.ts';
import { sourceOperand } from './operands.ts';
import { Stack } from './stack.ts';
import type { Situation } from './verdict.ts';

/** The whole instruction has to be inside. */
export function checkFetch(s: Situation): void {
  if (s.state.codeLimit === undefined) return;
  checkOffset(s.cpu.segments.cs, s.cpu.eip + Math.max(s.instruction.length, 1) - 1);
}

/** A near branch out of the segment faults at the branch. */
export function checkBranch(s: Situation): void {
  const { branch } = s.instruction;
  if (s.state.codeLimit === undefined || !branch) return;
  if (branch.condition !== undefined && !isTaken(s, branch.condition)) return;
  checkOffset(s.cpu.segments.cs, branchOffset(branch, s.state.codeBase) ?? indirectTarget(s));
}

function indirectTarget(s: Situation): number {
  const { mnemonic, generalRegister } = s.instruction;
  if (mnemonic === 'ret') return Stack.current(s).peek(0, s.instruction.operandSize === 16 ? 2 : 4);
  const use = sourceOperand(s);
  if (!use) return generalRegister ? s.cpu.registers[generalRegister] : 0;
  const base = s.cpu.segments[use.segment].descriptor?.base ?? 0;
  return readData(s, base + use.offset, use.size === 2 ? 2 : 4, s.cpu.cpl);
}

/** SDM vol. 2, Jcc, LOOPcc and JECXZ. */
function isTaken(s: Situation, mnemonic: string): boolean {
  const { eflags, registers } = s.cpu;
  const flag = (bit: number): boolean => (eflags & bit) !== 0;
  const count = registers.ecx;
  const less = flag(FLAG_SF) !== flag(FLAG_OF);
  const taken: Readonly<Record<string, boolean>> = {
    jo: flag(FLAG_OF),
    jno: !flag(FLAG_OF),
    jb: flag(FLAG_CF),
    jae: !flag(FLAG_CF),
    je: flag(FLAG_ZF),
    jne: !flag(FLAG_ZF),
    jbe: flag(FLAG_CF) || flag(FLAG_ZF),
    ja: !flag(FLAG_CF) && !flag(FLAG_ZF),
    js: flag(FLAG_SF),
    jns: !flag(FLAG_SF),
    jp: flag(FLAG_PF),
    jnp: !flag(FLAG_PF),
    jl: less,
    jge: !less,
    jle: less || flag(FLAG_ZF),
    jg: !less && !flag(FLAG_ZF),
    jcxz: (count & 0xffff) === 0,
    jecxz: count === 0,
    loop: count !== 1,
    loope: count !== 1 && flag(FLAG_ZF),
    loopne: count !== 1 && !flag(FLAG_ZF),
  };
  return taken[mnemonic] ?? true;
}
