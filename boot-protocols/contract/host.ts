/** What the owner of ring 0 makes of a Stop under `contract`: the contract names none, so only what the CPU does is known. */
import type { Stop } from '../../emulator/stop.ts';
import type { Reaction } from '../protocol.ts';
import { type AdviceTable, deliver, isVmCall, type ReactionTable } from '../reactions.ts';

const trapped = (stop: Stop): Reaction =>
  deliver(stop, {
    outcome: 'unknown',
    sentence:
      'The contract names no hypervisor: a trap-and-emulate monitor may emulate this, and a monitor that counts on the contract may kill the kernel. A kernel that keeps to the contract does not get here.',
  });

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

export const CONTRACT_REACTIONS: ReactionTable = {
  rules: { popf: DROPPED, iret: DROPPED },
  kinds: {
    'segment-load': {
      outcome: 'unknown',
      sentence:
        'The contract promises segments that are loaded, and no table to load them from again: KEEP_SEGMENTS asks the kernel not to try.',
      citation: 'Linux Documentation/x86/boot.rst, loadflags bit 6 (protocol 2.07)',
    },
    'segment-access': {
      outcome: 'unknown',
      sentence: 'The contract promises CS, DS, ES and SS; FS and GS hold nothing that can be used.',
      citation: 'Linux Documentation/x86/boot.rst, 32-bit boot protocol',
    },
    'page-fault': NOT_MAPPED,
    'memory-hole': NOT_MAPPED,
    'loader-memory': {
      outcome: 'unknown',
      sentence: 'The loader’s own tables are no part of what it hands to the kernel.',
    },
    halt: { outcome: 'nothing', sentence: 'The CPU waits for an interrupt; no device here raises one.' },
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
    cli: ['--keep-segments 1 makes Linux 2.6.24 to 5.6 leave out cli and the segment loads'],
    popf: ['a paravirtual kernel keeps its interrupt flag in memory that it shares with its hypervisor'],
  },
  kinds: {
    'privileged-instruction': [
      '--subarch 1 (lguest) or 2 (Xen) asks a kernel of Linux 2.6.24 to 5.8 for its paravirtual entry before this',
      '--ring 0 shows whether the rest of the entry works',
    ],
    'iopl-sensitive-instruction': ['--ring 0 shows whether the rest of the entry works'],
    'segment-load': [
      '--gdt flat puts a GDT there with 0x10 and 0x18',
      '--keep-segments 1 asks the kernel to keep its segments',
    ],
    'segment-access': ['load FS and GS only after the kernel has a GDT of its own'],
    'page-fault': [
      '--paging off enters the kernel without page tables',
      'near shows which mapped range the address is next to',
    ],
    'memory-hole': ['a larger --memory moves the end of RAM'],
    'invalid-opcode': [stop => (isVmCall(stop) ? NO_HYPERCALLS : undefined)],
    'software-interrupt': [NO_HYPERCALLS],
  },
};
