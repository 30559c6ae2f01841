/**
 * `xen`: a 32-bit PAE paravirtual domain: a domU as libxc builds it, or with --privileged dom0 as Xen itself does.
 * docs/protocols/xen.md.
 */
import { advise } from '../advice.ts';
import type { KnobbedProtocol } from '../knobs.ts';
import { react } from '../reactions.ts';
import { tryStart } from '../startable.ts';
import type { DomainBuilder } from './builder.ts';
import { domainEntry } from './domain.ts';
import { xenHypercallName } from './hypercalls.ts';
import { checkGuest } from './image.ts';
import { XEN_ADVICE, XEN_REACTIONS } from './reactions.ts';

/** With the knobs' own values. */
const DOM_U: DomainBuilder = { domain: 'domU', host: 64, supervisor: false };

const entryState: KnobbedProtocol['entryState'] = (image, options) =>
  domainEntry({
    protocol: xen,
    image,
    options,
    builder: ({ privileged, xenHost }) => ({
      domain: privileged ? 'dom0' : 'domU',
      host: xenHost,
      supervisor: false,
    }),
  });

export const xen: KnobbedProtocol = {
  name: 'xen',
  summary: 'a Xen domain builder: 32-bit PAE PV guest by its ELF notes, ring 1, %esi = start_info',
  page: 'protocols/xen.md',
  knobs: ['memory', 'cmdline', 'initrd', 'ring', 'gdt', 'poison', 'cpu', 'xenHost', 'privileged'],
  unpacks: true,
  defaults: {
    ring: 1,
    paging: 'pae',
    gdt: 'flat',
    keepSegments: false,
    subarch: 0,
    cpu: 'i686-hv',
    xenHost: 64,
  },
  canStart: image => {
    const startable = checkGuest(image, DOM_U);
    return startable.ok ? tryStart(image, entryState) : startable;
  },
  entryState,
  reaction: (stop, entry) => react(XEN_REACTIONS, stop, entry),
  advice: (stop, image, entry) => advise(XEN_ADVICE, stop, image, entry),
  hypercallName: xenHypercallName,
};
