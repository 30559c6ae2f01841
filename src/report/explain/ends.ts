/** Stops that end a run without a trap, and the one that ends the guest. */
import { exceptionName } from '../../../boot-protocols/exceptions.ts';
import type { StopOf } from '../../../emulator/stop.ts';
import { exceptionTitle, NO_GATE } from '../exceptions.ts';
import { count, hex32, hexShort } from '../hex.ts';
import type { Explainer, Explainers, Scene } from './scene.ts';

const halt: Explainer<'halt'> = stop => ({
  title: 'halt',
  claims: stop.interruptsEnabled
    ? ['hlt waits for an interrupt, and no device here sends one', 'hlt waits for an interrupt']
    : ['hlt with interrupts off: nothing wakes this CPU again', 'hlt with interrupts off'],
  why: stop.interruptsEnabled
    ? 'HLT stops the CPU until an interrupt (SDM vol. 2, HLT). IF is set, so one would wake it; startup32 has no interrupt controller and sends none.'
    : 'HLT stops the CPU until an interrupt (SDM vol. 2, HLT). IF is clear: only an NMI, SMI or reset gets it going again. Kernels end this way on purpose.',
  details: [],
  facts: { interruptsEnabled: stop.interruptsEnabled },
});

const shutdown: Explainer<'shutdown'> = stop => {
  const first = exceptionTitle(stop.first);
  return {
    title: 'shutdown',
    claims: [
      `${first} has no handler (${NO_GATE[stop.reason]}): triple fault`,
      `${first} has no handler: triple fault`,
    ],
    why: `The CPU raises ${first}, ${exceptionName(stop.first.vector).name}, and ${NO_GATE[stop.reason]} (IDT at ${hex32(stop.cpu.idtr.base)}, limit ${hexShort(stop.cpu.idtr.limit)}). The fault on the way there becomes a double fault, that one finds no gate either, and the CPU shuts down (SDM vol. 3, 6.15, interrupt 8). A PC resets.`,
    details: [],
    facts: { first, reason: stop.reason },
  };
};

/** The stop is at the MOV to CR0 that sets PG with EFER.LME set: SDM vol. 3, 9.8.5. */
const longMode: Explainer<'long-mode'> = (stop, scene) => ({
  title: 'long mode',
  claims: [
    `${scene.instruction} turns on long mode, which startup32 does not run`,
    `${scene.instruction} turns on long mode, which is not run here`,
    'it is turned on here',
  ],
  why: `EFER.LME is set (EFER is ${hex32(stop.cpu.control.efer)}), so setting CR0.PG puts the CPU into IA-32e mode (SDM vol. 3, 9.8.5). Here the 32-bit entry of a 64-bit kernel ends; a 32-bit kernel that goes on in compatibility mode is not followed either.`,
  details: [],
  facts: {},
});

/** `nothing trapped before`, or how many traps of the run were answered. */
const before = ({ answered }: Scene): string =>
  answered === 0
    ? 'nothing trapped before'
    : `${count(answered, 'trap')} ${answered === 1 ? 'was' : 'were'} answered before`;

const reached: Explainer<'reached'> = (stop, scene) => ({
  title: 'reached',
  claims: [`${scene.instruction} is next; ${before(scene)}`, before(scene)],
  why: scene.isHandOver
    ? `The run was asked to end where the stub hands over to the kernel proper, and this is its first instruction; ${before(scene)}.`
    : `The run was asked to end before the instruction at ${hex32(stop.address)}, and it got there; ${before(scene)}.`,
  details: [],
  facts: { address: hex32(stop.address) },
});

const budget: Explainer<'budget'> = (stop, scene) => ({
  title: 'budget spent',
  claims:
    scene.answered === 0
      ? [`nothing trapped in ${count(stop.limit, 'instruction')}`]
      : [`${count(stop.limit, 'instruction')} allowed; ${before(scene)}`, before(scene)],
  why:
    scene.answered === 0
      ? `The run was allowed ${count(stop.limit, 'instruction')}, and nothing trapped in them.`
      : `The run was allowed ${count(stop.limit, 'instruction')}, and they are spent; ${before(scene)}.`,
  details: [],
  facts: { limit: stop.limit },
});

const timeout: Explainer<'timeout'> = (stop, scene) => ({
  title: 'time spent',
  claims:
    scene.answered === 0
      ? [`nothing trapped in ${stop.milliseconds} ms`]
      : [`${stop.milliseconds} ms allowed; ${before(scene)}`, before(scene)],
  why: `The run was allowed ${stop.milliseconds} ms of wall-clock time, and ${scene.answered === 0 ? 'nothing trapped in it' : `it is spent; ${before(scene)}`}. Where it ends differs from run to run; an instruction budget (-n) is exact.`,
  details: [],
  facts: { milliseconds: stop.milliseconds },
});

const interrupted: Explainer<'interrupted'> = (_stop, scene) => ({
  title: 'interrupted',
  claims: [`the run was cancelled; ${before(scene)}`, 'the run was cancelled'],
  why: `Ctrl-C, or an abort signal, ended the run. ${scene.answered === 0 ? 'The kernel itself was fine up to here.' : `In it ${before(scene)}.`}`,
  details: [],
  facts: {},
});

const ENGINE_LIMITS = {
  'paging-not-identity':
    'The kernel has page tables that map an address to another one, and this engine always goes to physical = linear. Going on would touch the wrong memory.',
  'real-mode': 'The kernel has left protected mode, and only 32-bit protected mode is run here.',
  'hardware-breakpoint':
    'The kernel arms a debug register. The engines do not raise #DB at it as a CPU does, so going on would not show what the kernel does.',
  'unexpected-error': 'The emulator reported an error that no rule of this CPU explains.',
  'no-progress': 'The emulator came back again and again without running an instruction.',
} as const satisfies Record<StopOf<'engine-limit'>['limit'], string>;

/** For a headline that has no room for more. */
const LIMITS_IN_SHORT = {
  'paging-not-identity': 'page tables that are not 1:1',
  'real-mode': 'real mode',
  'hardware-breakpoint': 'a hardware breakpoint',
  'unexpected-error': 'an unexpected error',
  'no-progress': 'no instruction gets done',
} as const satisfies Record<StopOf<'engine-limit'>['limit'], string>;

const engineLimit: Explainer<'engine-limit'> = stop => ({
  title: 'engine limit',
  claims: [
    `the emulator cannot follow the kernel: ${stop.detail}`,
    `the emulator cannot go on: ${LIMITS_IN_SHORT[stop.limit]}`,
  ],
  why: `${ENGINE_LIMITS[stop.limit]} This says nothing about the kernel.`,
  details: [stop.detail],
  facts: { limit: stop.limit },
});

export const END_EXPLAINERS: Explainers<
  'halt' | 'shutdown' | 'long-mode' | 'reached' | 'budget' | 'timeout' | 'interrupted' | 'engine-limit'
> = {
  halt,
  shutdown,
  'long-mode': longMode,
  reached,
  budget,
  timeout,
  interrupted,
  'engine-limit': engineLimit,
};
