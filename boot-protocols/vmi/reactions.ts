/** What a VMI hypervisor makes of a Stop: until vmi_init it is a PC by trap and emulation, and then it is called. */
import type { Stop } from '../../emulator/stop.ts';
import type { AdviceTable } from '../advice.ts';
import { PC_ADVICE, PC_REACTIONS } from '../pc/reactions.ts';
import type { Reaction } from '../protocol.ts';
import type { ReactionTable } from '../reactions.ts';
import { VMI_INIT, vmiCallName } from './calls.ts';

const ACTIVATE = 'Linux 2.6.24 arch/x86/kernel/vmi_32.c, activate_vmi';

function romCall(stop: Stop): Reaction {
  if (stop.kind !== 'hypercall' || stop.via !== 'rom') {
    return {
      outcome: 'unknown',
      sentence: 'VMI has no hypercall but the calls of its ROM.',
      citation: ACTIVATE,
    };
  }
  if (stop.number === VMI_INIT) {
    return {
      outcome: 'handles',
      sentence:
        'vmi_init returns 0 in EAX, and from then on the kernel is paravirtual; with anything else it stays native. The ring that it is in afterwards is in CS: Linux reads it there.',
      citation: ACTIVATE,
    };
  }
  const asked = vmiCallName(stop.arguments[0]?.value ?? 0);
  return {
    outcome: 'handles',
    sentence: `get_reloc returns 64 bits in EDX:EAX: an address, and in EDX whether to call it (1), to jump to it (2), to leave the call out (3) or to do as on a PC (0)${asked === undefined ? '; what has no number in vmi.h gets 0' : ''}.`,
    citation: 'Linux 2.6.24 include/asm-x86/vmi.h, struct vmi_relocation_info',
  };
}

export const VMI_REACTIONS: ReactionTable = {
  ...PC_REACTIONS,
  kinds: { ...PC_REACTIONS.kinds, hypercall: romCall },
};

export const VMI_ADVICE: AdviceTable = {
  ...PC_ADVICE,
  kinds: {
    ...PC_ADVICE.kinds,
    hypercall: ['the run ends at the first call of the ROM; --until goes to an address before it'],
  },
};
