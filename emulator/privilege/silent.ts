/**
 * Instructions that never fault for privilege in protected mode and do something else outside ring 0: the 17 of Robin
 * and Irvine (USENIX Security 2000), in their order, then what came after them.
 */
import {
  asAsked,
  FINE,
  generalProtection,
  IOPL_3,
  IOPL_BELOW_3,
  invalidOpcode,
  NO_OSXSAVE,
  NULL_SYSENTER_CS,
  OTHERWISE,
  OUTSIDE_RING_0,
  RING_0,
  silently,
  UMIP,
  VM86,
  VME,
  WITHIN_IOPL,
  WORD_OPERAND,
} from './conditions.ts';
import { defineRule, form, type InstructionForm, type PrivilegeRule, type RuleResult } from './rule.ts';

const FLAGS_CONDITION = 'CPL <= IOPL for IF, CPL = 0 for IOPL';
const FLAGS_KEPT = 'IF and IOPL keep their values';

/** SDM vol. 2, POPF, "Effect of POPF/POPFD on the EFLAGS Register"; IRET; vol. 3, 20.2.7 and 20.3.2 for VM86. */
const FLAGS_RESULTS: readonly RuleResult[] = [
  silently([VM86, IOPL_3], 'IF changes; IOPL keeps its value'),
  silently(
    [VM86, VME, WORD_OPERAND],
    'IF of the operand goes to VIF, and IF and IOPL keep their values; but #GP(0) where the operand has TF, or IF while VIP is set',
  ),
  generalProtection(VM86, IOPL_BELOW_3),
  asAsked([RING_0]),
  silently([WITHIN_IOPL], 'IF changes; IOPL keeps its value'),
  silently([OTHERWISE], FLAGS_KEPT),
];

const flags = (
  id: 'popf' | 'iret',
  instruction: string,
  forms: readonly InstructionForm[],
  texts: { readonly reason: string; readonly citation: string; readonly operands: string },
): PrivilegeRule =>
  defineRule({
    id,
    instruction,
    class: 'silent',
    forms,
    condition: FLAGS_CONDITION,
    result: `no fault: ${FLAGS_KEPT}`,
    results: FLAGS_RESULTS,
    ...texts,
    applies: OUTSIDE_RING_0.test,
  });

interface Silent {
  readonly forms: readonly InstructionForm[];
  /** What happens outside ring 0, without a fault. */
  readonly effect: string;
  readonly first?: readonly RuleResult[];
  readonly operands?: string;
  readonly reason: string;
  readonly citation?: string;
}

const silent = (
  id: string,
  instruction: string,
  { forms, effect, first = [], operands, reason, citation }: Silent,
): PrivilegeRule =>
  defineRule({
    id,
    instruction,
    class: 'silent',
    forms,
    condition: 'CPL = 0',
    result: `no fault: ${effect}`,
    results: [...first, silently([OUTSIDE_RING_0], effect), FINE],
    ...(operands !== undefined && { operands }),
    reason,
    citation: citation ?? `SDM vol. 2, ${instruction}`,
  });

const NOT_IN_VM86 = invalidOpcode(VM86);
/** SDM vol. 3, 2.5, CR4.UMIP. */
const USER_MODE_PREVENTION = generalProtection(OUTSIDE_RING_0, UMIP);
/** SDM vol. 3, 20.1.1: in virtual-8086 mode a segment register takes any value. */
const REAL_MODE_SEGMENT = asAsked([VM86], 'as in real-address mode: the base is the selector * 16');

const SEGMENT_CHECKS =
  'The descriptor is checked with the real CPL: #GP(selector) for its type, its DPL or the limit of its table, #NP(selector) (for SS #SS(selector)) where it is not present.';
const CODE_CHECKS =
  'The descriptor is checked with the real CPL: #GP(selector) for its type, its DPL or the limit of its table, #NP(selector) where it is not present.';

const STORES = 'The operand is written as any other: #GP(0), #SS(0) or #PF.';

export const SILENT_RULES: readonly PrivilegeRule[] = [
  silent('sgdt', 'SGDT', {
    forms: [form('0F 01 /0', 'SGDT m')],
    first: [USER_MODE_PREVENTION],
    effect: 'it stores the real GDTR',
    operands: STORES,
    reason:
      'It shows where the GDT of the owner of the machine is, and not what the kernel believes to have set.',
  }),
  silent('sidt', 'SIDT', {
    forms: [form('0F 01 /1', 'SIDT m')],
    first: [USER_MODE_PREVENTION],
    effect: 'it stores the real IDTR',
    operands: STORES,
    reason:
      'It shows where the IDT of the owner of the machine is, and not what the kernel believes to have set.',
  }),
  silent('sldt', 'SLDT', {
    forms: [form('0F 00 /0', 'SLDT r/m16')],
    first: [NOT_IN_VM86, USER_MODE_PREVENTION],
    effect: 'it stores the real LDT selector',
    reason: 'It shows the LDT selector that the owner of the machine has loaded.',
  }),
  silent('smsw', 'SMSW', {
    forms: [form('0F 01 /4', 'SMSW r/m16')],
    first: [USER_MODE_PREVENTION],
    effect: 'it stores the low half of the real CR0',
    reason: 'It shows the CR0 of the real machine, which MOV from CR0 does not without CPL 0.',
  }),
  defineRule({
    id: 'pushf',
    instruction: 'PUSHF',
    class: 'silent',
    forms: [form('9C', 'PUSHFD')],
    condition: 'CPL = 0',
    result: 'no fault: it pushes the real IF and IOPL',
    results: [
      silently([VM86, IOPL_3], 'it pushes the real IF and IOPL'),
      silently([VM86, VME, WORD_OPERAND], 'it pushes VIF as IF, and IOPL as 3'),
      generalProtection(VM86, IOPL_BELOW_3),
      asAsked([RING_0]),
      silently([OTHERWISE], 'it pushes the real IF and IOPL'),
    ],
    operands: 'VM and RF are 0 in the image.',
    reason:
      'The flags that it shows are those of the real machine, not those that a monitor keeps for the kernel.',
    citation: 'SDM vol. 2, PUSHF; vol. 3, 20.2.7',
  }),
  flags('popf', 'POPF', [form('9D', 'POPFD')], {
    operands:
      'VM, VIF, VIP and reserved bits never change; with operand size 16 neither AC nor ID nor RF does.',
    reason: 'POPF loads the flags that it may load and leaves the others as they are, without a fault.',
    citation: 'SDM vol. 2, POPF, "Effect of POPF/POPFD on the EFLAGS Register"',
  }),
  silent('lar', 'LAR', {
    forms: [form('0F 02 /r', 'LAR r32, r32/m16')],
    first: [NOT_IN_VM86],
    effect: 'ZF answers for the real CPL and the real tables',
    operands: 'A selector that CPL or RPL may not see clears ZF and is no fault.',
    reason:
      'It judges a descriptor with the CPL that the kernel really has, which is not the one it was written for.',
  }),
  silent('lsl', 'LSL', {
    forms: [form('0F 03 /r', 'LSL r32, r32/m16')],
    first: [NOT_IN_VM86],
    effect: 'ZF answers for the real CPL and the real tables',
    operands: 'A selector that CPL or RPL may not see clears ZF and is no fault.',
    reason:
      'It judges a descriptor with the CPL that the kernel really has, which is not the one it was written for.',
  }),
  silent('verr', 'VERR', {
    forms: [form('0F 00 /4', 'VERR r/m16')],
    first: [NOT_IN_VM86],
    effect: 'ZF answers for the real CPL and the real tables',
    operands: 'A selector that cannot be read through clears ZF and is no fault.',
    reason:
      'It judges a segment with the CPL that the kernel really has, which is not the one it was written for.',
    citation: 'SDM vol. 2, VERR/VERW',
  }),
  silent('verw', 'VERW', {
    forms: [form('0F 00 /5', 'VERW r/m16')],
    first: [NOT_IN_VM86],
    effect: 'ZF answers for the real CPL and the real tables',
    operands: 'A selector that cannot be written through clears ZF and is no fault.',
    reason:
      'It judges a segment with the CPL that the kernel really has, which is not the one it was written for.',
    citation: 'SDM vol. 2, VERR/VERW',
  }),
  silent('pop-segment', 'POP to a segment register', {
    forms: [
      form('07', 'POP ES'),
      form('17', 'POP SS'),
      form('1F', 'POP DS'),
      form('0F A1', 'POP FS'),
      form('0F A9', 'POP GS'),
    ],
    first: [REAL_MODE_SEGMENT],
    effect: 'the selector is looked up in the real tables with the real CPL',
    operands: SEGMENT_CHECKS,
    reason: 'A selector means what the tables of the machine say, and its DPL is compared with the real CPL.',
    citation: 'SDM vol. 2, POP; vol. 3, 5.5 to 5.7',
  }),
  silent('push-segment', 'PUSH of a segment register', {
    forms: [
      form('06', 'PUSH ES'),
      form('0E', 'PUSH CS'),
      form('16', 'PUSH SS'),
      form('1E', 'PUSH DS'),
      form('0F A0', 'PUSH FS'),
      form('0F A8', 'PUSH GS'),
    ],
    first: [asAsked([VM86])],
    effect: 'the selector of CS or SS shows the real CPL in its RPL',
    reason: 'A kernel that looks at its own selectors sees the ring that it really runs in.',
    citation: 'SDM vol. 2, PUSH; vol. 3, 5.5',
  }),
  silent('far-call', 'CALL far', {
    forms: [form('9A cp', 'CALL ptr16:32'), form('FF /3', 'CALL m16:32')],
    first: [REAL_MODE_SEGMENT],
    effect:
      'the selector is looked up in the real tables with the real CPL, and a call gate leads where they say',
    operands: CODE_CHECKS,
    reason:
      'The code segments that can be called are those of the real CPL, and the CS that is pushed shows it.',
    citation: 'SDM vol. 2, CALL; vol. 3, 5.8',
  }),
  silent('far-jump', 'JMP far', {
    forms: [form('EA cp', 'JMP ptr16:32'), form('FF /5', 'JMP m16:32')],
    first: [REAL_MODE_SEGMENT],
    effect: 'the selector is looked up in the real tables with the real CPL',
    operands: CODE_CHECKS,
    reason: 'The code segments that can be jumped to are those of the real CPL.',
    citation: 'SDM vol. 2, JMP; vol. 3, 5.8',
  }),
  defineRule({
    id: 'int',
    instruction: 'INT n, INT3, INTO and INT1',
    class: 'silent',
    forms: [form('CD ib', 'INT imm8'), form('CC', 'INT3'), form('CE', 'INTO'), form('F1', 'INT1')],
    condition: 'CPL = 0',
    result: 'no fault: it goes through the real IDT, where the gate has DPL >= CPL',
    results: [
      asAsked([VM86, IOPL_3], 'through the IDT, to a handler in ring 0'),
      silently(
        [VM86, VME],
        "INT n enters the 8086 program's own handler where its bit in the redirection bitmap of the TSS is clear; a set bit is #GP(0)",
      ),
      generalProtection(VM86, IOPL_BELOW_3),
      asAsked([RING_0]),
      silently([OTHERWISE], 'it goes through the real IDT; but a gate with DPL < CPL is #GP(vector * 8 + 2)'),
    ],
    operands:
      'INT1 checks no DPL, INTO does nothing while OF is clear, and in VM86 only INT n looks at IOPL. A gate that is not there is #GP(vector * 8 + 2), one that is not present #NP(vector * 8 + 2).',
    reason: 'The handler that it reaches is that of the owner of the machine.',
    citation: 'SDM vol. 2, INT n/INTO/INT3/INT1; vol. 3, 6.12 and 20.3',
  }),
  silent('far-return', 'RET far', {
    forms: [form('CB', 'RET'), form('CA iw', 'RET imm16')],
    first: [REAL_MODE_SEGMENT],
    effect:
      'the selector on the stack is looked up in the real tables, and its RPL compared with the real CPL',
    operands:
      'An RPL below CPL is #GP(selector); otherwise the descriptor is checked as by a far jump, and for a return to an outer ring SS as well.',
    reason: 'It goes back to the ring that the selector on the stack names, never to an inner one.',
    citation: 'SDM vol. 2, RET; vol. 3, 5.8.6',
  }),
  silent('str', 'STR', {
    forms: [form('0F 00 /1', 'STR r/m16')],
    first: [NOT_IN_VM86, USER_MODE_PREVENTION],
    effect: 'it stores the real task register',
    reason: 'It shows the TSS selector that the owner of the machine has loaded.',
  }),
  silent('mov-from-segment', 'MOV from a segment register', {
    forms: [form('8C /r', 'MOV r/m16, Sreg')],
    first: [asAsked([VM86])],
    effect: 'the selector of CS or SS shows the real CPL in its RPL',
    reason: 'A kernel that looks at its own selectors sees the ring that it really runs in.',
    citation: 'SDM vol. 2, MOV; vol. 3, 5.5',
  }),
  silent('mov-to-segment', 'MOV to a segment register', {
    forms: [form('8E /r', 'MOV Sreg, r/m16')],
    first: [REAL_MODE_SEGMENT],
    effect: 'the selector is looked up in the real tables with the real CPL',
    operands: `MOV to CS is #UD. ${SEGMENT_CHECKS}`,
    reason: 'A selector means what the tables of the machine say, and its DPL is compared with the real CPL.',
    citation: 'SDM vol. 2, MOV; vol. 3, 5.5 to 5.7',
  }),
  silent('load-far-pointer', 'LDS, LES, LFS, LGS and LSS', {
    forms: [
      form('C5 /r', 'LDS r32, m16:32'),
      form('C4 /r', 'LES r32, m16:32'),
      form('0F B4 /r', 'LFS r32, m16:32'),
      form('0F B5 /r', 'LGS r32, m16:32'),
      form('0F B2 /r', 'LSS r32, m16:32'),
    ],
    first: [REAL_MODE_SEGMENT],
    effect: 'the selector is looked up in the real tables with the real CPL',
    operands: SEGMENT_CHECKS,
    reason: 'A selector means what the tables of the machine say, and its DPL is compared with the real CPL.',
    citation: 'SDM vol. 2, LDS/LES/LFS/LGS/LSS; vol. 3, 5.5 to 5.7',
  }),
  flags('iret', 'IRET', [form('CF', 'IRETD')], {
    operands:
      'CS is checked as by a far return; with NT set it switches to the task that the TSS links to; VM of the image counts at CPL 0 only.',
    reason: 'IRET restores the flags that it may restore and leaves the others as they are, without a fault.',
    citation: 'SDM vol. 2, IRET/IRETD',
  }),
  silent('task-switch', 'Task switch', {
    forms: [
      form('EA cp', 'JMP to a TSS or a task gate'),
      form('FF /5', 'JMP to a TSS or a task gate'),
      form('9A cp', 'CALL to a TSS or a task gate'),
      form('FF /3', 'CALL to a TSS or a task gate'),
      form('CD ib', 'INT through a task gate'),
      form('CF', 'IRETD with NT set'),
    ],
    first: [asAsked([VM86], 'far jumps and calls name no TSS; an interrupt may use a task gate')],
    effect: 'it switches to the task that the real tables name',
    operands:
      'The DPL of the TSS or gate must be at least CPL and RPL: #GP(selector); a busy TSS is #GP(selector), one that is not present #NP(selector), one that is too short #TS(selector).',
    reason: 'A TSS replaces every register, CR3 among them, by what stands in the memory of the machine.',
    citation: 'SDM vol. 3, 7.3',
  }),
  defineRule({
    id: 'sysenter',
    instruction: 'SYSENTER',
    class: 'silent',
    forms: [form('0F 34', 'SYSENTER')],
    condition: 'CPL = 0',
    result: 'no fault: it enters ring 0 where the real MSRs say',
    results: [
      generalProtection(NULL_SYSENTER_CS),
      asAsked([RING_0]),
      silently([OTHERWISE], 'it enters ring 0 where the real MSRs say'),
    ],
    reason: 'It asks for no privilege, and ends in the ring-0 code of the owner of the machine.',
    citation: 'SDM vol. 2, SYSENTER; vol. 3, 5.8.7',
  }),
  silent('cpuid', 'CPUID', {
    forms: [form('0F A2', 'CPUID')],
    effect: 'it shows the real CPU',
    operands: 'A CPU with CPUID faulting switched on (MSR 0x140) raises #GP(0) outside ring 0.',
    reason: 'It shows features that whoever runs the kernel may not give it, such as SYSENTER or MTRRs.',
    citation: 'SDM vol. 2, CPUID',
  }),
  silent('xgetbv', 'XGETBV', {
    forms: [form('0F 01 D0', 'XGETBV')],
    first: [invalidOpcode(NO_OSXSAVE)],
    effect: 'it shows the real XCR0',
    operands: 'A register other than XCR0 (ECX = 0) is #GP(0).',
    reason: 'It shows which register state the owner of the machine has switched on.',
  }),
];
