/** `startup32 run … --all-traps`: on through every trap that a host answers, and the report of all of them. */
import type { Machine, RunOptions } from '../../../emulator/machine.ts';
import type { ReportOptions } from '../../boot.ts';
import type { KernelImage } from '../../kernel-image/kernel-image.ts';
import { trapsText } from '../../report/traps/text.ts';
import { reportTraps } from '../../report-traps.ts';
import { runThroughTraps } from '../../traps.ts';
import { exitCodeOfTraps } from '../exit-codes.ts';
import { type Io, jsonText } from '../io.ts';
import type { Log } from '../log.ts';
import { ended, type Progress } from '../progress.ts';
import type { RunFlags } from './run-flags.ts';

export interface TrapsCommand {
  readonly flags: RunFlags;
  readonly runOptions: RunOptions;
  /** Of the run. */
  readonly progress: Progress;
  /** Asked for when the run is over. */
  readonly context: () => ReportOptions;
  readonly log: Log;
  readonly io: Io;
}

export async function throughTraps(
  machine: Machine,
  image: KernelImage,
  { flags, runOptions, progress, context, log, io }: TrapsCommand,
): Promise<number> {
  const { answer, era, maxTraps } = flags;
  const all = await ended(
    progress,
    runThroughTraps(machine, {
      ...runOptions,
      ...(answer !== undefined && { answer }),
      ...(era !== undefined && { era }),
      ...(maxTraps !== undefined && { traps: maxTraps }),
    }),
  );
  log.info({ host: all.host, traps: all.met, end: all.end, kind: all.stop.kind }, 'stopped');
  const result = reportTraps(machine, image, all, context());
  io.stdout.write(flags.format === 'json' ? jsonText(result) : trapsText(result, { color: io.color }));
  return exitCodeOfTraps(all);
}
