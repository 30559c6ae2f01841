/** Instructions that need CPL 0, in the order of the SDM's list (vol. 3, 5.9 "Privileged Instructions"). */
import { defineRule, type PrivilegeContext, type PrivilegeRule } from './rule.ts';

/** CR4 bits, SDM vol. 3, 2.5. */
const CR4_TSD = 1 << 2;
const CR4_PCE = 1 << 8;

const outsideRing0 = (c: PrivilegeContext): boolean => c.cpl !== 0;

const privileged = (id: string, instruction: string, reason: string): PrivilegeRule =>
  defineRule({
    id,
    instruction,
    class: 'privileged',
    condition: 'CPL = 0',
    result: '#GP(0)',
    reason,
    citation: `SDM vol. 2, ${instruction}; vol. 3, 5.9`,
    applies: outsideRing0,
  });

export const PRIVILEGED_RULES: readonly PrivilegeRule[] = [
  privileged('lgdt', 'LGDT', 'The GDT defines every segment and so every privilege level.'),
  privileged('lldt', 'LLDT', 'The LDT defines segments and so privilege levels.'),
  privileged('ltr', 'LTR', 'The task register points at the stacks that privilege changes switch to.'),
  privileged('lidt', 'LIDT', 'The IDT decides what code handles every exception and interrupt.'),
  privileged('mov-to-cr', 'MOV to CRn', 'Control registers turn paging, protection and caches on and off.'),
  privileged('mov-from-cr', 'MOV from CRn', 'Control registers show the state of the real machine.'),
  privileged('lmsw', 'LMSW', 'The machine status word is the low half of CR0.'),
  privileged('clts', 'CLTS', 'CR0.TS decides who owns the FPU.'),
  privileged('mov-to-dr', 'MOV to DRn', 'Debug registers put breakpoints on any code of the machine.'),
  privileged(
    'mov-from-dr',
    'MOV from DRn',
    'Debug registers show the breakpoints that the owner of the machine has set.',
  ),
  privileged('invd', 'INVD', 'It throws away cache contents of the whole machine.'),
  privileged('wbinvd', 'WBINVD', 'It writes back and empties the caches of the whole machine.'),
  privileged('invlpg', 'INVLPG', 'It changes what the TLB holds.'),
  privileged('hlt', 'HLT', 'It stops the CPU until an interrupt comes.'),
  privileged('rdmsr', 'RDMSR', 'Model-specific registers belong to the owner of the machine.'),
  privileged('wrmsr', 'WRMSR', 'Model-specific registers belong to the owner of the machine.'),
  privileged('xsetbv', 'XSETBV', 'XCR0 decides which register state exists.'),
  privileged('sysexit', 'SYSEXIT', 'It loads CS and SS for ring 3 from MSR values.'),
  defineRule({
    id: 'rdpmc',
    instruction: 'RDPMC',
    class: 'privileged',
    condition: 'CPL = 0 or CR4.PCE = 1',
    result: '#GP(0)',
    reason: 'Performance counters show what other code does; CR4.PCE opens them.',
    citation: 'SDM vol. 2, RDPMC',
    applies: c => c.cpl !== 0 && (c.cr4 & CR4_PCE) === 0,
  }),
  defineRule({
    id: 'rdtsc',
    instruction: 'RDTSC',
    class: 'privileged',
    condition: 'CPL = 0 or CR4.TSD = 0',
    result: '#GP(0)',
    reason: 'CR4.TSD reserves the time-stamp counter for ring 0.',
    citation: 'SDM vol. 2, RDTSC and RDTSCP',
    applies: c => c.cpl !== 0 && (c.cr4 & CR4_TSD) !== 0,
  }),
];
