/**
 * What Xen makes of a Stop. Xen 4.14 xen/arch/x86/pv/emul-priv-op.c, pv/emul-inv-op.c, pv/traps.c, pv/hypercall.c,
 * traps.c, mm.c.
 */
import type { Stop } from '../../emulator/stop.ts';
import type { Reaction } from '../protocol.ts';
import {
  type AdviceTable,
  decoded,
  isVmCall,
  moreMemory,
  type ReactionTable,
  sameFor,
  spellException,
} from '../reactions.ts';
import { xenHypercallName } from './hypercalls.ts';

const EMULATE = 'Xen 4.14 xen/arch/x86/pv/emul-priv-op.c';
const TRAPS = 'Xen 4.14 xen/arch/x86/pv/traps.c';

const emulates = (sentence: string): Reaction => ({ outcome: 'emulates', sentence, citation: EMULATE });

/** Before set_trap_table every handler's CS is null, and Xen crashes the domain. */
const reflected = (stop: Stop): Reaction => ({
  outcome: 'kills',
  sentence: `Xen does not emulate this: it reflects ${spellException(stop.exception)} into the guest, and a guest that has not called set_trap_table has no handler, so Xen crashes the domain.`,
  citation: TRAPS,
});

/** xen/arch/x86/pv/emul-priv-op.c, write_cr and read_cr; index is the number of the control register. */
const TO_CR: Readonly<Record<number, Reaction>> = {
  0: emulates('Xen emulates a write to CR0 that changes TS only; any other change reflects #GP(0).'),
  2: emulates("Xen emulates this: it sets the guest's virtual CR2."),
  3: emulates(
    'Xen emulates this as MMUEXT_NEW_BASEPTR; a frame that does not pass as an L3 table reflects #GP(0).',
  ),
  4: emulates('Xen emulates this: it keeps what a guest may change in CR4 and ignores the rest.'),
};
const FROM_CR: Readonly<Record<number, Reaction>> = {
  0: emulates('Xen emulates this: the guest reads its virtual CR0.'),
  2: emulates('Xen emulates this: the guest reads its virtual CR2.'),
  3: emulates('Xen emulates this: the guest reads the frame of its own L3 table.'),
  4: emulates('Xen emulates this: the guest reads its virtual CR4.'),
};

const byRegister =
  (answers: Readonly<Record<number, Reaction>>) =>
  (stop: Stop): Reaction =>
    answers[decoded(stop)?.systemRegister ?? -1] ?? reflected(stop);

/** Ports and cli/sti need virtual IOPL 1 (PHYSDEVOP_set_iopl), which is 0 at start of day. */
const NEEDS_IOPL: Reaction = {
  outcome: 'kills',
  sentence:
    "Xen emulates a port access only when the guest's virtual IOPL (PHYSDEVOP_set_iopl) or I/O bitmap allows it; at start of day it reflects #GP(0), and a guest without a trap table crashes.",
  citation: EMULATE,
};

const INTERRUPT_FLAG: Reaction = {
  outcome: 'kills',
  sentence:
    "Xen lets cli and sti pass as no-ops when the guest's virtual IOPL (PHYSDEVOP_set_iopl) allows them; at start of day it reflects #GP(0), and a guest without a trap table crashes.",
  citation: EMULATE,
};

const DROPPED: Reaction = {
  outcome: 'nothing',
  sentence:
    "The CPU goes on without a fault and without the change: Xen never hears of it. The real IF is always 1 and the real IOPL 0; a guest's own interrupt flag is evtchn_upcall_mask.",
  citation: 'SDM vol. 2, POPF and IRET; Xen 4.14 xen/include/public/xen.h',
};

const invalidOpcode = (stop: Stop): Reaction => {
  const reaction = reflected(stop);
  return isVmCall(stop)
    ? {
        ...reaction,
        sentence:
          'A PV guest calls Xen by int $0x82 or its hypercall page; this is an invalid opcode, which Xen reflects into the guest, and a guest without a trap table crashes.',
      }
    : reaction;
};

function hypercall(stop: Stop): Reaction {
  if (stop.kind !== 'hypercall') return reflected(stop);
  const name = xenHypercallName(stop.number);
  return {
    outcome: 'handles',
    sentence: name
      ? `Xen handles hypercall ${name}.`
      : `Xen has no hypercall ${stop.number} and returns -ENOSYS (-38).`,
    citation: 'Xen 4.14 xen/arch/x86/pv/hypercall.c',
  };
}

export const XEN_REACTIONS: ReactionTable = {
  rules: {
    clts: emulates("Xen emulates clts: it clears the guest's virtual CR0.TS, as fpu_taskswitch(0) does."),
    wbinvd: emulates('Xen emulates wbinvd: for a domain without devices it does nothing.'),
    'mov-to-cr': byRegister(TO_CR),
    'mov-from-cr': byRegister(FROM_CR),
    'mov-to-dr': emulates('Xen emulates this as set_debugreg, with its checks.'),
    'mov-from-dr': emulates('Xen emulates this as get_debugreg.'),
    rdmsr: emulates(
      'Xen emulates rdmsr: an MSR that it does not list reads as on the hardware, or reflects #GP(0).',
    ),
    wrmsr: emulates('Xen emulates wrmsr: it keeps the MSRs that it lists and discards any other write.'),
    rdtsc: emulates('Xen emulates rdtsc where it traps it.'),
    xsetbv: emulates('Xen emulates xsetbv.'),
    ...sameFor(
      ['hlt', 'lgdt', 'lidt', 'lldt', 'ltr', 'lmsw', 'invlpg', 'invd', 'rdpmc', 'sysexit'],
      reflected,
    ),
    ...sameFor(['cli', 'sti'], INTERRUPT_FLAG),
    ...sameFor(['in', 'out', 'ins', 'outs'], NEEDS_IOPL),
    popf: DROPPED,
    iret: DROPPED,
  },
  kinds: {
    'forced-emulation': {
      outcome: 'emulates',
      sentence:
        "This is Xen's forced-emulation prefix: with cpuid after it Xen answers by the domain's policy and goes on behind both.",
      citation: 'Xen 4.14 xen/arch/x86/pv/emul-inv-op.c',
    },
    'page-fault': {
      outcome: 'kills',
      sentence:
        'Xen maps the start-of-day area and nothing more, with its page tables read-only; it reflects #PF into the guest, and a guest that has not called set_trap_table crashes.',
      citation: TRAPS,
    },
    'software-interrupt': {
      outcome: 'kills',
      sentence:
        "Xen delivers int n through the guest's trap table when the entry's DPL allows it; at start of day there is no table and the domain crashes.",
      citation: TRAPS,
    },
    'invalid-opcode': invalidOpcode,
    hypercall,
    halt: {
      outcome: 'nothing',
      sentence:
        'At CPL 0 the CPU waits for an interrupt. Xen itself runs a 32-bit guest kernel in ring 1, where hlt is #GP(0), and the guest asks for SCHEDOP_block.',
    },
    shutdown: { outcome: 'kills', sentence: 'A PV guest cannot shut the CPU down: Xen crashes the domain.' },
    'memory-hole': {
      outcome: 'kills',
      sentence: 'No machine frame of this domain is there: Xen would not have let a page table name it.',
      citation: 'Xen 4.14 xen/arch/x86/mm.c',
    },
    'loader-memory': {
      outcome: 'kills',
      sentence:
        "Xen's own tables are out of a guest's reach: a 64-bit Xen keeps them above 4 GiB, a 32-bit one beyond the segment limits.",
      citation: 'Xen 4.14 xen/include/public/arch-x86/xen-x86_32.h',
    },
    'long-mode': { outcome: 'kills', sentence: 'A 32-bit PV guest cannot leave 32-bit mode.' },
  },
  otherwise: reflected,
};

export const XEN_ADVICE: AdviceTable = {
  rules: {
    cli: ['a PV guest masks events with evtchn_upcall_mask in shared_info, not with cli'],
    sti: ['a PV guest unmasks events with evtchn_upcall_mask in shared_info, not with sti'],
    popf: ['a PV guest saves and restores evtchn_upcall_mask instead of IF'],
    iret: ['hypercall iret (23) returns with the event mask restored'],
    hlt: ['a PV guest idles with sched_op(SCHEDOP_block)'],
    lgdt: ['a PV guest sets its GDT with hypercall set_gdt (2)'],
    lidt: ['a PV guest sets its handlers with hypercall set_trap_table (0)'],
    lldt: ['a PV guest sets its LDT with mmuext_op(MMUEXT_SET_LDT)'],
    ltr: ['a PV guest has no TSS: hypercall stack_switch (3) names the kernel stack'],
    invlpg: ['a PV guest flushes a page with mmuext_op(MMUEXT_INVLPG_LOCAL)'],
    'mov-to-cr': ['mmuext_op(MMUEXT_NEW_BASEPTR) is what Xen makes of a write to CR3'],
  },
  kinds: {
    'iopl-sensitive-instruction': ['physdev_op(PHYSDEVOP_set_iopl) raises the virtual IOPL'],
    'segment-load': ['0xe019, 0xe021, 0xe02b and 0xe033 are the selectors that load at start of day'],
    'page-fault': [
      'shared_info is not mapped at start of day: map it with update_va_mapping, by its machine address in start_info',
      'page tables are read-only: change them with mmu_update or update_va_mapping',
    ],
    hypercall: ['the run ends at the first hypercall; --until goes to an address before it'],
    'memory-hole': [moreMemory("a larger --memory moves the end of the domain's memory")],
  },
};
