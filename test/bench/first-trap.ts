/** Boot and run to the first trap in a process that has the engine and the image already. */
import { findProtocol } from '../../boot-protocols/index.ts';
import type { BootOptions } from '../../boot-protocols/protocol.ts';
import { Machine } from '../../emulator/machine.ts';
import type { EngineName, UnicornLibrary } from '../../emulator/unicorn/api.ts';
import type { Measured } from './images.ts';
import { type Row, time } from './measure.ts';

const REACH_MS: Readonly<Record<EngineName, number>> = { libunicorn: 5, 'unicorn.js': 15 };

export async function firstTrapRow(
  library: UnicornLibrary,
  measured: Measured,
  as: string,
  options: BootOptions = {},
): Promise<Row> {
  const protocol = findProtocol(as);
  if (protocol === undefined) throw new Error(`no boot protocol is named ${as}`);
  const run = () => {
    const machine = Machine.open(library, protocol.entryState(measured.image, options));
    const stop = machine.run();
    machine.close();
    return stop.kind;
  };
  const timing = (
    await time([{ name: as, run: () => void run() }], {
      iterations: 50,
      time: 1000,
      warmupIterations: 10,
    })
  ).get(as);
  if (timing === undefined) throw new Error('no timing');
  const knobs = Object.entries(options).map(([name, value]) => ` --${name} ${value}`);
  return {
    group: 'first-trap',
    image: measured.label,
    engine: library.name,
    what: `--as ${as}${knobs.join('')}: ${run()}`,
    value: timing.median,
    unit: 'ms',
    samples: timing.samples,
    reach: REACH_MS[library.name],
  };
}
