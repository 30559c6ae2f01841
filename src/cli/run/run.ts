/** `startup32 run IMAGE --as PROTOCOL`: to the first stop, and its report. */
import type { KnobbedProtocol } from '../../../boot-protocols/knobs.ts';
import { DEFAULT_INSTRUCTIONS, type RunOptions } from '../../../emulator/run-options.ts';
import { type BootRequest, boot, report } from '../../boot.ts';
import { textReport } from '../../report/stop/text.ts';
import { UsageError } from '../errors.ts';
import { exitCodeOf } from '../exit-codes.ts';
import { type Io, jsonText } from '../io.ts';
import { createLog } from '../log.ts';
import { ended, showProgress } from '../progress.ts';
import { chosenProtocol, readKernel, readKnobs } from '../start.ts';
import type { KnobFlags } from '../start-flags.ts';
import { orSayWhoCan } from '../who-can.ts';
import { repeatCommand } from './repeat.ts';
import type { RunFlags } from './run-flags.ts';
import { recordTrace } from './trace.ts';
import { readTarget } from './until.ts';

export async function run(path: string, flags: RunFlags, streams: Io): Promise<number> {
  const io = unmixed(streams, flags);
  const protocol = chosenProtocol(flags.as);
  checkTrapFlags(flags);
  const log = await createLog(flags.logLevel, io.stderr);
  const image = await readKernel(path, flags, io, protocol, flags.memory);
  log.info({ image: image.name, format: image.format, size: image.size }, 'image read');
  const target = await readTarget(path, flags, image, io);
  using trace = recordTrace(flags);
  const serial: Uint8Array[] = [];
  const request: BootRequest = {
    as: protocol.name,
    ...(await readKnobs(ownKnobs(flags, protocol))),
    ...(flags.engine !== undefined && { engine: flags.engine }),
    ...(flags.libunicorn !== undefined && { libunicorn: flags.libunicorn }),
    ...(flags.serial === true && {
      onSerial: (bytes: Uint8Array) => {
        serial.push(bytes.slice());
        io.stderr.write(bytes.slice());
      },
    }),
  };
  await using machine = await orSayWhoCan({ path, image, protocol }, () => boot(image, request));
  const { entry, engine } = machine;
  log.info({ protocol: entry.protocol, knobs: entry.knobs, engine }, 'machine ready');
  const progress = showProgress(io, `running ${path}`, 'instructions');
  const ends = target.options(entry);
  const budget = flags.instructions ?? ends.instructions ?? DEFAULT_INSTRUCTIONS;
  const runOptions: RunOptions = {
    ...ends,
    ...(flags.allTraps === true && { count: 'auto' }),
    ...(flags.stopOn !== undefined && { stopOn: flags.stopOn }),
    ...(flags.instructions !== undefined && { instructions: flags.instructions }),
    ...(flags.timeout !== undefined && { timeout: flags.timeout }),
    ...(trace.sink && { trace: trace.sink }),
    ...(io.signal && { signal: io.signal }),
    ...(io.progress && { onProgress: (instructions: number) => progress.report(instructions, budget) }),
    onBlocking: () => {
      progress.say('not counted any more; Ctrl-C ends it without a report', '(not counted any more)');
      io.leaveInterrupts?.();
    },
  };
  const context = () => ({
    syntax: flags.syntax,
    command: repeatCommand(path, flags, protocol, entry),
    ...(flags.serial === true && { serial: Buffer.concat(serial) }),
    ...(flags.traceHash === true && { traceHash: trace.hash() }),
    ...(target.payload && { payload: target.payload }),
  });
  if (flags.allTraps === true) {
    const { throughTraps } = await import('./all-traps.ts');
    return await throughTraps(machine, image, {
      flags,
      runOptions,
      progress,
      context,
      log,
      io,
    });
  }
  const stop = await ended(progress, machine.runAsync(runOptions));
  log.info({ kind: stop.kind, instructions: stop.instructions, counted: stop.counted }, 'stopped');
  const result = report(machine, image, stop, context());
  io.stdout.write(flags.format === 'json' ? jsonText(result) : textReport(result, { color: io.color }));
  return exitCodeOf(stop.kind);
}

/** A line that is written over and over does not go between logs, or between what the kernel prints. */
function unmixed(io: Io, { logLevel, serial }: RunFlags): Io {
  const { progress: _, ...others } = io;
  return logLevel === undefined && serial !== true ? io : others;
}

/** Of a protocol that has no knob --era, it says which lguest answers. */
function ownKnobs(flags: RunFlags, { knobs }: KnobbedProtocol): KnobFlags {
  if (knobs.includes('era')) return flags;
  const { era: _, ...others } = flags;
  return others;
}

/** Flags that mean something only together with others. */
function checkTrapFlags({ allTraps, answer, era, maxTraps, as }: RunFlags): void {
  const given = { '--answer': answer, '--max-traps': maxTraps };
  const [first] = Object.entries(given).filter(([, value]) => value !== undefined);
  if (allTraps !== true && first)
    throw new UsageError(
      'needs-all-traps',
      `${first[0]} says how traps are answered, which --all-traps asks for`,
    );
  if (era !== undefined && answer !== 'lguest' && as !== 'lguest')
    throw new UsageError('era-without-lguest', '--era says which lguest it is, and here there is none');
}
