/** Decides what becomes of the instruction at EIP. One evaluator for each kind of sensitivity. */

import { CR4_OSXSAVE } from '../control-bits.ts';
import { decodeInstruction } from '../decode/instruction.ts';
import type { Sensitivity } from '../decode/sensitivity.ts';
import { FLAG_VIF, FLAG_VIP } from '../flags.ts';
import { findRule } from '../privilege/index.ts';
import { answer } from './answers.ts';
import { checkBranch, checkFetch } from './code-limit.ts';
import { isUmipFault, UMIP_RULES } from './context.ts';
import { controlRegisterWrite } from './control-registers.ts';
import { debugRegister } from './debug-registers.ts';
import { enterFrame } from './enter.ts';
import { farTransfer } from './far-transfers.ts';
import { sysenter, sysexit } from './fast-calls.ts';
import { popf } from './flags.ts';
import { callsHypervisor, hypercall, softwareInterrupt } from './interrupts.ts';
import { iret } from './iret.ts';
import { memorySelectorAt, selectorOperand, sourceOperand } from './operands.ts';
import { portAccess } from './ports.ts';
import { refuse, verdictOf } from './refuse.ts';
import { checkAccesses, stringAccesses } from './segment-access.ts';
import { loadLdtr, loadTaskRegister, segmentLoad } from './segments.ts';
import { Stack } from './stack.ts';
import {
  answered,
  generalProtection,
  INVALID_OPCODE,
  RUN,
  type Situation,
  stop,
  type Verdict,
} from './verdict.ts';
import { popFlags, pushFlags } from './vm86.ts';

export { MsrFile } from './answers.ts';
export { mustStop, type PrivilegeState, privilegeState, type Watch } from './context.ts';
export { deliveryOf } from './interrupts.ts';
export type { Situation, Verdict } from './verdict.ts';

const PORT_RULES = new Set(['in', 'out', 'ins', 'outs']);

/** The five bytes with which a Xen guest asks for an instruction to be emulated: ud2, "xen". Xen public/arch-x86/xen.h. */
const XEN_PREFIX = [0x0f, 0x0b, 0x78, 0x65, 0x6e];

/** SDM vol. 2, SLDT and STR: not recognized in virtual-8086 mode. */
const isUnknownInVm86 = (s: Situation, id: string): boolean =>
  s.state.vm86 && (id === 'sldt' || id === 'str');

type Evaluators = {
  readonly [T in Sensitivity['type']]: (s: Situation, what: Extract<Sensitivity, { type: T }>) => Verdict;
};

/** CLI and STI: SDM vol. 2, the decision tables of CLI and STI; the virtual interrupt flag: vol. 3, 20.3.2 and 20.4. */
function interruptFlag(s: Situation, id: 'cli' | 'sti'): Verdict {
  const { eflags } = s.cpu;
  const virtualInterruptPending = (eflags & FLAG_VIP) !== 0;
  const outcome = findRule(id)?.outcome({ ...s.state, virtualInterruptPending });
  switch (outcome?.kind) {
    case 'fault':
      return stop({ kind: 'iopl-sensitive-instruction', rule: id }, generalProtection(0));
    case 'silent':
      return answered({ eflags: (id === 'cli' ? eflags & ~FLAG_VIF : eflags | FLAG_VIF) >>> 0 });
    default:
      return RUN;
  }
}

/** SMSW to a 32-bit register stores all of CR0, as CPUs do; engines leave the upper word as it was. */
function machineStatusWord(s: Situation): Verdict {
  const { operandSize, generalRegister, memory } = s.instruction;
  if (operandSize !== 32 || memory.length > 0 || !generalRegister) return RUN;
  return answered({ registers: { [generalRegister]: s.cpu.control.cr0 } });
}

const EVALUATORS: Evaluators = {
  rule(s, { rule: id }) {
    if (id === 'xsetbv' && (s.state.cr4 & CR4_OSXSAVE) === 0) {
      return stop({ kind: 'invalid-opcode' }, { vector: INVALID_OPCODE });
    }
    const rule = findRule(id);
    if (id === 'mov-to-dr' || id === 'mov-from-dr') return debugRegister(s, id);
    if (UMIP_RULES.has(id) && isUmipFault(s.state) && !isUnknownInVm86(s, id)) {
      return stop({ kind: 'privileged-instruction', rule: id }, generalProtection(0));
    }
    if (s.state.vm86) {
      if (id === 'pushf') return pushFlags(s);
      if (id === 'popf') return popFlags(s);
      // SDM vol. 1, 19.5.2: the bitmap decides, whatever the IOPL.
      if (PORT_RULES.has(id)) return portAccess(s, id);
    }
    if (id === 'pushf') return RUN;
    if (id === 'cli' || id === 'sti') return interruptFlag(s, id);
    if (id === 'smsw') return machineStatusWord(s);
    if (UMIP_RULES.has(id)) return RUN;
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
    if (s.state.vm86) {
      // SDM vol. 2, LLDT and LTR: not recognized in virtual-8086 mode, where the others load paragraphs.
      if (rule !== undefined) return stop({ kind: 'invalid-opcode' }, { vector: INVALID_OPCODE });
      checkAccesses(s);
      return RUN;
    }
    if (rule !== undefined && findRule(rule)?.applies(s.state)) {
      return stop({ kind: 'privileged-instruction', rule }, generalProtection(0));
    }
    if (register === 'ldtr') return loadLdtr(s);
    if (register === 'tr') return loadTaskRegister(s);
    return register === 'cs' ? RUN : segmentLoad(s, register, loadedSelector(s) & 0xffff);
  },

  'far-transfer': s => (callsHypervisor(s) ? hypercall(s, 'hypercall-page') : farTransfer(s)),
  iret: s => iret(s),
  'software-interrupt': s => softwareInterrupt(s),
  'vm-call': (s, { via }) =>
    s.platform.vmcall && via === 'vmcall'
      ? hypercall(s, via)
      : stop({ kind: 'invalid-opcode' }, { vector: INVALID_OPCODE }),

  'fast-call': s => (s.instruction.mnemonic === 'sysenter' ? sysenter(s) : sysexit(s)),

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
  enter: s => enterFrame(s),
  // SDM vol. 3, 6.15, interrupt 13: an instruction is at most 15 bytes long.
  'too-long': () => stop({ kind: 'exception' }, generalProtection(0)),
};

/** The selector that MOV, POP, LDS ... is about to load. */
function loadedSelector(s: Situation): number {
  const { mnemonic, operandSize } = s.instruction;
  const size = operandSize === 16 ? 2 : 4;
  if (mnemonic === 'pop') return Stack.current(s).peek(0, size);
  return mnemonic !== 'mov' && sourceOperand(s) ? memorySelectorAt(s, size).selector : selectorOperand(s);
}

/** Kinds that look at their own memory operands, in their own order. */
const CHECK_THEMSELVES: ReadonlySet<Sensitivity['type']> = new Set(['segment-load', 'far-transfer', 'iret']);

/** What becomes of the instruction at EIP: its fetch, then what its own kind says, then its accesses. */
export function evaluate(s: Situation): Verdict {
  return verdictOf(() => {
    if (s.state.virtualInterruptDue) refuse({ kind: 'exception' }, generalProtection(0));
    checkFetch(s);
    const { sensitivity, repeated } = s.instruction;
    const isPopf = sensitivity?.type === 'rule' && sensitivity.rule === 'popf';
    if (isPopf && !s.state.vm86) checkAccesses(s);
    if (sensitivity) {
      const verdict = dispatch(s, sensitivity);
      if (verdict.type !== 'run' || CHECK_THEMSELVES.has(sensitivity.type)) return verdict;
    }
    if (repeated) return stringAccesses(s);
    // SDM vol. 2, CALL: the target is looked at before the return address is pushed.
    const calls = s.instruction.mnemonic === 'call';
    checkAccesses(s, use => !(calls && use.implicit));
    checkBranch(s);
    if (calls) checkAccesses(s, use => use.implicit);
    return RUN;
  });
}

const dispatch = <T extends Sensitivity['type']>(
  s: Situation,
  what: Extract<Sensitivity, { type: T }>,
): Verdict =>
  (EVALUATORS[what.type] as (s: Situation, what: Extract<Sensitivity, { type: T }>) => Verdict)(s, what);
