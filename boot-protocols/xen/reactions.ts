/**
 * What Xen makes of a Stop. Xen 4.14 xen/arch/x86/pv/emul-priv-op.c, pv/emul-inv-op.c, pv/traps.c, pv/hypercall.c,
 * traps.c, mm.c.
 */
import type { EntryState } from '../../emulator/entry-state.ts';
import type { Stop } from '../../emulator/stop.ts';
import { type AdviceTable, moreMemory } from '../advice.ts';
import { hostAnswer } from '../hosts/index.ts';
import { TRAP_TABLE } from '../hosts/xen/rules.ts';
import type { Reaction, XenHost } from '../protocol.ts';
import { isVmCall, type ReactionTable, reactionOf, reflectedBy, rulesOf } from '../reactions.ts';
import { hasHypercall, xenHypercallName } from './hypercalls.ts';

const TRAPS = 'Xen 4.14 xen/arch/x86/pv/traps.c';

const reflected = reflectedBy('xen');

const invalidOpcode = (stop: Stop): Reaction =>
  isVmCall(stop) ? reactionOf(hostAnswer('xen', 'vmcall')) : reflected(stop);

const HYPERCALL_TABLE: Readonly<Record<XenHost, string>> = {
  32: 'Xen 4.2 xen/arch/x86/x86_32/entry.S, hypercall_table',
  64: 'Xen 4.14 xen/arch/x86/pv/hypercall.c',
};

/** xen-supervisor has no knob for it: its Xen is a 32-bit one. */
const hostOf = (entry: EntryState | undefined): XenHost =>
  entry?.knobs['xen-host'] === '32' || entry?.protocol === 'xen-supervisor' ? 32 : 64;

function hypercall(stop: Stop, entry?: EntryState): Reaction {
  if (stop.kind !== 'hypercall') return reflected(stop);
  const host = hostOf(entry);
  const name = xenHypercallName(stop.number) ?? String(stop.number);
  return {
    outcome: 'handles',
    sentence: hasHypercall(stop.number, host)
      ? `Xen handles hypercall ${name}.`
      : `Xen has no hypercall ${name} and returns -ENOSYS (-38).`,
    citation: HYPERCALL_TABLE[host],
  };
}

export const XEN_REACTIONS: ReactionTable = {
  rules: rulesOf('xen'),
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
    'software-interrupt': reactionOf(TRAP_TABLE),
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
