/** Instructions that do something else outside ring 0 and do not fault (SDM vol. 2, POPF and IRET). */
import { defineRule, type PrivilegeContext, type PrivilegeRule } from './rule.ts';

const flagsProtected = (c: PrivilegeContext): boolean => c.cpl !== 0;

export const SILENT_RULES: readonly PrivilegeRule[] = [
  defineRule({
    id: 'popf',
    instruction: 'POPF',
    class: 'silent',
    condition: 'CPL <= IOPL for IF, CPL = 0 for IOPL',
    result: 'no fault: IF and IOPL keep their values',
    reason: 'POPF loads the flags that it may load and leaves the others as they are, without a fault.',
    citation: 'SDM vol. 2, POPF, table 4-16',
    applies: flagsProtected,
  }),
  defineRule({
    id: 'iret',
    instruction: 'IRET',
    class: 'silent',
    condition: 'CPL <= IOPL for IF, CPL = 0 for IOPL',
    result: 'no fault: IF and IOPL keep their values',
    reason: 'IRET restores the flags that it may restore and leaves the others as they are, without a fault.',
    citation: 'SDM vol. 2, IRET/IRETD',
    applies: flagsProtected,
  }),
];
