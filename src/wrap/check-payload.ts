/** Whether a payload that another tool made is the kernel. */
import { KernelImageError } from '../kernel-image/index.ts';
import { decodePayload } from '../kernel-image/payload/decode.ts';
import type { WrappedPayload } from './payload.ts';

/** @throws {KernelImageError} `payload-differs`, `corrupt-payload`, `payload-too-big` */
export async function checkPayload(payload: WrappedPayload, kernel: Uint8Array, name: string): Promise<void> {
  const { format, bytes } = payload;
  const decoded = await decodePayload(bytes, format, { name, limit: Math.max(kernel.length, 1) });
  const length = Math.min(decoded.length, kernel.length);
  let at = 0;
  while (at < length && decoded[at] === kernel[at]) at++;
  if (at === decoded.length && at === kernel.length) return;
  throw new KernelImageError(
    'payload-differs',
    `${name}: the ${format} payload decodes to ${decoded.length} bytes that differ from the kernel at offset 0x${at.toString(16)}; expected the ${kernel.length} bytes of the kernel`,
  );
}
