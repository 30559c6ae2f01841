/** The bytes from a Stop's instruction on. */
import type { Stop } from '../../emulator/stop.ts';

/**
 * From the code window: of what is no instruction to the CPU – MOV to TRn is one no longer – a Stop has the first byte
 * alone.
 */
export function instructionBytes({ instruction, code }: Stop): Uint8Array {
  if (!instruction) return new Uint8Array(0);
  const { address, bytes } = instruction;
  const window = code.bytes.subarray((address - code.blockStart) >>> 0);
  const holds = window.length >= bytes.length && bytes.every((byte, i) => window[i] === byte);
  return holds ? window : bytes;
}
