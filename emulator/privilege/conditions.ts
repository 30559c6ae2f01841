/** The conditions that rules are made of, with their words, and the lines of their tables. */
import {
  CR4_OSXSAVE,
  CR4_PCE,
  CR4_PVI,
  CR4_SMXE,
  CR4_TSD,
  CR4_UMIP,
  CR4_VME,
  CR4_VMXE,
  EFER_SVME,
} from '../control-bits.ts';
import { GENERAL_PROTECTION, INVALID_OPCODE } from '../vectors.ts';
import { AS_ASKED, type Outcome, type PrivilegeContext, type RuleResult, SILENT } from './rule.ts';

export interface Condition {
  readonly words: string;
  readonly test: (context: PrivilegeContext) => boolean;
}

const bit = (words: string, mask: number, set: boolean): Condition => ({
  words,
  test: c => ((c.cr4 & mask) !== 0) === set,
});

export const RING_0: Condition = { words: 'CPL = 0', test: c => c.cpl === 0 };
export const OUTSIDE_RING_0: Condition = { words: 'CPL > 0', test: c => c.cpl !== 0 };
export const RING_3: Condition = { words: 'CPL = 3', test: c => c.cpl === 3 };
export const WITHIN_IOPL: Condition = { words: 'CPL <= IOPL', test: c => c.cpl <= c.iopl };
export const ABOVE_IOPL: Condition = { words: 'CPL > IOPL', test: c => c.cpl > c.iopl };
export const VM86: Condition = { words: 'VM86 = 1', test: c => c.vm86 };
export const IOPL_3: Condition = { words: 'IOPL = 3', test: c => c.iopl === 3 };
export const IOPL_BELOW_3: Condition = { words: 'IOPL < 3', test: c => c.iopl < 3 };
export const VME: Condition = bit('CR4.VME = 1', CR4_VME, true);
export const PVI: Condition = bit('CR4.PVI = 1', CR4_PVI, true);
export const TSD_CLEAR: Condition = bit('CR4.TSD = 0', CR4_TSD, false);
export const PCE: Condition = bit('CR4.PCE = 1', CR4_PCE, true);
export const UMIP: Condition = bit('CR4.UMIP = 1', CR4_UMIP, true);
export const NO_VMXE: Condition = bit('CR4.VMXE = 0', CR4_VMXE, false);
export const NO_SMXE: Condition = bit('CR4.SMXE = 0', CR4_SMXE, false);
export const OUTSIDE_VMX: Condition = {
  words: 'outside VMX operation',
  test: c => c.vmxOperation !== true,
};
export const NO_OSXSAVE: Condition = bit('CR4.OSXSAVE = 0', CR4_OSXSAVE, false);
export const NO_SVME: Condition = {
  words: 'EFER.SVME = 0',
  test: c => ((c.efer ?? 0) & EFER_SVME) === 0,
};
export const WORD_OPERAND: Condition = { words: 'operand size 16', test: c => c.operandSize === 16 };
export const VIP: Condition = { words: 'EFLAGS.VIP = 1', test: c => c.virtualInterruptPending === true };
export const BITMAP_ALLOWS: Condition = {
  words: 'the I/O bitmap allows the port',
  test: c => c.ioBitmap === 'allows',
};
/** SDM vol. 2, SYSENTER: bits 15:2 of IA32_SYSENTER_CS. */
export const NULL_SYSENTER_CS: Condition = {
  words: 'IA32_SYSENTER_CS is null',
  test: c => c.sysenterCs !== undefined && (c.sysenterCs & 0xfffc) === 0,
};
export const OTHERWISE: Condition = { words: 'otherwise', test: () => true };

/** Words for a condition that always holds on the CPUs described here. */
export const always = (words: string): Condition => ({ words, test: () => true });

const ALL_AS_ASKED = 'as asked';

/** Every condition holds. */
function result(conditions: readonly Condition[], outcome: Outcome, effect: string): RuleResult {
  return {
    when: conditions.map(({ words }) => words).join(', '),
    test: context => conditions.every(({ test }) => test(context)),
    outcome,
    effect,
  };
}

export const generalProtection = (...conditions: readonly Condition[]): RuleResult =>
  result(conditions, { kind: 'fault', vector: GENERAL_PROTECTION, errorCode: 0 }, '#GP(0)');

export const invalidOpcode = (...conditions: readonly Condition[]): RuleResult =>
  result(conditions, { kind: 'fault', vector: INVALID_OPCODE }, '#UD');

/** As asked; `effect` says what that means where it is worth saying. */
export const asAsked = (conditions: readonly Condition[], effect = ALL_AS_ASKED): RuleResult =>
  result(conditions, AS_ASKED, effect);

const NO_FAULT = 'no fault: ';

/** @param effect what happens instead, continuing `no fault: `. */
export const silently = (conditions: readonly Condition[], effect: string): RuleResult =>
  result(conditions, SILENT, `${NO_FAULT}${effect}`);

export const FINE: RuleResult = asAsked([OTHERWISE]);
