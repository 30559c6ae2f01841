/** One run of a real image: image, protocol, machine, Stop; with what came out of the serial port. */
import { findProtocol } from '../../boot-protocols/index.ts';
import type { BootOptions } from '../../boot-protocols/protocol.ts';
import type { EntryState } from '../../emulator/entry-state.ts';
import { Machine, type RunOptions } from '../../emulator/machine.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';

export interface RealRun {
  readonly entry: EntryState;
  readonly stop: Stop;
  readonly serial: string;
}

export function runImage(
  library: UnicornLibrary,
  image: KernelImage,
  protocol: string,
  options: BootOptions = {},
  runOptions: RunOptions = {},
): RealRun {
  const entry = protocolNamed(protocol).entryState(image, options);
  let serial = '';
  const machine = Machine.open(library, entry, {
    onSerial: bytes => {
      serial += Buffer.from(bytes).toString('latin1');
    },
  });
  try {
    return { entry, stop: machine.run(runOptions), serial };
  } finally {
    machine.close();
  }
}

export function protocolNamed(name: string) {
  const protocol = findProtocol(name);
  if (protocol === undefined) throw new Error(`no boot protocol is named ${name}`);
  return protocol;
}

/** The bytes of an image's segments at a physical address. */
export function imageBytes(image: KernelImage, physical: number, size: number): Uint8Array {
  for (const segment of image.segments) {
    const offset = physical - segment.physical;
    if (offset >= 0 && offset < segment.contents.length) return segment.contents.slice(offset, offset + size);
  }
  throw new Error(`no segment of ${image.name} holds 0x${physical.toString(16)}`);
}
