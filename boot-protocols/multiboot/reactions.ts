/** What a PC makes of a Multiboot kernel's Stop: as of any kernel's, and the loader is gone. */
import { type AdviceTable, FLAT_GDT, moreMemory } from '../advice.ts';
import { PC_REACTIONS } from '../pc/reactions.ts';
import { isVmCall, type ReactionTable } from '../reactions.ts';

export const MULTIBOOT_REACTIONS: ReactionTable = {
  ...PC_REACTIONS,
  kinds: {
    ...PC_REACTIONS.kinds,
    'segment-load': {
      outcome: 'unknown',
      sentence:
        'The specification leaves GDTR invalid: an OS image must not load a segment register, not even with the selector it has, before it has set up its own GDT.',
      citation: 'Multiboot Specification 0.6.96, 3.2',
    },
  },
};

const NO_HYPERCALLS = '--as lguest takes int $0x1f as a hypercall, --as xen int $0x82';

export const MULTIBOOT_ADVICE: AdviceTable = {
  rules: {},
  kinds: {
    'invalid-opcode': [stop => (isVmCall(stop) ? NO_HYPERCALLS : undefined)],
    'segment-load': [FLAT_GDT, 'a Multiboot kernel sets up its own GDT before it loads a segment register'],
    'memory-hole': [moreMemory('a larger --memory moves the end of RAM')],
    halt: ['the trail shows what came before the hlt'],
    'long-mode': ['a 32-bit kernel stays in 32-bit mode; this image has a 64-bit one'],
  },
};
