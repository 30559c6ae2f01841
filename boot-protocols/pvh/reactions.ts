/** What Xen makes of a PVH guest's Stop: ring 0 is the guest's own, and few things leave it. */
import type { Stop } from '../../emulator/stop.ts';
import { type AdviceTable, moreMemory } from '../advice.ts';
import type { Reaction } from '../protocol.ts';
import { type ReactionTable, spellException } from '../reactions.ts';
import { xenHypercallName } from '../xen/hypercalls.ts';

/** Xen intercepts few exceptions of a PVH guest, and hands back those that it has not caused itself. */
function own(stop: Stop): Reaction {
  const name = spellException(stop.exception);
  if (stop.delivery?.to === 'shutdown') {
    return {
      outcome: 'kills',
      sentence: `Ring 0 is the guest's own: Xen does not take ${name}, and the guest's IDT has no usable gate for it. That ends in a triple fault, and Xen crashes the domain.`,
      citation: 'Xen 4.14 xen/arch/x86/hvm/hvm.c, hvm_triple_fault',
    };
  }
  return {
    outcome: 'cpu-delivers',
    sentence: `Ring 0 is the guest's own: Xen does not take ${name}, and the CPU delivers it through the guest's IDT.`,
    citation: 'SDM vol. 3, 6.12',
  };
}

const flagsLost = (stop: Stop): Reaction => (stop.exception ? own(stop) : DROPPED);

const DROPPED: Reaction = {
  outcome: 'nothing',
  sentence: 'The CPU goes on without a fault and without the change: Xen does not hear of it.',
  citation: 'SDM vol. 2, POPF and IRET',
};

/** Of the hypercalls, those that an HVM or PVH guest has; any other returns -ENOSYS. */
const FOR_HVM: ReadonlySet<string> = new Set([
  'memory_op',
  'grant_table_op',
  'vm_assist',
  'vcpu_op',
  'physdev_op',
  'xen_version',
  'console_io',
  'event_channel_op',
  'sched_op',
  'set_timer_op',
  'xsm_op',
  'hvm_op',
  'sysctl',
  'domctl',
  'argo_op',
  'platform_op',
  'mmuext_op',
  'xenpmu_op',
  'dm_op',
  'hypfs_op',
  'arch_1',
]);

function hypercall(stop: Stop): Reaction {
  if (stop.kind !== 'hypercall') return own(stop);
  const name = xenHypercallName(stop.number);
  return {
    outcome: 'handles',
    sentence:
      name !== undefined && FOR_HVM.has(name)
        ? `Xen handles hypercall ${name}.`
        : `Xen has no hypercall ${name ?? stop.number} for a PVH guest and returns -ENOSYS (-38).`,
    citation: 'Xen 4.14 xen/arch/x86/hvm/hypercall.c',
  };
}

export const PVH_REACTIONS: ReactionTable = {
  rules: { popf: flagsLost, iret: flagsLost },
  kinds: {
    hypercall,
    halt: stop => ({
      outcome: 'nothing',
      sentence:
        stop.kind === 'halt' && stop.interruptsEnabled
          ? 'Xen blocks the vcpu until an event or an interrupt comes.'
          : 'Xen takes the vcpu down for good: interrupts are off, and no NMI is pending.',
      citation: 'Xen 4.14 xen/arch/x86/hvm/hvm.c, hvm_hlt',
    }),
    shutdown: {
      outcome: 'kills',
      sentence: 'Xen crashes the domain: a triple fault leaves the virtual machine.',
      citation: 'Xen 4.14 xen/arch/x86/hvm/hvm.c, hvm_triple_fault',
    },
    'memory-hole': {
      outcome: 'unknown',
      sentence:
        'No RAM of this domain is there. Xen emulates a local APIC at 0xfee00000 and no other device; here there is none.',
    },
    'long-mode': {
      outcome: 'nothing',
      sentence: 'A PVH guest may go on in 64-bit code; startup32 runs 32-bit code only and ends here.',
    },
  },
  otherwise: own,
};

export const PVH_ADVICE: AdviceTable = {
  rules: {},
  kinds: {
    hypercall: ['the run ends at the first hypercall; --until goes to an address before it'],
    'segment-access': [
      stop =>
        stop.kind === 'segment-access' && (stop.register === 'fs' || stop.register === 'gs')
          ? 'Xen starts a PVH guest with FS and GS null, and QEMU with flat ones: load them before the first %fs: or %gs: access'
          : undefined,
    ],
    'segment-load': ['a PVH guest starts without a GDT: lgdt of its own comes before the first segment load'],
    'memory-hole': [moreMemory("a larger --memory moves the end of the domain's memory")],
    'page-fault': ["paging is off at entry: the page tables are the kernel's own"],
    'long-mode': ['a 32-bit kernel stays in 32-bit mode; this image has a 64-bit one'],
  },
};
