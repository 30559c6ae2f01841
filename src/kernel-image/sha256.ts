import { createHash } from 'node:crypto';

/** Lower-case hex. The one place that asks the host for a hash, so that a browser build replaces one file. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
