/** Every boot protocol, once, in the order in which they are listed. */
import { contract } from './contract/protocol.ts';
import { kexec } from './kexec/protocol.ts';
import type { KnobbedProtocol } from './knobs.ts';
import { lguest } from './lguest/protocol.ts';
import { multiboot } from './multiboot/protocol.ts';
import { pc } from './pc/protocol.ts';
import { ProtocolError } from './protocol.ts';
import { pvh } from './pvh/protocol.ts';
import { startupParavirt } from './startup-paravirt/protocol.ts';
import { didYouMean } from './suggest.ts';
import { vmi } from './vmi/protocol.ts';
import { xen } from './xen/protocol.ts';
import { xenStartup32 } from './xen-startup32/protocol.ts';
import { xenSupervisor } from './xen-supervisor/protocol.ts';

export { describeKnobs, type KnobbedProtocol, type KnobDefaults, type KnobDescription } from './knobs.ts';
export * from './protocol.ts';

export const PROTOCOLS: readonly KnobbedProtocol[] = [
  pc,
  kexec,
  lguest,
  xen,
  xenStartup32,
  xenSupervisor,
  startupParavirt,
  vmi,
  pvh,
  multiboot,
  contract,
];

/**
 * @param name as in `--as`
 * @throws {ProtocolError} (usage) `unknown-protocol`, naming those that exist and the nearest
 */
export function findProtocol(name: string): KnobbedProtocol {
  const found = PROTOCOLS.find(protocol => protocol.name === name);
  if (found) return found;
  const names = PROTOCOLS.map(protocol => protocol.name);
  throw new ProtocolError(
    'unknown-protocol',
    `there is no protocol "${name}"; expected ${names.join(', ')}${didYouMean(name, names)}`,
    true,
  );
}
