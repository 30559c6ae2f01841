/**
 * What lguest's host makes of a Stop. Linux 4.13 drivers/lguest/x86/core.c (lguest_arch_handle_trap),
 * interrupts_and_traps.c, hypercalls.c, tools/lguest/lguest.c (emulate_insn).
 */
import type { Stop } from '../../emulator/stop.ts';
import { type AdviceTable, KEEP_SEGMENTS, moreMemory } from '../advice.ts';
import { hostAnswer } from '../hosts/index.ts';
import { LGUEST_GATE_CLOSED } from '../hosts/lguest/rules.ts';
import type { Reaction } from '../protocol.ts';
import { isVmCall, type ReactionTable, reactionOf, reflectedBy, rulesOf } from '../reactions.ts';
import { LGUEST_INIT, LGUEST_TRAP_ENTRY, lguestHypercallName, lguestImplements } from './hypercalls.ts';

const HANDLE_TRAP = 'Linux 4.13 drivers/lguest/x86/core.c, lguest_arch_handle_trap';

const reflected = reflectedBy('lguest');

/** emulate_insn only looks at code of ring 1. */
const emulated =
  (rule: string) =>
  (stop: Stop): Reaction =>
    stop.cpu.cpl === 1 ? reactionOf(hostAnswer('lguest', rule)) : reflected(stop);

const NO_FLAT: Reaction = {
  outcome: 'kills',
  sentence:
    'The guest takes a general-protection fault from a segment as the host set it up: lguest hands #GP to the guest\'s own handler, and before the guest has set one the host kills it ("unhandled trap 13").',
  citation: HANDLE_TRAP,
};

const invalidOpcode = (stop: Stop): Reaction =>
  isVmCall(stop) ? reactionOf(hostAnswer('lguest', 'vmcall')) : reflected(stop);

function hypercall(stop: Stop): Reaction {
  if (stop.kind !== 'hypercall') return reflected(stop);
  if (stop.vector !== LGUEST_TRAP_ENTRY) return reflected(stop);
  const name = lguestHypercallName(stop.number) ?? `number ${stop.number}`;
  if (!lguestImplements(stop.number)) {
    return {
      outcome: 'kills',
      sentence: `lguest of Linux 4.13 has no hypercall ${name} and kills the guest.`,
      citation: 'Linux 4.13 drivers/lguest/hypercalls.c',
    };
  }
  return {
    outcome: 'handles',
    sentence:
      stop.number === LGUEST_INIT
        ? `lguest handles ${name}: the first hypercall of every guest, with the physical address of its lguest_data.`
        : `lguest handles ${name}, provided that LHCALL_LGUEST_INIT came before it.`,
    citation: 'Linux 4.13 drivers/lguest/hypercalls.c',
  };
}

export const LGUEST_REACTIONS: ReactionTable = {
  rules: {
    ...rulesOf('lguest'),
    cli: emulated('cli'),
    in: emulated('in'),
    out: emulated('out'),
  },
  kinds: {
    'segment-access': NO_FLAT,
    'page-fault': {
      outcome: 'kills',
      sentence:
        "Before the guest's first LHCALL_NEW_PGTABLE lguest maps all guest memory 1:1 on demand; an address beyond it kills the guest.",
      citation: 'Linux 4.13 drivers/lguest/page_tables.c',
    },
    'software-interrupt': reactionOf(LGUEST_GATE_CLOSED),
    'invalid-opcode': invalidOpcode,
    hypercall,
    halt: {
      outcome: 'nothing',
      sentence:
        'At CPL 0 the CPU waits for an interrupt. lguest itself runs a guest in ring 1, where hlt is #GP(0), and the guest asks for LHCALL_HALT.',
    },
    shutdown: {
      outcome: 'kills',
      sentence:
        'A guest of lguest cannot shut the CPU down: its host kills it at the first trap without a handler.',
    },
    'memory-hole': {
      outcome: 'kills',
      sentence: "The address is beyond the guest's memory: the host kills the guest.",
      citation: 'Linux 4.13 drivers/lguest/page_tables.c',
    },
    'loader-memory': {
      outcome: 'kills',
      sentence:
        "The host's GDT and shadow page tables are not in guest memory: under lguest the guest cannot reach them and is killed.",
      citation: 'Linux 4.13 drivers/lguest/page_tables.c',
    },
    'long-mode': { outcome: 'kills', sentence: 'lguest has 32-bit guests only.' },
  },
  otherwise: reflected,
};

export const LGUEST_ADVICE: AdviceTable = {
  rules: {
    cli: [
      (stop, image, entry) =>
        image.format === 'bzimage'
          ? KEEP_SEGMENTS(stop, image, entry)
          : 'a kernel for lguest tests KEEP_SEGMENTS in loadflags and hardware_subarch before it touches the CPU',
      '--as pc runs the same image in ring 0',
    ],
    popf: ['a guest of lguest turns interrupts off in lguest_data.irq_enabled, not in EFLAGS'],
    iret: ['a guest of lguest stores the IF that it wants in lguest_data.irq_enabled before iret'],
    hlt: ['a guest of lguest idles with LHCALL_HALT'],
    lgdt: [
      'a guest of lguest sets descriptors with LHCALL_LOAD_GDT_ENTRY',
      '--as pc runs the same image in ring 0',
    ],
    lidt: ['a guest of lguest sets gates with LHCALL_LOAD_IDT_ENTRY'],
    'mov-to-cr': ['a guest of lguest loads its page tables with LHCALL_NEW_PGTABLE'],
  },
  kinds: {
    'privileged-instruction': [
      'the kernel has to be built with CONFIG_LGUEST_GUEST (Linux 2.6.23 to 4.13) and to branch on hardware_subarch 1',
    ],
    'segment-load': [
      'KEEP_SEGMENTS asks the kernel to leave the segments as they are; 0x61 and 0x69 are the selectors that load here',
    ],
    'segment-access': [
      'lguest starts a kernel with FS and GS null: load them before the first %fs: or %gs: access',
    ],
    'page-fault': [moreMemory('a larger --memory moves the end of what is mapped')],
    'memory-hole': [moreMemory('a larger --memory moves the end of RAM')],
    hypercall: ['the run ends at the first hypercall; --until goes to an address before it'],
  },
};
