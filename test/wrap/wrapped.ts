/** Kernels to wrap, and what becomes of them when their bzImage is started. */
import { findProtocol } from '../../boot-protocols/index.ts';
import type { BootOptions, ProtocolName } from '../../boot-protocols/protocol.ts';
import { Machine } from '../../emulator/machine.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { readKernelImage } from '../../src/kernel-image/index.ts';
import { buildElf, type SegmentSpec } from '../support/elf-builder.ts';

/** Where {@link kernelWith} has its entry; above 1 MiB, where the stub itself is loaded. */
export const ENTRY = 0x200000;

/** A kernel that is `hlt` at ENTRY, and the given segments. */
export const kernelWith = (...segments: readonly SegmentSpec[]): Uint8Array =>
  buildElf({
    entry: ENTRY,
    segments: [{ physical: ENTRY, contents: Uint8Array.of(0xf4, 0xf4, 0xf4, 0xf4) }, ...segments],
  });

export interface Started {
  readonly stop: Stop;
  readonly serial: string;
  /** Physical memory after the run. */
  memory(address: number, size: number): Uint8Array;
}

/** Runs a bzImage and hands the machine to `look` before it is closed. */
export function start<T>(
  library: UnicornLibrary,
  image: Uint8Array,
  as: ProtocolName,
  knobs: BootOptions,
  until: number | undefined,
  look: (started: Started) => T,
): T {
  const kernel = readKernelImage(image, { name: 'wrapped' });
  let serial = '';
  const machine = Machine.open(library, findProtocol(as).entryState(kernel, knobs), {
    onSerial: bytes => {
      serial += Buffer.from(bytes).toString('latin1');
    },
  });
  try {
    const stop = machine.run({
      instructions: Number.POSITIVE_INFINITY,
      ...(until !== undefined && { until }),
    });
    return look({
      stop,
      serial,
      memory: (address, size) => machine.readMemory(address, size) ?? new Uint8Array(0),
    });
  } finally {
    machine.close();
  }
}

/** Bytes that look random, always the same: xorshift32 (Marsaglia, 2003). */
export function noise(size: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length: size }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 0xff;
  });
}
