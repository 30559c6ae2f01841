/** What a PC makes of a Stop: there is no one under the kernel but the CPU and the chipset. */
import type { Stop } from '../../emulator/stop.ts';
import { type AdviceTable, FLAT_GDT, KEEP_SEGMENTS, moreMemory } from '../advice.ts';
import { linkAddress } from '../linux/link-address.ts';
import type { Reaction } from '../protocol.ts';
import { deliver, halted, isVmCall, type ReactionTable } from '../reactions.ts';

/** An exception on a PC goes through the kernel's own IDT; deprivileged by --ring, it goes to whoever owns ring 0. */
const trapped = (stop: Stop): Reaction =>
  deliver(stop, {
    outcome: 'unknown',
    sentence: `A PC loader starts the kernel in ring 0, where this does not trap. At CPL ${stop.cpu.cpl} the trap goes to whoever owns ring 0: a trap-and-emulate monitor may emulate it, and nothing here says that one is there.`,
  });

/** In virtual-8086 mode both can be #GP(0); elsewhere no one hears of them. */
const flagsLost = (stop: Stop): Reaction => (stop.exception ? trapped(stop) : DROPPED);

const DROPPED: Reaction = {
  outcome: 'nothing',
  sentence:
    'The CPU goes on without a fault and without the change: no monitor hears of it, and the kernel believes that the flag has its value.',
  citation: 'SDM vol. 2, POPF and IRET',
};

export const PC_REACTIONS: ReactionTable = {
  rules: { popf: flagsLost, iret: flagsLost },
  kinds: {
    halt: halted,
    shutdown: {
      outcome: 'kills',
      sentence: "The CPU stops until NMI, INIT or reset; a PC's chipset resets the machine.",
      citation: 'SDM vol. 3, 6.15, interrupt 8',
    },
    'long-mode': {
      outcome: 'nothing',
      sentence: 'A PC goes on in 64-bit code; startup32 runs 32-bit code only and ends here.',
    },
    'memory-hole': {
      outcome: 'nothing',
      sentence:
        'Nothing answers at this address: on a PC a read gives all ones and a write goes nowhere, without a fault.',
    },
    'rom-write': { outcome: 'nothing', sentence: 'A PC drops a write to ROM without a fault.' },
  },
  otherwise: trapped,
};

const RING_0 = (stop: Stop): string | undefined =>
  stop.cpu.cpl === 0 ? undefined : '--ring 0 is where a PC loader starts a kernel';

const NO_HYPERCALLS = '--as lguest takes int $0x1f as a hypercall, --as xen int $0x82';

export const PC_ADVICE: AdviceTable = {
  rules: {
    popf: [RING_0, 'a paravirtual kernel replaces popf by a call into its hypervisor'],
    iret: [RING_0],
  },
  kinds: {
    'privileged-instruction': [
      RING_0,
      '--as lguest or --as contract starts a kernel that was told not to do this',
    ],
    'iopl-sensitive-instruction': [
      RING_0,
      (stop, image, entry) =>
        stop.cpu.cpl !== 0 && image.format === 'bzimage' ? KEEP_SEGMENTS(stop, image, entry) : undefined,
    ],
    'segment-load': [RING_0, FLAT_GDT],
    'invalid-opcode': [stop => (isVmCall(stop) ? NO_HYPERCALLS : undefined)],
    'software-interrupt': [NO_HYPERCALLS],
    'page-fault': ['--paging off is how a PC loader enters a kernel'],
    'memory-hole': [linkAddress, moreMemory('a larger --memory moves the end of RAM')],
    halt: ['the trail shows what came before the hlt; a decompressor halts after an error message'],
    'long-mode': ['a 32-bit kernel stays in 32-bit mode; this image has a 64-bit one'],
  },
};
