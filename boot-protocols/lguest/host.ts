/**
 * What lguest's host makes of a Stop. Linux 4.13 drivers/lguest/x86/core.c (lguest_arch_handle_trap),
 * interrupts_and_traps.c, hypercalls.c, tools/lguest/lguest.c (emulate_insn).
 */
import type { Stop } from '../../emulator/stop.ts';
import type { Reaction } from '../protocol.ts';
import {
  type AdviceTable,
  isVmCall,
  KEEP_SEGMENTS,
  moreMemory,
  PRIVILEGED,
  type ReactionTable,
  sameFor,
  spellException,
} from '../reactions.ts';
import { LGUEST_INIT, LGUEST_TRAP_ENTRY, lguestHypercallName, lguestImplements } from './hypercalls.ts';

const EMULATE_INSN = 'Linux 4.13 tools/lguest/lguest.c, emulate_insn';
const HANDLE_TRAP = 'Linux 4.13 drivers/lguest/x86/core.c, lguest_arch_handle_trap';

/** No handler is set before the kernel's first LHCALL_LOAD_IDT_ENTRY. */
function reflected(stop: Stop): Reaction {
  const vector = stop.exception?.vector ?? 13;
  return {
    outcome: 'kills',
    sentence: `lguest does not emulate this: it hands ${spellException(stop.exception)} to the guest's own handler, and before the guest has set one the host kills it ("unhandled trap ${vector}").`,
    citation: HANDLE_TRAP,
  };
}

/** emulate_insn only looks at code of ring 1. */
const emulated =
  (reaction: Reaction) =>
  (stop: Stop): Reaction =>
    stop.cpu.cpl === 1 ? reaction : reflected(stop);

const PORT_READ: Reaction = {
  outcome: 'emulates',
  sentence:
    'lguest emulates in: a port that is not there reads as all ones, and the guest goes on (the launcher answers port 0x64 and PCI configuration).',
  citation: EMULATE_INSN,
};

const PORT_WRITE: Reaction = {
  outcome: 'emulates',
  sentence: 'lguest emulates out: outside PCI configuration the write is dropped, and the guest goes on.',
  citation: EMULATE_INSN,
};

const SKIPPED: Reaction = {
  outcome: 'skips',
  sentence:
    'lguest skips cli since Linux 2.6.34 (commit 5094aeafbbd) and the guest goes on; an older host kills it.',
  citation: EMULATE_INSN,
};

const DROPPED: Reaction = {
  outcome: 'nothing',
  sentence:
    "The CPU goes on without a fault and without the change: lguest never hears of it. The real IF stays 1; lguest keeps the guest's own in lguest_data.irq_enabled.",
  citation: 'SDM vol. 2, POPF and IRET; Linux 4.13 include/linux/lguest.h',
};

const NO_FLAT: Reaction = {
  outcome: 'kills',
  sentence:
    'The guest takes a general-protection fault from a segment as the host set it up: lguest hands #GP to the guest\'s own handler, and before the guest has set one the host kills it ("unhandled trap 13").',
  citation: HANDLE_TRAP,
};

/** As a hypercall vmcall had four releases. */
const invalidOpcode = (stop: Stop): Reaction =>
  isVmCall(stop)
    ? {
        outcome: 'kills',
        sentence:
          'lguest of Linux 4.13 takes hypercalls by int $0x1f and hands this #UD to the guest\'s own handler; before the guest has set one the host kills it ("unhandled trap 6"). Only hosts of Linux 2.6.30 to 2.6.33 rewrite vmcall as int $0x1f.',
        citation: HANDLE_TRAP,
      }
    : reflected(stop);

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
    ...sameFor(PRIVILEGED, reflected),
    cli: emulated(SKIPPED),
    in: emulated(PORT_READ),
    out: emulated(PORT_WRITE),
    // emulate_insn knows neither: only cli, in and out.
    ...sameFor(['sti', 'ins', 'outs'], reflected),
    popf: DROPPED,
    iret: DROPPED,
  },
  kinds: {
    'segment-access': NO_FLAT,
    'page-fault': {
      outcome: 'kills',
      sentence:
        "Before the guest's first LHCALL_NEW_PGTABLE lguest maps all guest memory 1:1 on demand; an address beyond it kills the guest.",
      citation: 'Linux 4.13 drivers/lguest/page_tables.c',
    },
    'software-interrupt': {
      outcome: 'kills',
      sentence:
        "The gate is not open to ring 1: the CPU raises #GP with the vector in its error code, and lguest hands that to the guest's handler for vector 13; without one the host kills the guest.",
      citation: 'Linux 4.13 drivers/lguest/interrupts_and_traps.c',
    },
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
