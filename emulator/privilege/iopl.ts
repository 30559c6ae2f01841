/** Instructions that need CPL <= IOPL (SDM vol. 1, 19.5.1 "I/O Privilege Level"). */
import {
  ABOVE_IOPL,
  asAsked,
  BITMAP_ALLOWS,
  FINE,
  generalProtection,
  IOPL_3,
  IOPL_BELOW_3,
  OTHERWISE,
  PVI,
  RING_3,
  silently,
  VIP,
  VM86,
  VME,
  WITHIN_IOPL,
} from './conditions.ts';
import { defineRule, form, type InstructionForm, type PrivilegeContext, type PrivilegeRule } from './rule.ts';

const aboveIopl = (c: PrivilegeContext): boolean => c.cpl > c.iopl;

const CLI_VIRTUAL = 'it clears VIF instead of IF';
const STI_VIRTUAL = 'it sets VIF instead of IF';

/** SDM vol. 2, the decision tables of CLI and STI; the virtual flag: vol. 3, 20.3.2 and 20.4. */
const interruptFlag = (
  id: 'cli' | 'sti',
  instruction: string,
  opcode: string,
  reason: string,
): PrivilegeRule => {
  const virtual = id === 'cli' ? CLI_VIRTUAL : STI_VIRTUAL;
  const pending = (mode: readonly (typeof VM86)[]) => (id === 'sti' ? [generalProtection(...mode, VIP)] : []);
  return defineRule({
    id,
    instruction,
    class: 'iopl-sensitive',
    forms: [form(opcode, instruction)],
    condition: 'CPL <= IOPL',
    result: '#GP(0)',
    results: [
      asAsked([VM86, IOPL_3]),
      ...pending([VM86, VME]),
      silently([VM86, VME], virtual),
      generalProtection(VM86, IOPL_BELOW_3),
      asAsked([WITHIN_IOPL]),
      ...pending([RING_3, PVI]),
      silently([RING_3, PVI], virtual),
      generalProtection(OTHERWISE),
    ],
    reason,
    citation: `SDM vol. 2, ${instruction}; vol. 1, 19.5.1`,
    applies: aboveIopl,
  });
};

const port = (
  id: 'in' | 'out' | 'ins' | 'outs',
  instruction: string,
  forms: readonly InstructionForm[],
): PrivilegeRule =>
  defineRule({
    id,
    instruction,
    class: 'iopl-sensitive',
    forms,
    condition: 'CPL <= IOPL, or the TSS has an I/O permission bitmap that allows the port',
    result: '#GP(0)',
    results: [asAsked([BITMAP_ALLOWS]), generalProtection(VM86), generalProtection(ABOVE_IOPL), FINE],
    operands:
      'The bitmap is asked at CPL > IOPL and in VM86; a TSS without one, or with one that ends before the port, denies it.',
    reason: 'Ports reach devices, and devices reach all memory.',
    citation: `SDM vol. 2, ${instruction}; vol. 1, 19.5.1 and 19.5.2`,
    // In virtual-8086 mode the bitmap alone decides.
    applies: c => c.vm86 || aboveIopl(c),
  });

export const IOPL_RULES: readonly PrivilegeRule[] = [
  interruptFlag('cli', 'CLI', 'FA', 'Code that can mask interrupts can keep the CPU for itself.'),
  interruptFlag('sti', 'STI', 'FB', 'The interrupt flag belongs to the owner of the machine.'),
  port('in', 'IN', [
    form('E4 ib', 'IN AL, imm8'),
    form('E5 ib', 'IN EAX, imm8'),
    form('EC', 'IN AL, DX'),
    form('ED', 'IN EAX, DX'),
  ]),
  port('out', 'OUT', [
    form('E6 ib', 'OUT imm8, AL'),
    form('E7 ib', 'OUT imm8, EAX'),
    form('EE', 'OUT DX, AL'),
    form('EF', 'OUT DX, EAX'),
  ]),
  port('ins', 'INS', [form('6C', 'INSB'), form('6D', 'INSD')]),
  port('outs', 'OUTS', [form('6E', 'OUTSB'), form('6F', 'OUTSD')]),
];
