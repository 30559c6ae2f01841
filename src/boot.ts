/** From an image to a machine that stands at its first instruction, and from its stop to a report. */
import { findProtocol, PROTOCOLS } from '../boot-protocols/index.ts';
import { type BootOptions, ProtocolError, type ProtocolName } from '../boot-protocols/protocol.ts';
import { Machine } from '../emulator/machine.ts';
import type { Stop } from '../emulator/stop.ts';
import type { EngineName } from '../emulator/unicorn/api.ts';
import { loadUnicorn } from '../emulator/unicorn/load.ts';
import type { KernelImage } from './kernel-image/kernel-image.ts';
import { type ReportContext, stopReport } from './report/stop/json.ts';
import type { StopReport } from './report/stop/report.ts';

export interface BootRequest extends BootOptions {
  /** Name of the boot protocol. */
  readonly as: ProtocolName;
  /** Default `auto`: the native library when there is one, else the embedded build. */
  readonly engine?: 'auto' | EngineName;
  /** Path of the native library. */
  readonly libunicorn?: string;
  /** Called with what the kernel writes to its serial port. */
  readonly onSerial?: (bytes: Uint8Array) => void;
}

/**
 * Puts a machine into the state in which a boot protocol starts the image. Close it, or use `await using`.
 *
 * @throws {ProtocolError} for an unknown protocol, a knob that does not fit, or an image that this protocol cannot start.
 * @throws {EngineError} when the engine asked for is not there.
 */
export async function boot(image: KernelImage, request: BootRequest): Promise<Machine> {
  if (typeof request.as !== 'string') {
    const names = PROTOCOLS.map(protocol => protocol.name).join(', ');
    throw new ProtocolError('unknown-protocol', `as is missing; expected one of ${names}`, true);
  }
  const { as, engine, libunicorn, onSerial, ...knobs } = request;
  const entry = findProtocol(as).entryState(image, knobs);
  const library = await loadUnicorn({
    ...(engine !== undefined && { engine }),
    ...(libunicorn !== undefined && { libunicorn }),
  });
  return Machine.open(library, entry, onSerial ? { onSerial } : {});
}

/** What a report can be given besides what the machine and the image say. */
export type ReportOptions = Pick<ReportContext, 'syntax' | 'command' | 'serial' | 'traceHash' | 'payload'>;

/** What the report of a machine that was booted from `image` is made from. */
export const contextOf = (
  { entry, engine }: Pick<Machine, 'entry' | 'engine'>,
  image: KernelImage,
  options: ReportOptions,
): ReportContext => ({ entry, engine, image, protocol: findProtocol(entry.protocol), ...options });

/**
 * The report of a stop of `machine`, as plain JSON (`startup32/stop@1`). `textReport` renders it.
 *
 * @param image the one that the machine was booted from.
 */
export function report(
  machine: Pick<Machine, 'entry' | 'engine'>,
  image: KernelImage,
  stop: Stop,
  options: ReportOptions = {},
): StopReport {
  return stopReport(stop, contextOf(machine, image, options));
}
