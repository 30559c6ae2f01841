/** Instructions that need CPL <= IOPL (SDM vol. 1, 19.5.1 "I/O Privilege Level"). */
import { defineRule, type PrivilegeContext, type PrivilegeRule } from './rule.ts';

const aboveIopl = (c: PrivilegeContext): boolean => c.cpl > c.iopl;

const interruptFlag = (id: 'cli' | 'sti', instruction: string, reason: string): PrivilegeRule =>
  defineRule({
    id,
    instruction,
    class: 'iopl-sensitive',
    condition: 'CPL <= IOPL',
    result: '#GP(0)',
    reason,
    citation: `SDM vol. 2, ${instruction}; vol. 1, 19.5.1`,
    applies: aboveIopl,
  });

const port = (id: 'in' | 'out' | 'ins' | 'outs', instruction: string): PrivilegeRule =>
  defineRule({
    id,
    instruction,
    class: 'iopl-sensitive',
    condition: 'CPL <= IOPL, or the TSS has an I/O permission bitmap that allows the port',
    result: '#GP(0)',
    reason: 'Ports reach devices, and devices reach all memory.',
    citation: `SDM vol. 2, ${instruction}; vol. 1, 19.5.1 and 19.5.2`,
    applies: aboveIopl,
  });

export const IOPL_RULES: readonly PrivilegeRule[] = [
  interruptFlag('cli', 'CLI', 'Code that can mask interrupts can keep the CPU for itself.'),
  interruptFlag('sti', 'STI', 'The interrupt flag belongs to the owner of the machine.'),
  port('in', 'IN'),
  port('out', 'OUT'),
  port('ins', 'INS'),
  port('outs', 'OUTS'),
];
