import { createHash } from 'node:crypto';

/** Bytes hashed between two reports. */
const CHUNK = 16 * 1024 * 1024;

/** Lower-case hex. The one place that asks the host for a hash, so that a browser build replaces one file. */
export function sha256(bytes: Uint8Array, onProgress?: (done: number, total: number) => void): string {
  const hash = createHash('sha256');
  for (let done = 0; done < bytes.length; done += CHUNK) {
    hash.update(bytes.subarray(done, done + CHUNK));
    onProgress?.(Math.min(done + CHUNK, bytes.length), bytes.length);
  }
  return hash.digest('hex');
}
