/**
 * What lguest's host makes of a Stop, by the era of the entry. Linux 4.13 drivers/lguest/x86/core.c
 * (lguest_arch_handle_trap), interrupts_and_traps.c, hypercalls.c, tools/lguest/lguest.c (emulate_insn).
 */
import type { EntryState } from '../../emulator/entry-state.ts';
import type { Stop } from '../../emulator/stop.ts';
import { type AdviceTable, KEEP_SEGMENTS, moreMemory, noSubarchTable } from '../advice.ts';
import { hostAnswer } from '../hosts/index.ts';
import { LGUEST_GATE_CLOSED } from '../hosts/lguest/rules.ts';
import type { Reaction } from '../protocol.ts';
import { isVmCall, type ReactionTable, reactionOf, reflectedBy, rulesOf } from '../reactions.ts';
import { compareVersions, type InitialTables, isLguestVersion, lguestEra, NEWEST_LGUEST } from './eras.ts';
import { LGUEST_INIT, LGUEST_TRAP_ENTRY, lguestHypercall, lguestHypercallName } from './hypercalls.ts';

const HANDLE_TRAP = 'Linux 4.13 drivers/lguest/x86/core.c, lguest_arch_handle_trap';

/** The version of Linux that a kernel was started by; without an entry the newest. */
export function eraOf(entry: EntryState | undefined): string {
  const era = entry?.knobs.era ?? NEWEST_LGUEST;
  return isLguestVersion(era) ? era : NEWEST_LGUEST;
}

const reflected = reflectedBy('lguest');

/** emulate_insn only looks at code of ring 1. */
const emulated =
  (rule: string) =>
  (stop: Stop, entry?: EntryState): Reaction =>
    stop.cpu.cpl === 1 ? reactionOf(hostAnswer('lguest', rule, eraOf(entry))) : reflected(stop);

const NO_FLAT: Reaction = {
  outcome: 'kills',
  sentence:
    'The guest takes a general-protection fault from a segment as the host set it up: lguest hands #GP to the guest\'s own handler, and before the guest has set one the host kills it ("unhandled trap 13").',
  citation: HANDLE_TRAP,
};

const invalidOpcode = (stop: Stop, entry?: EntryState): Reaction =>
  isVmCall(stop) ? reactionOf(hostAnswer('lguest', 'vmcall', eraOf(entry))) : reflected(stop);

function hypercall(stop: Stop, entry?: EntryState): Reaction {
  if (stop.kind !== 'hypercall') return reflected(stop);
  if (stop.via !== 'vmcall' && stop.vector !== LGUEST_TRAP_ENTRY) return reflected(stop);
  const era = eraOf(entry);
  const citation = `Linux ${era} drivers/lguest/hypercalls.c`;
  const known = lguestHypercall(stop.number, era);
  if (known === undefined) {
    const name = lguestHypercallName(stop.number, era) ?? `number ${stop.number}`;
    return {
      outcome: 'kills',
      sentence: `lguest of Linux ${era} has no hypercall ${name} and kills the guest.`,
      citation,
    };
  }
  const rewrites = stop.via === 'vmcall' ? ' It rewrites the vmcall as int $0x1f before.' : '';
  return {
    outcome: 'handles',
    sentence:
      stop.number === LGUEST_INIT
        ? `lguest handles ${known}: the first hypercall of every guest, with the physical address of its lguest_data.${rewrites}`
        : `lguest handles ${known}, provided that LHCALL_LGUEST_INIT came before it.${rewrites}`,
    citation,
  };
}

const NO_HANDLER =
  'the host reflects vector 14 to the guest, and before the guest has set a handler it kills the guest.';

/** What an address that is not mapped comes to, by what is mapped. */
const UNMAPPED: Readonly<Record<InitialTables, string>> = {
  'page-offset': `lguest of Linux 2.6.23 maps guest memory at PAGE_OFFSET alone, by tables that its launcher has built; elsewhere ${NO_HANDLER}`,
  linear: `lguest starts a guest on tables that map all guest memory 1:1; elsewhere ${NO_HANDLER}`,
  both: `lguest starts a guest on tables that map guest memory 1:1 and at PAGE_OFFSET; elsewhere ${NO_HANDLER}`,
  none: "Before the guest's first LHCALL_NEW_PGTABLE lguest maps all guest memory 1:1 on demand; an address beyond it kills the guest.",
};

function pageFault(_stop: Stop, entry?: EntryState): Reaction {
  const era = eraOf(entry);
  return {
    outcome: 'kills',
    sentence: UNMAPPED[lguestEra(era).tables],
    citation: `Linux ${era} drivers/lguest/page_tables.c`,
  };
}

export const LGUEST_REACTIONS: ReactionTable = {
  rules: {
    ...rulesOf('lguest', eraOf),
    cli: emulated('cli'),
    in: emulated('in'),
    out: emulated('out'),
  },
  kinds: {
    'segment-access': NO_FLAT,
    'page-fault': pageFault,
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
      (stop, image, entry) => {
        if (lguestEra(eraOf(entry)).findsEntry) return undefined;
        return image.format === 'bzimage'
          ? KEEP_SEGMENTS(stop, image, entry)
          : 'a kernel for lguest tests KEEP_SEGMENTS in loadflags and hardware_subarch before it touches the CPU';
      },
      '--as pc runs the same image in ring 0',
    ],
    popf: ['a guest of lguest turns interrupts off in lguest_data.irq_enabled, not in EFLAGS'],
    iret: ['a guest of lguest stores the IF that it wants in lguest_data.irq_enabled before iret'],
    hlt: ['a guest of lguest idles with LHCALL_HALT'],
    lgdt: [
      (_stop, _image, entry) =>
        `a guest of lguest sets descriptors with ${compareVersions(eraOf(entry), '2.6.30') < 0 ? 'LHCALL_LOAD_GDT' : 'LHCALL_LOAD_GDT_ENTRY'}`,
      '--as pc runs the same image in ring 0',
    ],
    lidt: ['a guest of lguest sets gates with LHCALL_LOAD_IDT_ENTRY'],
    'mov-to-cr': ['a guest of lguest loads its page tables with LHCALL_NEW_PGTABLE'],
  },
  kinds: {
    'privileged-instruction': [
      (_stop, image) =>
        noSubarchTable(image) ??
        'the kernel has to be built with CONFIG_LGUEST_GUEST (Linux 2.6.23 to 4.13) and to branch on hardware_subarch 1',
    ],
    'segment-load': [
      'KEEP_SEGMENTS asks the kernel to leave the segments as they are; 0x61 and 0x69 are the selectors that load here',
    ],
    'segment-access': [
      'lguest starts a kernel with FS and GS null: load them before the first %fs: or %gs: access',
    ],
    'page-fault': [
      (stop, _image, entry) =>
        stop.kind === 'page-fault' &&
        lguestEra(eraOf(entry)).tables === 'page-offset' &&
        stop.address < (entry?.banks[0]?.size ?? 0)
          ? 'lguest of Linux 2.6.23 has guest memory at PAGE_OFFSET alone; --era 2.6.24 has it 1:1'
          : undefined,
      moreMemory('a larger --memory moves the end of what is mapped'),
    ],
    'memory-hole': [moreMemory('a larger --memory moves the end of RAM')],
    'invalid-opcode': [
      (stop, _image, entry) =>
        isVmCall(stop) && !lguestEra(eraOf(entry)).vmcall
          ? '--era 2.6.31 is an lguest that takes vmcall as a hypercall'
          : undefined,
    ],
    hypercall: ['the run ends at the first hypercall; --until goes to an address before it'],
  },
};
