/** `startup32 state IMAGE --as PROTOCOL`: the EntryState before anything runs. No engine is loaded. */
import { stateReport } from '../../report/state/json.ts';
import { stateText } from '../../report/state/text.ts';
import { UsageError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { type Io, jsonText } from '../io.ts';
import { chosenProtocol, readKernel, readKnobs } from '../start.ts';
import { orSayWhoCan } from '../who-can.ts';
import type { StateFlags } from './state-flags.ts';

export async function state(path: string | undefined, flags: StateFlags, io: Io): Promise<number> {
  if (flags.diff !== undefined) {
    const { stateDiff } = await import('./state-diff.ts');
    return await stateDiff(path, flags, flags.diff, io);
  }
  if (path === undefined) throw new UsageError('missing-argument', "missing required argument 'image'");
  const protocol = chosenProtocol(flags.as);
  const image = await readKernel(path, flags, io, protocol, flags.memory);
  const knobs = await readKnobs(flags);
  const entry = await orSayWhoCan({ path, image, protocol }, () => protocol.entryState(image, knobs));
  if (flags.write !== undefined) {
    const { writeRegions } = await import('./state-files.ts');
    await writeRegions(flags.write, entry);
  }
  const report = stateReport(entry, image);
  const { all = false } = flags;
  io.stdout.write(flags.format === 'json' ? jsonText(report) : stateText(report, { color: io.color, all }));
  return EXIT.STOPPED;
}
