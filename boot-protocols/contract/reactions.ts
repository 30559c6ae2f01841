/** What the owner of ring 0 makes of a Stop under `contract`: the contract names none, so only what the CPU does is known. */
import type { EntryState } from '../../emulator/entry-state.ts';
import type { Stop } from '../../emulator/stop.ts';
import { type AdviceTable, FLAT_GDT, KEEP_SEGMENTS, moreMemory, noSubarchTable } from '../advice.ts';
import { linkAddress } from '../linux/link-address.ts';
import type { Reaction } from '../protocol.ts';
import { deliver, halted, hasOwnPageTables, isVmCall, type ReactionTable } from '../reactions.ts';

const trapped = (stop: Stop): Reaction =>
  deliver(stop, {
    outcome: 'unknown',
    sentence:
      'The contract names no hypervisor: a trap-and-emulate monitor may emulate this, and a monitor that counts on the contract may kill the kernel. A kernel that keeps to the contract does not get here.',
  });

/** In virtual-8086 mode both can be #GP(0); elsewhere no one hears of them. */
const flagsLost = (stop: Stop): Reaction => (stop.exception ? trapped(stop) : DROPPED);

const DROPPED: Reaction = {
  outcome: 'nothing',
  sentence:
    'The CPU goes on without a fault and without the change: no monitor can know of it, so none can repair it.',
  citation: 'SDM vol. 2, POPF and IRET',
};

const NOT_MAPPED: Reaction = {
  outcome: 'unknown',
  sentence:
    'The contract maps the kernel, boot_params, the command line and the initrd, and nothing else: whether a loader maps more is its own affair.',
};

/** With --paging the loader's own page tables refuse the access; otherwise they are the kernel's. */
const pageFault = (stop: Stop, entry?: EntryState): Reaction =>
  entry !== undefined && hasOwnPageTables(stop, entry)
    ? deliver(stop, {
        outcome: 'unknown',
        sentence:
          "The page tables are the kernel's own and do not allow this; the #PF goes to whoever owns ring 0.",
      })
    : NOT_MAPPED;

const NO_MEMORY: Reaction = {
  outcome: 'unknown',
  sentence:
    "The contract promises the RAM that boot_params lists, and nothing else: what answers at any other address is the machine's own affair.",
};

const KEPT: Reaction = {
  outcome: 'unknown',
  sentence:
    'The contract promises segments that are loaded, and no table to load them from again: KEEP_SEGMENTS asks the kernel not to try.',
  citation: 'Linux Documentation/x86/boot.rst, loadflags bit 6 (protocol 2.07)',
};

const segmentLoad = (stop: Stop): Reaction =>
  stop.kind === 'segment-load' && stop.problem === 'null'
    ? {
        outcome: 'unknown',
        sentence: 'CS and SS never take a null selector, whatever tables a loader leaves.',
        citation: 'SDM vol. 3, 3.4.2',
      }
    : KEPT;

export const CONTRACT_REACTIONS: ReactionTable = {
  rules: { popf: flagsLost, iret: flagsLost },
  kinds: {
    'segment-load': segmentLoad,
    'segment-access': {
      outcome: 'unknown',
      sentence: 'The contract promises CS, DS, ES and SS; FS and GS hold nothing that can be used.',
      citation: 'Linux Documentation/x86/boot.rst, 32-bit boot protocol',
    },
    'page-fault': pageFault,
    'memory-hole': NO_MEMORY,
    'loader-memory': {
      outcome: 'unknown',
      sentence: "The loader's own tables are no part of what it hands to the kernel.",
    },
    halt: halted,
    shutdown: { outcome: 'kills', sentence: 'The CPU stops until NMI, INIT or reset.' },
    'long-mode': {
      outcome: 'nothing',
      sentence: 'The kernel goes on in 64-bit code; startup32 runs 32-bit code only and ends here.',
    },
  },
  otherwise: trapped,
};

const NO_HYPERCALLS =
  'the contract has no hypercalls: --as lguest takes int $0x1f as one, --as xen int $0x82';

export const CONTRACT_ADVICE: AdviceTable = {
  rules: {
    cli: [KEEP_SEGMENTS],
    popf: ['a paravirtual kernel keeps its interrupt flag in memory that it shares with its hypervisor'],
  },
  kinds: {
    'privileged-instruction': [
      (_stop, image, entry) =>
        noSubarchTable(image) ??
        (['1', '2'].includes(entry?.knobs.subarch ?? '')
          ? undefined
          : '--subarch 1 (lguest) or 2 (Xen) asks a kernel of Linux 2.6.24 to 5.8 for its paravirtual entry before this'),
      '--ring 0 shows whether the rest of the entry works',
    ],
    'iopl-sensitive-instruction': ['--ring 0 shows whether the rest of the entry works'],
    'segment-load': [
      FLAT_GDT,
      (stop, image, entry) =>
        stop.kind === 'segment-load' && stop.problem === 'no-gdt'
          ? KEEP_SEGMENTS(stop, image, entry)
          : undefined,
    ],
    'segment-access': [
      stop =>
        stop.kind === 'segment-access' && (stop.register === 'fs' || stop.register === 'gs')
          ? 'load FS and GS only after the kernel has a GDT of its own'
          : undefined,
    ],
    'page-fault': [
      (stop, _image, entry) =>
        entry && hasOwnPageTables(stop, entry)
          ? undefined
          : '--paging off enters the kernel without page tables',
    ],
    'memory-hole': [linkAddress, moreMemory('a larger --memory moves the end of RAM')],
    'invalid-opcode': [stop => (isVmCall(stop) ? NO_HYPERCALLS : undefined)],
    'software-interrupt': [NO_HYPERCALLS],
  },
};
