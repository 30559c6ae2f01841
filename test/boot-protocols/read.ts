/** Reading an entry state in tests: the bytes of its regions by physical address. */
import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import { ProtocolError } from '../../boot-protocols/protocol.ts';
import type { EntryState, MemoryRegion } from '../../emulator/entry-state.ts';

export function regionNamed(entry: EntryState, name: string): MemoryRegion {
  const found = entry.regions.find(region => region.name === name);
  if (!found) throw new Error(`no region ${name}: ${entry.regions.map(region => region.name).join(', ')}`);
  return found;
}

/** A defined region's bytes in full. */
export function bytesOf(entry: EntryState, name: string): Uint8Array {
  const region = regionNamed(entry, name);
  const bytes = new Uint8Array(region.size);
  if (region.contents) bytes.set(region.contents);
  return bytes;
}

export const viewOf = (entry: EntryState, name: string): DataView =>
  new DataView(bytesOf(entry, name).buffer);

export function readPhysical32(entry: EntryState): (physical: number) => number | undefined {
  const views = entry.regions.map(region => ({
    start: region.start,
    size: region.size,
    view:
      region.contents &&
      new DataView(region.contents.buffer, region.contents.byteOffset, region.contents.byteLength),
  }));
  return physical => {
    const home = views.find(region => region.start <= physical && physical + 4 <= region.start + region.size);
    if (!home) return undefined;
    const offset = physical - home.start;
    return home.view && offset + 4 <= home.view.byteLength ? home.view.getUint32(offset, true) : 0;
  };
}

/** Runs something that must throw a ProtocolError. */
export function protocolError(run: () => unknown): ProtocolError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError);
    if (error instanceof ProtocolError) return error;
  }
  throw new Error('no ProtocolError was thrown');
}

export const general = (entry: EntryState): Record<string, string> =>
  Object.fromEntries(
    Object.entries(entry.registers).map(([name, { value, promised }]) => [
      name,
      `${value.toString(16)}${promised ? '' : ' unspecified'}`,
    ]),
  );

/** `61` for a selector; `- ` for one that is not promised. */
export const selectors = (entry: EntryState): Record<string, string> =>
  Object.fromEntries(
    Object.entries(entry.segments).map(([name, { selector, promised }]) => [
      name,
      `${selector.toString(16)}${promised ? '' : ' unspecified'}`,
    ]),
  );

/** Everything in an entry state as text, to compare two; contents by their hash. */
export const fingerprint = (entry: EntryState): string =>
  JSON.stringify(entry, (_, value: unknown) =>
    value instanceof Uint8Array ? createHash('sha256').update(value).digest('hex') : value,
  );
