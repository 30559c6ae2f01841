/** What the probe's environments make of a Stop: a PC, or a hypervisor of which nothing is known but that it is there. */
import type { EntryState } from '../../emulator/entry-state.ts';
import type { Stop } from '../../emulator/stop.ts';
import { type AdviceTable, type Hint, moreMemory } from '../advice.ts';
import { PC_REACTIONS } from '../pc/reactions.ts';
import type { Reaction } from '../protocol.ts';
import { deliver, isVmCall, type ReactionTable } from '../reactions.ts';

const HYPERVISOR: Reaction = {
  outcome: 'unknown',
  sentence:
    'A hypervisor owns the machine, and the probe was all that a kernel and it had in common: what it makes of a trap is its own affair.',
};

/** In ring 0 it depends on the environment who hears of an exception. */
const trapped = (stop: Stop, entry?: EntryState): Reaction =>
  entry !== undefined && entry.platform.hypervisor !== 'none' ? HYPERVISOR : deliver(stop, HYPERVISOR);

/** In virtual-8086 mode both can be #GP(0); elsewhere no one hears of them. */
const flagsLost = (stop: Stop, entry?: EntryState): Reaction =>
  stop.exception ? trapped(stop, entry) : DROPPED;

const DROPPED: Reaction = {
  outcome: 'nothing',
  sentence:
    'The CPU goes on without a fault and without the change: no hypervisor hears of it, and the kernel believes that the flag has its value.',
  citation: 'SDM vol. 2, POPF and IRET',
};

const NO_PROBE: Reaction = {
  outcome: 'kills',
  sentence: 'A kernel that no probe function took over has nowhere to go: ud2 is how it says so.',
  citation: 'Linux commit 992af68147a',
};

const invalidOpcode = (stop: Stop, entry?: EntryState): Reaction =>
  stop.instruction?.bytes[0] === 0x0f && stop.instruction.bytes[1] === 0x0b ? NO_PROBE : trapped(stop, entry);

export const STARTUP_PARAVIRT_REACTIONS: ReactionTable = {
  rules: { popf: flagsLost, iret: flagsLost },
  kinds: {
    ...PC_REACTIONS.kinds,
    'invalid-opcode': invalidOpcode,
    shutdown: { outcome: 'kills', sentence: 'The CPU stops until NMI, INIT or reset.' },
  },
  otherwise: trapped,
};

/** The native code of a kernel in an environment that is none: its probe has not seen it. */
const NOT_SEEN: Hint = (stop, _image, entry) =>
  entry !== undefined && entry.ring === 0 && entry.paging.mode !== 'off' && stop.cpu.cpl === 0
    ? 'a probe for the ring alone does not see a hypervisor that leaves its guest in ring 0; one that asks CR0.PG as well does'
    : undefined;

const NO_HYPERCALLS = '--as lguest takes int $0x1f as a hypercall, --as xen int $0x82';

const NATIVE = '--ring 0 --paging off is the native environment';

export const STARTUP_PARAVIRT_ADVICE: AdviceTable = {
  rules: {
    'mov-from-cr': [
      stop =>
        stop.cpu.cpl === 0
          ? undefined
          : 'a probe that reads CR0 has to ask for the ring first: mov from %cr0 needs ring 0; of smsw, which does not, the manual promises the low 16 bits, and PG is bit 31',
    ],
  },
  kinds: {
    'privileged-instruction': [NATIVE],
    'iopl-sensitive-instruction': [NATIVE],
    'segment-load': [NATIVE],
    'page-fault': [NOT_SEEN],
    'memory-hole': [NOT_SEEN, moreMemory('a larger --memory moves the end of RAM')],
    'invalid-opcode': [
      stop => (isVmCall(stop) ? NO_HYPERCALLS : undefined),
      '--cpu i686-hv shows the hypervisor bit in cpuid, which a probe function may look for',
    ],
    'software-interrupt': [NO_HYPERCALLS],
  },
};
