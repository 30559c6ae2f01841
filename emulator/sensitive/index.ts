/** Decides what becomes of the instruction at EIP. One evaluator for each kind of sensitivity. */

import { decodeInstruction } from '../instructions.ts';
import { findRule } from '../privilege/index.ts';
import type { Sensitivity } from '../sensitivity.ts';
import { answer } from './answers.ts';
import { controlRegisterWrite } from './control-registers.ts';
import { iret, popf, stackSlot } from './flags.ts';
import { hypercall, softwareInterrupt } from './interrupts.ts';
import { portAccess } from './ports.ts';
import { codeLoad, codeReturn, memorySelector, segmentAccess, segmentLoad } from './segments.ts';
import { generalProtection, INVALID_OPCODE, RUN, type Situation, stop, type Verdict } from './verdict.ts';

export { MsrFile } from './answers.ts';
export { mustStop, type PrivilegeState, privilegeState, type Watch } from './context.ts';
export { MSR_EFER } from './efer.ts';
export { deliveryOf } from './interrupts.ts';
export type { Situation, Verdict } from './verdict.ts';

const CR4_OSXSAVE = 1 << 18;
const PORT_RULES = new Set(['in', 'out', 'ins', 'outs']);

/** The five bytes with which a Xen guest asks for an instruction to be emulated: ud2, "xen". Xen public/arch-x86/xen.h. */
const XEN_PREFIX = [0x0f, 0x0b, 0x78, 0x65, 0x6e];

type Evaluators = {
  readonly [T in Sensitivity['type']]: (s: Situation, what: Extract<Sensitivity, { type: T }>) => Verdict;
};

const EVALUATORS: Evaluators = {
  rule(s, { rule: id }) {
    if (id === 'xsetbv' && (s.state.cr4 & CR4_OSXSAVE) === 0) {
      return stop({ kind: 'invalid-opcode' }, { vector: INVALID_OPCODE });
    }
    const rule = findRule(id);
    if (rule?.applies(s.state)) {
      if (PORT_RULES.has(id)) return portAccess(s, id);
      if (rule.class === 'silent') return popf(s);
      const kind = rule.class === 'privileged' ? 'privileged-instruction' : 'iopl-sensitive-instruction';
      return stop({ kind, rule: id }, generalProtection(0));
    }
    if (id === 'hlt') return stop({ kind: 'halt', interruptsEnabled: (s.cpu.eflags & 0x200) !== 0 });
    return id === 'mov-to-cr' ? controlRegisterWrite(s) : RUN;
  },

  'segment-load'(s, { register, rule }) {
    if (rule !== undefined) {
      if (findRule(rule)?.applies(s.state)) {
        return stop({ kind: 'privileged-instruction', rule }, generalProtection(0));
      }
      return RUN;
    }
    if (register === 'cs' || register === 'ldtr' || register === 'tr') return RUN;
    const selector = loadedSelector(s);
    return selector === undefined ? RUN : segmentLoad(s, register, selector & 0xffff);
  },

  'far-transfer'(s) {
    const { farPointer, memory, mnemonic, operandSize } = s.instruction;
    if (mnemonic === 'retf') {
      const selector = stackSlot(s, 1);
      return selector === undefined ? RUN : codeReturn(s, selector & 0xffff);
    }
    const operand = memory.find(use => use.read);
    const selector =
      farPointer?.selector ?? (operand ? memorySelector(s, operand, operandSize / 8) : undefined);
    return selector === undefined ? RUN : codeLoad(s, selector, farPointer?.offset);
  },

  iret: s => iret(s),
  'software-interrupt': s => softwareInterrupt(s),
  'vm-call': (s, { via }) =>
    s.platform.vmcall && via === 'vmcall'
      ? hypercall(s, via)
      : stop({ kind: 'invalid-opcode' }, { vector: INVALID_OPCODE }),

  'fast-call'(s) {
    // SDM vol. 2, SYSENTER and SYSEXIT: #GP(0) when IA32_SYSENTER_CS is null; SYSEXIT needs CPL 0 as well.
    if (s.instruction.mnemonic === 'sysexit' && s.cpu.cpl !== 0) {
      return stop({ kind: 'privileged-instruction', rule: 'sysexit' }, generalProtection(0));
    }
    if ((s.msrs.read(MSR_SYSENTER_CS) & 0xfffcn) === 0n)
      return stop({ kind: 'exception' }, generalProtection(0));
    const detail = `${s.instruction.mnemonic} loads its segments from MSRs, which no engine knows here`;
    return stop({ kind: 'engine-limit', limit: 'fast-call', detail });
  },

  answered: (s, { what }) => answer(s, what),
  'descriptor-read': () => RUN,

  undefined(s) {
    if (XEN_PREFIX.every((byte, i) => s.bytes[i] === byte)) {
      const { mnemonic } = decodeInstruction(
        s.bytes.subarray(XEN_PREFIX.length),
        0,
        s.state.bits,
        s.cpu.registers,
      );
      return stop({ kind: 'forced-emulation', prefixed: mnemonic }, { vector: INVALID_OPCODE });
    }
    return stop({ kind: 'invalid-opcode' }, { vector: INVALID_OPCODE });
  },

  'segment-prefix': () => RUN,
};

/** SDM vol. 4, table 2-2: IA32_SYSENTER_CS. */
const MSR_SYSENTER_CS = 0x174;

/** The selector that MOV, POP, LDS ... is about to load. */
function loadedSelector(s: Situation): number | undefined {
  const { mnemonic, memory, generalRegister, operandSize } = s.instruction;
  if (mnemonic === 'pop') return stackSlot(s, 0);
  const operand = memory.find(use => use.read);
  if (operand) return memorySelector(s, operand, mnemonic === 'mov' ? 0 : operandSize / 8);
  return mnemonic === 'mov' && generalRegister ? s.cpu.registers[generalRegister] : undefined;
}

/** What becomes of the instruction at EIP: first what its own kind says, then its accesses through segments. */
export function evaluate(s: Situation): Verdict {
  const { sensitivity } = s.instruction;
  if (sensitivity) {
    const verdict = dispatch(s, sensitivity);
    if (verdict.type !== 'run') return verdict;
  }
  return segmentAccess(s);
}

const dispatch = <T extends Sensitivity['type']>(
  s: Situation,
  what: Extract<Sensitivity, { type: T }>,
): Verdict =>
  (EVALUATORS[what.type] as (s: Situation, what: Extract<Sensitivity, { type: T }>) => Verdict)(s, what);
