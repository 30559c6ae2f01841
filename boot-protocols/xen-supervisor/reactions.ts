/** What a Xen that has its kernel in ring 0 makes of a Stop. Xen 4.2 xen/arch/x86/x86_32/supervisor_mode_kernel.S. */
import type { Stop } from '../../emulator/stop.ts';
import type { AdviceTable } from '../advice.ts';
import type { Reaction } from '../protocol.ts';
import { type ReactionTable, reflectedBy, ruleOf } from '../reactions.ts';
import { XEN_ADVICE, XEN_REACTIONS } from '../xen/reactions.ts';
import { INSTEAD } from './instead.ts';

const UNHEARD: Reaction = {
  outcome: 'nothing',
  sentence:
    'No fault: in ring 0 the instruction takes effect at once, and Xen never hears of it. What it changes is what Xen itself runs with.',
  citation: 'Xen 4.2 xen/arch/x86/x86_32/supervisor_mode_kernel.S',
};

const LOST: Reaction = {
  outcome: 'nothing',
  sentence:
    'Outside ring 0 the CPU goes on without a fault and without the change, and Xen never hears of it; in ring 0 it makes the change.',
  citation: 'SDM vol. 2, POPF and IRET',
};

export const SUPERVISOR_REACTIONS: ReactionTable = {
  // No rule of the privilege table refuses anything in ring 0; popf and iret lose IF in other rings alone.
  rules: { popf: LOST, iret: LOST },
  kinds: {
    ...XEN_REACTIONS.kinds,
    sensitive: UNHEARD,
    halt: {
      outcome: 'nothing',
      sentence:
        'The CPU waits for an interrupt in the middle of dom0, and Xen goes on when one comes; but Xen takes the domain to be running all the time.',
    },
    shutdown: {
      outcome: 'kills',
      sentence: 'In ring 0 a triple fault is that of the machine: it resets, and Xen with it.',
      citation: 'SDM vol. 3, 6.15',
    },
    'long-mode': {
      outcome: 'kills',
      sentence: 'Nothing refuses it in ring 0, and a 32-bit Xen does not survive it.',
    },
  },
  otherwise: reflectedBy('xen'),
};

function insteadHint(stop: Stop): string | undefined {
  const rule = stop.kind === 'halt' ? 'hlt' : ruleOf(stop);
  const instead = rule !== undefined && Object.hasOwn(INSTEAD, rule) ? INSTEAD[rule] : undefined;
  return instead && `a paravirtual kernel has another way: ${instead.by}`;
}

export const SUPERVISOR_ADVICE: AdviceTable = {
  rules: {},
  kinds: {
    ...XEN_ADVICE.kinds,
    sensitive: [insteadHint],
    halt: [insteadHint],
    'segment-load': ['0xe018 and 0xe020 are the selectors of a kernel in ring 0'],
  },
};
