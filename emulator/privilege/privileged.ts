/** Instructions that need CPL 0, in the order of the SDM's list (vol. 3, 5.9 "Privileged Instructions"), then the rest. */
import {
  always,
  asAsked,
  FINE,
  generalProtection,
  invalidOpcode,
  NO_OSXSAVE,
  NO_SMXE,
  NO_SVME,
  NO_VMXE,
  NULL_SYSENTER_CS,
  OTHERWISE,
  OUTSIDE_RING_0,
  OUTSIDE_VMX,
  PCE,
  RING_0,
  TSD_CLEAR,
  VM86,
} from './conditions.ts';
import { defineRule, form, type InstructionForm, type PrivilegeRule, type RuleResult } from './rule.ts';

interface Privileged {
  readonly forms: readonly InstructionForm[];
  readonly reason: string;
  /** Conditions that are looked at before CPL. */
  readonly first?: readonly RuleResult[];
  readonly operands?: string;
  readonly citation?: string;
}

const privileged = (
  id: string,
  instruction: string,
  { forms, reason, first = [], operands, citation }: Privileged,
): PrivilegeRule =>
  defineRule({
    id,
    instruction,
    class: 'privileged',
    forms,
    condition: 'CPL = 0',
    result: '#GP(0)',
    results: [...first, generalProtection(OUTSIDE_RING_0), FINE],
    ...(operands !== undefined && { operands }),
    reason,
    citation: citation ?? `SDM vol. 2, ${instruction}; vol. 3, 5.9`,
    // Stops are about CPL; what comes before it is looked at where the instruction is.
    applies: OUTSIDE_RING_0.test,
  });

/** Not #GP(0): outside its mode the CPU does not know the instruction. */
const undefinedOutside = (
  id: string,
  instruction: string,
  definition: Omit<Privileged, 'first'> & {
    readonly condition: string;
    readonly results: readonly RuleResult[];
  },
): PrivilegeRule => {
  const { forms, reason, operands, citation, condition, results } = definition;
  return defineRule({
    id,
    instruction,
    class: 'privileged',
    forms,
    condition,
    result: '#UD',
    results,
    ...(operands !== undefined && { operands }),
    reason,
    citation: citation ?? `SDM vol. 2, ${instruction}`,
  });
};

const lacks = (feature: string): string =>
  `A CPU whose CPUID does not show ${feature} raises #UD at any CPL.`;

const PSEUDO_DESCRIPTOR =
  'The pseudo-descriptor is read from memory first: #GP(0), #SS(0) or #PF as any read.';

export const PRIVILEGED_RULES: readonly PrivilegeRule[] = [
  privileged('lgdt', 'LGDT', {
    forms: [form('0F 01 /2', 'LGDT m16&32')],
    reason: 'The GDT defines every segment and so every privilege level.',
    operands: PSEUDO_DESCRIPTOR,
  }),
  privileged('lldt', 'LLDT', {
    forms: [form('0F 00 /2', 'LLDT r/m16')],
    first: [invalidOpcode(VM86)],
    reason: 'The LDT defines segments and so privilege levels.',
    operands:
      'The selector must name an LDT in the GDT: #GP(selector), and #NP(selector) where it is not present.',
  }),
  privileged('ltr', 'LTR', {
    forms: [form('0F 00 /3', 'LTR r/m16')],
    first: [invalidOpcode(VM86)],
    reason: 'The task register points at the stacks that privilege changes switch to.',
    operands:
      'The selector must name an available TSS in the GDT: #GP(selector), and #NP(selector) where it is not present; a null selector is #GP(0).',
  }),
  privileged('lidt', 'LIDT', {
    forms: [form('0F 01 /3', 'LIDT m16&32')],
    reason: 'The IDT decides what code handles every exception and interrupt.',
    operands: PSEUDO_DESCRIPTOR,
  }),
  privileged('mov-to-cr', 'MOV to CRn', {
    forms: [form('0F 22 /r', 'MOV CR0-CR4, r32')],
    reason: 'Control registers turn paging, protection and caches on and off.',
    operands: 'CR1 and CR5 to CR7 are #UD; PG without PE, NW without CD and reserved bits of CR4 are #GP(0).',
  }),
  privileged('mov-from-cr', 'MOV from CRn', {
    forms: [form('0F 20 /r', 'MOV r32, CR0-CR4')],
    reason: 'Control registers show the state of the real machine.',
    operands: 'CR1 and CR5 to CR7 are #UD.',
  }),
  privileged('lmsw', 'LMSW', {
    forms: [form('0F 01 /6', 'LMSW r/m16')],
    reason: 'The machine status word is the low half of CR0.',
  }),
  privileged('clts', 'CLTS', {
    forms: [form('0F 06', 'CLTS')],
    reason: 'CR0.TS decides who owns the FPU.',
  }),
  privileged('mov-to-dr', 'MOV to DRn', {
    forms: [form('0F 23 /r', 'MOV DR0-DR7, r32')],
    reason: 'Debug registers put breakpoints on any code of the machine.',
    operands: 'DR7.GD = 1 makes it #DB; with CR4.DE = 1 DR4 and DR5 are #UD.',
  }),
  privileged('mov-from-dr', 'MOV from DRn', {
    forms: [form('0F 21 /r', 'MOV r32, DR0-DR7')],
    reason: 'Debug registers show the breakpoints that the owner of the machine has set.',
    operands: 'DR7.GD = 1 makes it #DB; with CR4.DE = 1 DR4 and DR5 are #UD.',
  }),
  undefinedOutside('mov-test-register', 'MOV to and from TRn', {
    forms: [form('0F 24 /r', 'MOV r32, TR3-TR7'), form('0F 26 /r', 'MOV TR3-TR7, r32')],
    condition: 'CPL = 0 on an 80386 or 80486; on no later CPU',
    results: [invalidOpcode(always('any CPL, on a Pentium or later, and on every CPU model here'))],
    operands: 'The CPU model `i486` does not have them either.',
    reason: 'The test registers of the 80386 and 80486 looked into the TLB and the cache of the machine.',
    citation: 'SDM vol. 3, chapter 22, "Obsolete Instructions and Undefined Opcodes"',
  }),
  privileged('invd', 'INVD', {
    forms: [form('0F 08', 'INVD')],
    reason: 'It throws away cache contents of the whole machine.',
  }),
  privileged('wbinvd', 'WBINVD', {
    forms: [form('0F 09', 'WBINVD')],
    reason: 'It writes back and empties the caches of the whole machine.',
  }),
  privileged('invlpg', 'INVLPG', {
    forms: [form('0F 01 /7', 'INVLPG m')],
    reason: 'It changes what the TLB holds.',
  }),
  privileged('hlt', 'HLT', {
    forms: [form('F4', 'HLT')],
    reason: 'It stops the CPU until an interrupt comes.',
  }),
  privileged('rdmsr', 'RDMSR', {
    forms: [form('0F 32', 'RDMSR')],
    reason: 'Model-specific registers belong to the owner of the machine.',
    operands: 'An MSR that the CPU does not have is #GP(0) at CPL 0 too.',
  }),
  privileged('wrmsr', 'WRMSR', {
    forms: [form('0F 30', 'WRMSR')],
    reason: 'Model-specific registers belong to the owner of the machine.',
    operands: 'An MSR that the CPU does not have and a reserved bit are #GP(0) at CPL 0 too.',
  }),
  privileged('xsetbv', 'XSETBV', {
    forms: [form('0F 01 D1', 'XSETBV')],
    first: [invalidOpcode(NO_OSXSAVE)],
    reason: 'XCR0 decides which register state exists.',
    citation: 'SDM vol. 2, XSETBV',
  }),
  privileged('sysexit', 'SYSEXIT', {
    forms: [form('0F 35', 'SYSEXIT')],
    first: [generalProtection(NULL_SYSENTER_CS)],
    reason: 'It loads CS and SS for ring 3 from MSR values.',
    citation: 'SDM vol. 2, SYSEXIT',
  }),
  privileged('invpcid', 'INVPCID', {
    forms: [form('66 0F 38 82 /r', 'INVPCID r32, m128')],
    reason: 'It changes what the TLB holds.',
    operands: `${lacks('INVPCID')} A type above 3 and reserved bits of the descriptor are #GP(0) at CPL 0 too.`,
    citation: 'SDM vol. 2, INVPCID',
  }),
  privileged('xsaves', 'XSAVES', {
    forms: [form('NP 0F C7 /5', 'XSAVES m')],
    first: [invalidOpcode(NO_OSXSAVE)],
    reason: 'It saves supervisor state, which IA32_XSS chooses.',
    operands: `${lacks('XSAVES')} CR0.TS = 1 is #NM.`,
    citation: 'SDM vol. 2, XSAVES',
  }),
  privileged('xrstors', 'XRSTORS', {
    forms: [form('NP 0F C7 /3', 'XRSTORS m')],
    first: [invalidOpcode(NO_OSXSAVE)],
    reason: 'It loads supervisor state, which IA32_XSS chooses.',
    operands: `${lacks('XSAVES')} CR0.TS = 1 is #NM.`,
    citation: 'SDM vol. 2, XRSTORS',
  }),
  undefinedOutside('getsec', 'GETSEC', {
    forms: [form('NP 0F 37', 'GETSEC')],
    condition: 'CPL = 0 and CR4.SMXE = 1',
    results: [invalidOpcode(NO_SMXE), generalProtection(OUTSIDE_RING_0), FINE],
    operands: 'The leaves CAPABILITIES (EAX = 0) and PARAMETERS (EAX = 6) do not look at CPL.',
    reason: 'It enters and leaves the measured environment of Safer Mode Extensions.',
    citation: 'SDM vol. 2, chapter 6, "Safer Mode Extensions Reference"',
  }),
  undefinedOutside('encls', 'ENCLS', {
    forms: [form('NP 0F 01 CF', 'ENCLS')],
    condition: 'CPL = 0',
    results: [invalidOpcode(VM86), invalidOpcode(OUTSIDE_RING_0), FINE],
    operands: `${lacks('SGX')} A leaf that the CPU does not have is #GP(0).`,
    reason: 'It creates enclaves and manages their pages.',
    citation: 'SDM vol. 3, ENCLS',
  }),
  undefinedOutside('syscall', 'SYSCALL', {
    forms: [form('0F 05', 'SYSCALL')],
    condition: 'in 64-bit mode where EFER.SCE = 1',
    results: [invalidOpcode(always('any CPL, outside 64-bit mode'))],
    operands:
      'That is a CPU of Intel, as every CPU model here; one of AMD runs it in protected mode at any CPL where EFER.SCE = 1.',
    reason: 'It enters the ring-0 code of the owner of the machine.',
    citation: 'SDM vol. 2, SYSCALL; AMD APM vol. 3, SYSCALL',
  }),
  undefinedOutside('sysret', 'SYSRET', {
    forms: [form('0F 07', 'SYSRET')],
    condition: 'CPL = 0 in 64-bit mode where EFER.SCE = 1',
    results: [invalidOpcode(always('any CPL, outside 64-bit mode'))],
    operands:
      'That is a CPU of Intel, as every CPU model here; one of AMD runs it in protected mode where EFER.SCE = 1, and raises #GP(0) where CPL > 0.',
    reason: 'It loads CS and SS for ring 3 from MSR values.',
    citation: 'SDM vol. 2, SYSRET; AMD APM vol. 3, SYSRET',
  }),
  defineRule({
    id: 'rdpmc',
    instruction: 'RDPMC',
    class: 'privileged',
    forms: [form('0F 33', 'RDPMC')],
    condition: 'CPL = 0 or CR4.PCE = 1',
    result: '#GP(0)',
    results: [asAsked([RING_0]), asAsked([PCE]), generalProtection(OTHERWISE)],
    operands: 'A counter that the CPU does not have is #GP(0).',
    reason: 'Performance counters show what other code does; CR4.PCE opens them.',
    citation: 'SDM vol. 2, RDPMC',
  }),
  defineRule({
    id: 'rdtsc',
    instruction: 'RDTSC',
    class: 'privileged',
    forms: [form('0F 31', 'RDTSC'), form('0F 01 F9', 'RDTSCP')],
    condition: 'CPL = 0 or CR4.TSD = 0',
    result: '#GP(0)',
    results: [asAsked([RING_0]), asAsked([TSD_CLEAR]), generalProtection(OTHERWISE)],
    reason: 'CR4.TSD reserves the time-stamp counter for ring 0.',
    citation: 'SDM vol. 2, RDTSC and RDTSCP',
  }),
  undefinedOutside('monitor', 'MONITOR', {
    forms: [form('0F 01 C8', 'MONITOR')],
    condition: 'CPL = 0',
    results: [invalidOpcode(OUTSIDE_RING_0), FINE],
    operands: 'A CPU whose CPUID does not show MONITOR raises #UD at any CPL.',
    reason: 'It arms a watch on memory for MWAIT, which stops the CPU.',
  }),
  undefinedOutside('mwait', 'MWAIT', {
    forms: [form('0F 01 C9', 'MWAIT')],
    condition: 'CPL = 0',
    results: [invalidOpcode(OUTSIDE_RING_0), FINE],
    operands: 'A CPU whose CPUID does not show MONITOR raises #UD at any CPL.',
    reason: 'It stops the CPU until the watched memory is written or an interrupt comes.',
  }),
  undefinedOutside('clac', 'CLAC', {
    forms: [form('0F 01 CA', 'CLAC')],
    condition: 'CPL = 0',
    results: [invalidOpcode(OUTSIDE_RING_0), FINE],
    operands: 'A CPU whose CPUID does not show SMAP raises #UD at any CPL.',
    reason: 'EFLAGS.AC decides whether ring 0 may touch user pages (SMAP).',
  }),
  undefinedOutside('stac', 'STAC', {
    forms: [form('0F 01 CB', 'STAC')],
    condition: 'CPL = 0',
    results: [invalidOpcode(OUTSIDE_RING_0), FINE],
    operands: 'A CPU whose CPUID does not show SMAP raises #UD at any CPL.',
    reason: 'EFLAGS.AC decides whether ring 0 may touch user pages (SMAP).',
  }),
  undefinedOutside('rsm', 'RSM', {
    forms: [form('0F AA', 'RSM')],
    condition: 'in system management mode',
    results: [invalidOpcode(always('any CPL, outside system management mode'))],
    reason: 'It leaves system management mode, which only an SMI enters.',
  }),
  undefinedOutside('vmcall', 'VMCALL', {
    forms: [form('0F 01 C1', 'VMCALL')],
    condition: 'in VMX operation',
    results: [invalidOpcode(always('any CPL, outside VMX operation'))],
    operands: 'In VMX non-root operation it leaves the guest at any CPL.',
    reason:
      'It calls the hypervisor of Intel hardware virtualization, and without one there is no one to call.',
    citation: 'SDM vol. 3, 30.3, VMCALL',
  }),
  undefinedOutside('vmmcall', 'VMMCALL', {
    forms: [form('0F 01 D9', 'VMMCALL')],
    condition: 'in an SVM guest whose hypervisor intercepts it',
    results: [invalidOpcode(always('any CPL, where no hypervisor intercepts it'))],
    reason:
      'It calls the hypervisor of AMD hardware virtualization, and without one there is no one to call.',
    citation: 'AMD APM vol. 3, VMMCALL',
  }),
  undefinedOutside('vmxon', 'VMXON', {
    forms: [form('F3 0F C7 /6', 'VMXON m64')],
    condition: 'CPL = 0 and CR4.VMXE = 1',
    results: [invalidOpcode(VM86), invalidOpcode(NO_VMXE), generalProtection(OUTSIDE_RING_0), FINE],
    reason: 'It enters VMX operation, which runs other machines under this one.',
    citation: 'SDM vol. 3, 30.3, VMXON',
  }),
  undefinedOutside('vmfunc', 'VMFUNC', {
    forms: [form('NP 0F 01 D4', 'VMFUNC')],
    condition: 'in VMX non-root operation, where the hypervisor has enabled the function',
    results: [invalidOpcode(always('any CPL, outside VMX non-root operation'))],
    operands: 'It does not look at CPL.',
    reason:
      'It asks for a function that a hypervisor of Intel hardware virtualization has opened to its guest.',
    citation: 'SDM vol. 3, 30.3, VMFUNC',
  }),
  undefinedOutside('vmx', 'VMX instructions', {
    forms: [
      form('NP 0F 01 C2', 'VMLAUNCH'),
      form('NP 0F 01 C3', 'VMRESUME'),
      form('NP 0F 01 C4', 'VMXOFF'),
      form('NP 0F 78 /r', 'VMREAD r/m32, r32'),
      form('NP 0F 79 /r', 'VMWRITE r32, r/m32'),
      form('NP 0F C7 /6', 'VMPTRLD m64'),
      form('NP 0F C7 /7', 'VMPTRST m64'),
      form('66 0F C7 /6', 'VMCLEAR m64'),
      form('66 0F 38 80 /r', 'INVEPT r32, m128'),
      form('66 0F 38 81 /r', 'INVVPID r32, m128'),
    ],
    condition: 'CPL = 0 in VMX operation',
    results: [invalidOpcode(VM86), invalidOpcode(OUTSIDE_VMX), generalProtection(OUTSIDE_RING_0), FINE],
    operands: 'VMXON enters VMX operation.',
    reason: 'They run other machines under this one.',
    citation: 'SDM vol. 3, 30.3',
  }),
  undefinedOutside('svm', 'SVM instructions', {
    forms: [
      form('0F 01 D8', 'VMRUN'),
      form('0F 01 DA', 'VMLOAD'),
      form('0F 01 DB', 'VMSAVE'),
      form('0F 01 DC', 'STGI'),
      form('0F 01 DD', 'CLGI'),
      form('0F 01 DE', 'SKINIT'),
      form('0F 01 DF', 'INVLPGA'),
    ],
    condition: 'CPL = 0 and EFER.SVME = 1',
    results: [invalidOpcode(VM86), invalidOpcode(NO_SVME), generalProtection(OUTSIDE_RING_0), FINE],
    reason: 'They run other machines under this one.',
    citation: 'AMD APM vol. 3, chapter 4',
  }),
];
