/** SYSENTER and SYSEXIT: SDM vol. 2. Their segments are flat by definition; no descriptor is read. */

import { FLAG_IF, FLAG_RF, FLAG_VM } from '../flags.ts';
import { MSR_SYSENTER_CS, MSR_SYSENTER_EIP, MSR_SYSENTER_ESP } from '../msrs.ts';
import { flatCode, flatData } from '../segmentation.ts';
import {
  answered,
  generalProtection,
  INVALID_OPCODE,
  type Situation,
  stop,
  type Verdict,
} from './verdict.ts';

/** From the code segment of ring 0 to the other three, in the GDT. */
const STACK_0 = 8;
const CODE_3 = 16;
const STACK_3 = 24;

const low = (value: bigint): number => Number(value & 0xffffffffn);

/** The selector of ring 0's code segment; `undefined` when it is null. */
function fastSelector(s: Situation): number | undefined {
  const selector = Number(s.msrs.read(MSR_SYSENTER_CS) & 0xfffcn);
  return selector === 0 ? undefined : selector;
}

/** CPUID.1:EDX.SEP says whether there are these instructions. */
const missing: Verdict = stop({ kind: 'invalid-opcode' }, { vector: INVALID_OPCODE });

export function sysenter(s: Situation): Verdict {
  if (!s.model.hasSysenter) return missing;
  const selector = fastSelector(s);
  if (selector === undefined) return stop({ kind: 'exception' }, generalProtection(0));
  return answered({
    registers: { esp: low(s.msrs.read(MSR_SYSENTER_ESP)) },
    eip: low(s.msrs.read(MSR_SYSENTER_EIP)),
    eflags: (s.cpu.eflags & ~(FLAG_VM | FLAG_IF | FLAG_RF)) >>> 0,
    cpl: 0,
    segments: {
      cs: { selector, descriptor: flatCode(0) },
      ss: { selector: (selector + STACK_0) & 0xffff, descriptor: flatData(0) },
    },
  });
}

export function sysexit(s: Situation): Verdict {
  if (!s.model.hasSysenter) return missing;
  if (s.cpu.cpl !== 0) {
    return stop({ kind: 'privileged-instruction', rule: 'sysexit' }, generalProtection(0));
  }
  const selector = fastSelector(s);
  if (selector === undefined) return stop({ kind: 'exception' }, generalProtection(0));
  return answered({
    registers: { esp: s.cpu.registers.ecx },
    eip: s.cpu.registers.edx,
    cpl: 3,
    segments: {
      cs: { selector: ((selector + CODE_3) | 3) & 0xffff, descriptor: flatCode(3) },
      ss: { selector: ((selector + STACK_3) | 3) & 0xffff, descriptor: flatData(3) },
    },
  });
}
