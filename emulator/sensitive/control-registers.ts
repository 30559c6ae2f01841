/** MOV to a control register at CPL 0: values that the CPU refuses, and the way into long mode. */
import { CR0_PE, CR0_PG, EFER_LME } from '../paging.ts';
import { MSR_EFER } from './efer.ts';
import { generalProtection, RUN, type Situation, stop, type Verdict } from './verdict.ts';

/** SDM vol. 3, 2.5: Not Write-through, Cache Disable. */
export const CR0_NW = 1 << 29;
export const CR0_CD = 1 << 30;
/** VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT: what the CPU models have. The rest is reserved on them. */
export const CR4_KNOWN = 0x7ff;

const refuse: Verdict = stop({ kind: 'exception' }, generalProtection(0));

/** SDM vol. 2, MOV—Move to/from Control Registers: what raises #GP(0). */
export function controlRegisterWrite(s: Situation): Verdict {
  const { systemRegister, generalRegister } = s.instruction;
  if (generalRegister === undefined) return RUN;
  const value = s.cpu.registers[generalRegister];
  if (systemRegister === 4) return (value & ~CR4_KNOWN) === 0 ? RUN : refuse;
  if (systemRegister !== 0) return RUN;
  if ((value & CR0_PG) !== 0 && (value & CR0_PE) === 0) return refuse;
  if ((value & CR0_NW) !== 0 && (value & CR0_CD) === 0) return refuse;
  // SDM vol. 3, 10.8.5: setting CR0.PG with EFER.LME set activates IA-32e mode.
  const lme = (Number(s.msrs.read(MSR_EFER) & 0xffffffffn) & EFER_LME) !== 0;
  const turnsOnPaging = (value & CR0_PG) !== 0 && (s.cpu.control.cr0 & CR0_PG) === 0;
  return lme && turnsOnPaging ? stop({ kind: 'long-mode' }) : RUN;
}
