/**
 * `xen-supervisor`: a Xen that was built with supervisor_mode_kernel=y (32-bit, up to 4.2) and has its dom0 in ring 0.
 * docs/protocols/xen-supervisor.md.
 */
import { advise } from '../advice.ts';
import type { KnobbedProtocol } from '../knobs.ts';
import { react } from '../reactions.ts';
import { tryStart } from '../startable.ts';
import type { DomainBuilder } from '../xen/builder.ts';
import { domainEntry } from '../xen/domain.ts';
import { xenHypercallName } from '../xen/hypercalls.ts';
import { checkGuest } from '../xen/image.ts';
import { INSTEAD } from './instead.ts';
import { SUPERVISOR_ADVICE, SUPERVISOR_REACTIONS } from './reactions.ts';

/** Xen 4.2 xen/common/domctl.c, XEN_DOMCTL_createdomain: such a Xen makes no domain but its dom0. */
const DOM0: DomainBuilder = { domain: 'dom0', host: 32, supervisor: true };

const entryState: KnobbedProtocol['entryState'] = (image, options) =>
  domainEntry({ protocol: xenSupervisor, image, options, builder: () => DOM0, instead: INSTEAD });

export const xenSupervisor: KnobbedProtocol = {
  name: 'xen-supervisor',
  summary: 'a Xen whose dom0 is paravirtual and in ring 0: what it should have asked Xen for is reported',
  page: 'protocols/xen-supervisor.md',
  knobs: ['memory', 'cmdline', 'initrd', 'poison', 'cpu'],
  unpacks: true,
  defaults: {
    ring: 0,
    paging: 'pae',
    gdt: 'flat',
    keepSegments: false,
    subarch: 0,
    cpu: 'i686-hv',
    xenHost: 32,
  },
  canStart: image => {
    const startable = checkGuest(image, DOM0);
    return startable.ok ? tryStart(image, entryState) : startable;
  },
  entryState,
  reaction: (stop, entry) => react(SUPERVISOR_REACTIONS, stop, entry),
  advice: (stop, image, entry) => advise(SUPERVISOR_ADVICE, stop, image, entry),
  hypercallName: xenHypercallName,
};
