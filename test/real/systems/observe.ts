/** What really happens to one image under one protocol, in the words of the table. */
import { findProtocol } from '../../../boot-protocols/index.ts';
import { ProtocolError, type ProtocolName } from '../../../boot-protocols/protocol.ts';
import { Machine } from '../../../emulator/machine.ts';
import type { UnicornLibrary } from '../../../emulator/unicorn/api.ts';
import type { KernelImage } from '../../../src/kernel-image/kernel-image.ts';
import { stopReport } from '../../../src/report/stop/json.ts';
import { type Cell, INSTRUCTIONS } from './table.ts';

/** @param image what the protocol's loader gets: of a bzImage the kernel proper where it takes that out by itself */
export function observe(library: UnicornLibrary, image: KernelImage, as: ProtocolName): Cell {
  const protocol = findProtocol(as);
  try {
    const entry = protocol.entryState(image, {});
    const machine = Machine.open(library, entry);
    try {
      const stop = machine.run({ instructions: INSTRUCTIONS });
      const report = stopReport(stop, { entry, image, protocol, engine: library });
      if (stop.kind === 'budget') return { kind: 'budget' };
      const instruction = report.code.lines.find(line => line.current)?.text.replace(/\s+/g, ' ');
      const hypercall = stop.kind === 'hypercall' ? protocol.hypercallName?.(stop.number) : undefined;
      return {
        kind: stop.kind,
        at: report.at.symbol ?? report.at.address,
        ...(instruction !== undefined && { instruction }),
        ...(hypercall !== undefined && { hypercall }),
      };
    } finally {
      machine.close();
    }
  } catch (error) {
    if (error instanceof ProtocolError) return { refused: error.code };
    throw error;
  }
}
