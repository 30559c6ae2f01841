/** Xen 4.14 under a 32-bit paravirtual guest in ring 1, by rule. */
import { forRules, type HostExceptionName } from '../exception.ts';
import type { Host, HostAnswer } from '../host.ts';

/** validate() lists the opcodes; priv_op_ops says what becomes of them. */
const EMULATE = 'Xen 4.14 xen/arch/x86/pv/emul-priv-op.c';
const TRAPS = 'Xen 4.14 xen/arch/x86/pv/traps.c';
const GATES = 'Xen 4.14 xen/arch/x86/pv/emul-gate-op.c';
const DESCRIPTORS = 'Xen 4.14 xen/arch/x86/pv/descriptor-tables.c';

const emulates = (sentence: string): HostAnswer => ({ does: 'emulate', sentence, citation: EMULATE });

const unseen = (sentence: string, citation: string): HostAnswer => ({ does: 'unseen', sentence, citation });

/** Before set_trap_table every handler's CS is null, and Xen crashes the domain. */
const reflected = ({ mnemonic }: HostExceptionName): HostAnswer => ({
  does: 'reflect',
  sentence: `Xen does not emulate this: it reflects ${mnemonic} into the guest, and a guest that has not called set_trap_table has no handler, so Xen crashes the domain.`,
  citation: TRAPS,
});

/** xen/arch/x86/pv/emul-priv-op.c, write_cr and read_cr. */
const TO_CR: Readonly<Record<number, HostAnswer>> = {
  0: emulates('Xen emulates a write to CR0 that changes TS only; any other change reflects #GP(0).'),
  2: emulates("Xen emulates this: it sets the guest's virtual CR2."),
  3: emulates(
    'Xen emulates this as MMUEXT_NEW_BASEPTR; a frame that does not pass as an L3 table reflects #GP(0).',
  ),
  4: emulates('Xen emulates this: it keeps what a guest may change in CR4 and ignores the rest.'),
};
const FROM_CR: Readonly<Record<number, HostAnswer>> = {
  0: emulates('Xen emulates this: the guest reads its virtual CR0.'),
  2: emulates('Xen emulates this: the guest reads its virtual CR2.'),
  3: emulates('Xen emulates this: the guest reads the frame of its own L3 table.'),
  4: emulates('Xen emulates this: the guest reads its virtual CR4.'),
};

/** cli/sti need virtual IOPL 1 (PHYSDEVOP_set_iopl), which is 0 at start of day. */
const INTERRUPT_FLAG: HostAnswer = {
  does: 'reflect',
  sentence:
    "Xen lets cli and sti pass as no-ops when the guest's virtual IOPL (PHYSDEVOP_set_iopl) allows them; at start of day it reflects #GP(0), and a guest without a trap table crashes.",
  citation: EMULATE,
};

const PORT: HostAnswer = {
  does: 'reflect',
  sentence:
    "Xen emulates a port access only when the guest's virtual IOPL (PHYSDEVOP_set_iopl) or I/O bitmap allows it; at start of day it reflects #GP(0), and a guest without a trap table crashes.",
  citation: EMULATE,
};

const VM_CALL: HostAnswer = {
  does: 'reflect',
  sentence:
    'A PV guest calls Xen by int $0x82 or its hypercall page; this is an invalid opcode, which Xen reflects into the guest, and a guest without a trap table crashes.',
  citation: TRAPS,
};

/** What Xen makes of `int n` where n is no hypercall, for a Stop at one. */
export const TRAP_TABLE: HostAnswer = {
  does: 'reflect',
  sentence:
    "Xen delivers int n through the guest's trap table when the entry's DPL allows it; at start of day there is no table and the domain crashes.",
  citation: TRAPS,
};

const DROPPED = unseen(
  "The CPU goes on without a fault and without the change: Xen never hears of it. The real IF is always 1 and the real IOPL 0; a guest's own interrupt flag is evtchn_upcall_mask.",
  'SDM vol. 2, POPF and IRET; Xen 4.14 xen/include/public/xen.h',
);

const table = (name: string): HostAnswer =>
  unseen(`Xen never hears of it: the guest sees Xen's own ${name}.`, `SDM vol. 2, S${name}; ${DESCRIPTORS}`);

const JUDGED = unseen(
  "Xen never hears of it: the answer is for ring 1 and for the GDT in which the guest's own entries stand beside Xen's.",
  DESCRIPTORS,
);

/** Selectors of Xen's own segments: xen/include/public/arch-x86/xen-x86_32.h. */
const LOADED = unseen(
  "Xen never hears of it while the selector is one of the guest's own or of Xen's flat ring-1 segments (0xe019, 0xe021); one that the CPU refuses is #GP(selector), which Xen reflects.",
  `${DESCRIPTORS}; xen/include/public/arch-x86/xen-x86_32.h`,
);

const SHOWN = unseen(
  'Xen never hears of it: the guest sees RPL 1 in the selectors of its own ring-0 code.',
  'Xen 4.14 xen/include/public/arch-x86/xen-x86_32.h',
);

const ANSWERS: Readonly<Record<string, HostAnswer>> = {
  clts: emulates("Xen emulates clts: it clears the guest's virtual CR0.TS, as fpu_taskswitch(0) does."),
  wbinvd: emulates('Xen emulates wbinvd: for a domain without devices it does nothing.'),
  'mov-to-cr': {
    ...emulates(
      'Xen emulates writes to CR2, CR3 (as MMUEXT_NEW_BASEPTR) and CR4, and to CR0 where only TS changes; any other reflects #GP(0).',
    ),
    byRegister: TO_CR,
  },
  'mov-from-cr': {
    ...emulates(
      "Xen emulates this: the guest reads its virtual CR0, CR2 or CR4, or its own L3 table's frame.",
    ),
    byRegister: FROM_CR,
  },
  'mov-to-dr': emulates('Xen emulates this as set_debugreg, with its checks.'),
  'mov-from-dr': emulates('Xen emulates this as get_debugreg.'),
  rdmsr: emulates(
    'Xen emulates rdmsr: an MSR that it does not list reads as on the hardware, or reflects #GP(0).',
  ),
  wrmsr: emulates('Xen emulates wrmsr: it keeps the MSRs that it lists and discards any other write.'),
  rdtsc: emulates('Xen emulates rdtsc where it traps it.'),
  xsetbv: emulates('Xen emulates xsetbv.'),
  ...forRules(
    ['hlt', 'lgdt', 'lidt', 'lldt', 'ltr', 'lmsw', 'invlpg', 'invd', 'rdpmc', 'sysexit'],
    reflected,
  ),
  ...forRules(['mov-test-register', 'monitor', 'mwait', 'clac', 'stac', 'rsm', 'vmx', 'svm'], reflected),
  ...forRules(['invpcid', 'xsaves', 'xrstors', 'getsec', 'encls', 'sysret', 'vmxon', 'vmfunc'], reflected),
  ...forRules(['syscall'], exception => ({
    ...reflected(exception),
    sentence: `On a CPU of Intel this is ${exception.mnemonic}, which Xen reflects into the guest, and a guest without a trap table crashes; on one of AMD it enters Xen, as SYSENTER does.`,
  })),
  ...forRules(['vmcall', 'vmmcall'], () => VM_CALL),
  ...forRules(['cli', 'sti'], () => INTERRUPT_FLAG),
  ...forRules(['in', 'out', 'ins', 'outs'], () => PORT),
  ...forRules(['popf', 'iret'], () => DROPPED),
  pushf: unseen(
    'Xen never hears of it: the guest sees the real flags, where IF is always 1 and IOPL 0, and not its evtchn_upcall_mask.',
    'SDM vol. 2, PUSHF; Xen 4.14 xen/include/public/xen.h',
  ),
  sgdt: table('GDT'),
  sidt: table('IDT'),
  sldt: unseen(
    'Xen never hears of it: the guest sees the selector in LDTR, which Xen loads when the guest sets an LDT (MMUEXT_SET_LDT).',
    `SDM vol. 2, SLDT; ${DESCRIPTORS}`,
  ),
  str: unseen("Xen never hears of it: the guest sees the selector of Xen's own TSS.", 'SDM vol. 2, STR'),
  smsw: unseen(
    'Xen never hears of it: the guest sees the real CR0, and not its virtual one, whose TS may differ.',
    'SDM vol. 2, SMSW',
  ),
  ...forRules(['lar', 'lsl', 'verr', 'verw'], () => JUDGED),
  ...forRules(['pop-segment', 'mov-to-segment', 'load-far-pointer'], () => LOADED),
  ...forRules(['push-segment', 'mov-from-segment'], () => SHOWN),
  ...forRules(['far-jump', 'far-return'], () => LOADED),
  'far-call': unseen(
    "Xen never hears of a call to one of the guest's own code segments; a call through a call gate is #GP(selector), because Xen clears the gate's DPL, and Xen emulates it.",
    GATES,
  ),
  int: {
    does: 'reflect',
    sentence: `int $0x82 is the hypercall. ${TRAP_TABLE.sentence}`,
    citation: TRAPS,
  },
  'task-switch': {
    does: 'reflect',
    sentence:
      "No TSS and no task gate passes Xen's check of the guest's descriptors: a selector of one is #GP(selector), which Xen reflects into the guest.",
    citation: DESCRIPTORS,
  },
  sysenter: {
    does: 'reflect',
    sentence:
      'SYSENTER enters Xen, which hands it to the CALLBACKTYPE_sysenter handler of the guest; for a guest that has registered none it reflects #GP(0).',
    citation: 'Xen 4.14 xen/arch/x86/x86_64/entry.S, sysenter_entry',
  },
  cpuid: unseen(
    'Xen never hears of it on a CPU without CPUID faulting: the guest sees the real CPU. The forced-emulation prefix (ud2, then the bytes of "xen") before it makes Xen answer by the domain\'s policy.',
    'Xen 4.14 xen/arch/x86/pv/emul-inv-op.c',
  ),
  xgetbv: unseen(
    'Xen never hears of it: the guest sees the real XCR0, which Xen loads for it.',
    'SDM vol. 2, XGETBV',
  ),
};

export const XEN_HOST: Host = {
  name: 'xen',
  summary: 'Xen 4.14 under a 32-bit paravirtual guest, whose kernel runs in ring 1',
  answers: Object.fromEntries(Object.entries(ANSWERS).map(([rule, answer]) => [rule, [answer]])),
  fault: reflected,
};
