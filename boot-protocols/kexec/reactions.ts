/** What is under a kernel that kexec started: nothing but the CPU, or the hypervisor of the Linux that did it. */
import type { Stop } from '../../emulator/stop.ts';
import type { AdviceTable, Hint } from '../advice.ts';
import { PC_ADVICE, PC_REACTIONS } from '../pc/reactions.ts';
import type { Reaction } from '../protocol.ts';
import { deliver, type ReactionTable } from '../reactions.ts';

/** The new kernel takes the place of the old one, in whatever ring that had. */
const trapped = (stop: Stop): Reaction =>
  deliver(stop, {
    outcome: 'unknown',
    sentence: `kexec leaves the ring as it is. At CPL ${stop.cpu.cpl} a paravirtual Linux has started the next kernel, and the trap goes to the hypervisor under both, which takes it for a trap of the old one.`,
  });

/** In virtual-8086 mode both can be #GP(0); elsewhere no one hears of them. */
const flagsLost = (stop: Stop): Reaction => (stop.exception ? trapped(stop) : DROPPED);

const DROPPED: Reaction = {
  outcome: 'nothing',
  sentence:
    'The CPU goes on without a fault and without the change: no hypervisor hears of it, and the kernel believes that the flag has its value.',
  citation: 'SDM vol. 2, POPF and IRET',
};

export const KEXEC_REACTIONS: ReactionTable = {
  ...PC_REACTIONS,
  rules: { ...PC_REACTIONS.rules, popf: flagsLost, iret: flagsLost },
  otherwise: trapped,
};

const RING_0 = (stop: Stop): string | undefined =>
  stop.cpu.cpl === 0 ? undefined : '--ring 0 is where kexec starts a kernel on bare hardware';

/** The cursor registers of a VGA: what the decompressor writes to when it prints (boot/compressed/misc.c). */
const VGA_CURSOR_PORTS: readonly number[] = [0x3b4, 0x3b5, 0x3d4, 0x3d5];

const SCREEN: Hint = stop =>
  stop.kind === 'iopl-sensitive-instruction' && VGA_CURSOR_PORTS.includes(stop.port?.number ?? -1)
    ? 'kexec-tools writes a screen of 80 columns and 25 lines into screen_info, and so the decompressor prints; --as contract leaves it zero'
    : undefined;

export const KEXEC_ADVICE: AdviceTable = {
  rules: { popf: [RING_0, ...(PC_ADVICE.rules.popf ?? []).slice(1)], iret: [RING_0] },
  kinds: {
    ...PC_ADVICE.kinds,
    'privileged-instruction': [
      RING_0,
      (stop, image, entry) =>
        stop.cpu.cpl !== 0 && image.format === 'bzimage' && entry?.knobs.subarch === '0'
          ? '--subarch 1 or 2 is what kexec-tools copies from a running kernel that is an lguest or a Xen guest'
          : undefined,
    ],
    'iopl-sensitive-instruction': [SCREEN, RING_0],
    'segment-load': [RING_0, ...(PC_ADVICE.kinds['segment-load'] ?? []).slice(1)],
    'page-fault': ['--paging off is how kexec enters a kernel on bare hardware'],
  },
};
