/**
 * `vmi`: VMware's paravirtual interface, in Linux 2.6.21 to 2.6.36. A kernel boots as on a PC, under full
 * virtualization, and finds the hypervisor's option ROM in setup_arch.
 */
import type { EntryState } from '../../emulator/entry-state.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { advise } from '../advice.ts';
import { type KnobbedProtocol, settleKnobs, startedBy } from '../knobs.ts';
import { pc } from '../pc/protocol.ts';
import type { BootOptions } from '../protocol.ts';
import { react } from '../reactions.ts';
import { tryStart } from '../startable.ts';
import { romCallName } from './calls.ts';
import { VMI_ADVICE, VMI_REACTIONS } from './reactions.ts';
import { romStructures, SERVICE_ENTRIES, withVmiRom } from './rom.ts';

function entryState(image: KernelImage, options: BootOptions): EntryState {
  const knobs = settleKnobs(vmi, options, image);
  const native = pc.entryState(image, { ...options, cpu: knobs.cpu });
  return {
    ...native,
    ...startedBy(vmi, knobs),
    regions: withVmiRom(native.regions),
    structures: [...native.structures, ...romStructures()],
    platform: { ...native.platform, serviceEntries: SERVICE_ENTRIES },
  };
}

export const vmi: KnobbedProtocol = {
  name: 'vmi',
  summary: "VMware's VMI: as on a PC, with the hypervisor's option ROM",
  page: 'protocols/vmi.md',
  knobs: pc.knobs,
  unpacks: false,
  defaults: { ...pc.defaults, cpu: 'i686-hv' },
  canStart: image => tryStart(image, entryState),
  entryState,
  reaction: (stop, entry) => react(VMI_REACTIONS, stop, entry),
  advice: (stop, image, entry) => advise(VMI_ADVICE, stop, image, entry),
  hypercallName: (number, call) => romCallName(number, call?.arguments?.[0]?.value),
};
