/** Far transfers, interrupts and task switches: where they lead here, and on a PC in ring 0. */
import { FLAG_NT, FLAG_OF } from '../flags.ts';
import { MSR_SYSENTER_CS } from '../msrs.ts';
import { isConforming, selectorRpl } from '../segmentation.ts';
import { stackSlot } from '../sensitive/flags.ts';
import { lookUp, memorySelector } from '../sensitive/segments.ts';
import type { Situation } from '../sensitive/verdict.ts';
import type { BareHardware } from './bare-hardware.ts';
import { compare, type Looker } from './looker.ts';
import type { Comparison, Sight } from './observation.ts';

const SELECTOR = 0xffff;

export function transfer(s: Situation, bare: BareHardware, selector: number, cpl: number): Comparison {
  const there = bare.selector(selector);
  return compare(
    { what: 'transfer', selector, cpl },
    { what: 'transfer', selector: there, cpl: cpl === s.cpu.cpl ? 0 : selectorRpl(there) },
  );
}

/** SDM vol. 3, table 3-2: 16-bit and 32-bit call gates; available TSS and task gate. */
const CALL_GATES: ReadonlySet<number> = new Set([0x4, 0xc]);
const TASKS: ReadonlySet<number> = new Set([0x1, 0x5, 0x9]);

function farSelector(s: Situation): number | undefined {
  const { farPointer, memory, operandSize } = s.instruction;
  const operand = memory.find(use => use.read);
  return farPointer?.selector ?? (operand ? memorySelector(s, operand, operandSize / 8) : undefined);
}

/** The rule that an instruction falls under is not always that of its opcode: some transfers switch tasks. */
export function effectiveRule(opcode: string, s: Situation): string {
  if (opcode === 'iret') return (s.cpu.eflags & FLAG_NT) !== 0 ? 'task-switch' : opcode;
  if (opcode !== 'far-jump' && opcode !== 'far-call') return opcode;
  const selector = farSelector(s);
  const descriptor = selector === undefined ? undefined : lookUp(s, selector).descriptor;
  const isTask = descriptor !== undefined && !descriptor.codeOrData && TASKS.has(descriptor.type);
  return isTask ? 'task-switch' : opcode;
}

/** The GDT that holds the tasks is another there; the switch is the same. */
export const taskSwitch: Looker = s => {
  const selector = s.instruction.silent === 'iret' ? undefined : farSelector(s);
  const sight: Sight = { what: 'task-switch', ...(selector === undefined ? {} : { selector }) };
  return compare(sight, sight);
};

/** Far JMP and CALL: to a code segment at this level, or through a call gate to a more privileged one. */
export const farTransfer: Looker = (s, bare) => {
  const selector = farSelector(s);
  if (selector === undefined) return undefined;
  const { descriptor } = lookUp(s, selector);
  const isGate = descriptor !== undefined && !descriptor.codeOrData && CALL_GATES.has(descriptor.type);
  // The selector in a gate stands where a segment has bits 15:0 of its base.
  const target = isGate ? descriptor.base & SELECTOR : selector;
  const code = isGate ? lookUp(s, target).descriptor : undefined;
  const cpl = code && !isConforming(code) && s.instruction.mnemonic === 'call' ? code.dpl : s.cpu.cpl;
  return transfer(s, bare, (target & ~3) | cpl, cpl);
};

export const farReturn: Looker = (s, bare) => {
  const selector = stackSlot(s, 1);
  return selector === undefined ? undefined : transfer(s, bare, selector & SELECTOR, selectorRpl(selector));
};

/** SYSENTER goes to ring 0 by definition: SDM vol. 2, SYSENTER. */
export const sysenter: Looker = s => {
  const selector = Number(s.msrs.read(MSR_SYSENTER_CS) & 0xfffcn);
  return compare({ what: 'transfer', selector, cpl: 0 }, { what: 'transfer', selector, cpl: 0 });
};

const VECTORS: Readonly<Record<string, number>> = { int1: 1, int3: 3, into: 4 };
export const interrupt: Looker = s => {
  const { mnemonic, immediate } = s.instruction;
  const vector = VECTORS[mnemonic] ?? immediate & 0xff;
  const taken = mnemonic !== 'into' || (s.cpu.eflags & FLAG_OF) !== 0;
  return compare({ what: 'interrupt', vector, taken }, { what: 'interrupt', vector, taken });
};
