/** Every boot protocol, once, in the order in which they are listed. */
import { contract } from './contract/protocol.ts';
import type { KnobbedProtocol } from './knobs.ts';
import { lguest } from './lguest/protocol.ts';
import { pc } from './pc/protocol.ts';
import { ProtocolError } from './protocol.ts';
import { xen } from './xen/protocol.ts';

export { describeKnobs, type KnobbedProtocol, type KnobDefaults, type KnobDescription } from './knobs.ts';
export * from './protocol.ts';

export const PROTOCOLS: readonly KnobbedProtocol[] = [pc, lguest, xen, contract];

/**
 * @param name as in `--as`
 * @throws {ProtocolError} (usage) `unknown-protocol`, naming those that exist and the nearest
 */
export function findProtocol(name: string): KnobbedProtocol {
  const found = PROTOCOLS.find(protocol => protocol.name === name);
  if (found) return found;
  const names = PROTOCOLS.map(protocol => protocol.name);
  const near = nearest(name, names);
  throw new ProtocolError(
    'unknown-protocol',
    `there is no protocol "${name}"; expected ${names.join(', ')}${near === undefined ? '' : ` (did you mean ${near}?)`}`,
    true,
  );
}

/** At most this many letters apart: more is another word. */
const NEAR_ENOUGH = 3;

function nearest(name: string, names: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = NEAR_ENOUGH + 1;
  for (const candidate of names) {
    const distance = editDistance(name.toLowerCase(), candidate);
    if (distance < least && distance < candidate.length) [best, least] = [candidate, distance];
  }
  return best;
}

/** Levenshtein distance, one row at a time; a long name is cut, for nothing near is long. */
function editDistance(from: string, to: string): number {
  const a = from.slice(0, 32);
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
