/** What Xen makes of a Stop of a kernel that it has entered at startup_32: what it makes of any paravirtual guest's. */
import type { Stop } from '../../emulator/stop.ts';
import { type AdviceTable, KEEP_SEGMENTS, noSubarchTable } from '../advice.ts';
import type { ReactionTable } from '../reactions.ts';
import { XEN_ADVICE, XEN_REACTIONS } from '../xen/reactions.ts';

export const STARTUP32_REACTIONS: ReactionTable = {
  ...XEN_REACTIONS,
  kinds: {
    ...XEN_REACTIONS.kinds,
    'page-fault': {
      outcome: 'kills',
      sentence:
        "Xen maps the domain's memory 1:1, its page tables read-only, and nothing more; it reflects #PF into the guest, and a guest that has not called set_trap_table crashes.",
      citation: 'Xen 4.14 xen/arch/x86/pv/traps.c',
    },
  },
};

/** Linux 2.6.24 to 5.8 arch/x86/kernel/head_32.S: the jump table has xen_entry, a weak symbol at `ud2`. */
const XEN_ENTRY =
  'hardware_subarch 2 is xen_entry in Linux 2.6.24 to 4.13, which nothing ever defined: it is ud2';

const isUd2 = ({ instruction }: Stop): boolean =>
  instruction?.bytes[0] === 0x0f && instruction.bytes[1] === 0x0b;

export const STARTUP32_ADVICE: AdviceTable = {
  rules: {
    ...XEN_ADVICE.rules,
    cli: [KEEP_SEGMENTS, ...(XEN_ADVICE.rules.cli ?? [])],
    lgdt: [KEEP_SEGMENTS, ...(XEN_ADVICE.rules.lgdt ?? [])],
  },
  kinds: {
    ...XEN_ADVICE.kinds,
    'segment-load': [KEEP_SEGMENTS, ...(XEN_ADVICE.kinds['segment-load'] ?? [])],
    'privileged-instruction': [(_stop, image) => noSubarchTable(image)],
    'invalid-opcode': [
      (stop, _image, entry) => (isUd2(stop) && entry?.knobs.subarch === '2' ? XEN_ENTRY : undefined),
    ],
  },
};
