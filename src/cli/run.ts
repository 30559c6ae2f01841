/** `startup32 run IMAGE --as PROTOCOL`: to the first stop, and its report. */
import { findProtocol, type KnobbedProtocol, PROTOCOLS } from '../../boot-protocols/index.ts';
import type { BootOptions } from '../../boot-protocols/protocol.ts';
import { didYouMean } from '../../boot-protocols/suggest.ts';
import type { EntryState } from '../../emulator/entry-state.ts';
import { boot, report } from '../boot.ts';
import { type KernelImage, KernelImageError } from '../kernel-image/index.ts';
import { loadImage, readSource } from '../load-image.ts';
import { createNames } from '../report/names.ts';
import { textReport } from '../report/stop/text.ts';
import { UsageError } from './errors.ts';
import { exitCodeOf } from './exit-codes.ts';
import { type Io, jsonText } from './io.ts';
import { createLog } from './log.ts';
import type { Target } from './parse.ts';
import { repeatCommand } from './repeat.ts';
import type { RunFlags } from './run-flags.ts';
import { recordTrace } from './trace.ts';

export async function run(path: string, flags: RunFlags, io: Io): Promise<number> {
  const protocol = chosenProtocol(flags.as);
  checkTrapFlags(flags);
  const log = await createLog(flags.logLevel, io.stderr);
  const image = await loadImage(path, { ...(flags.symbols !== undefined && { systemMap: flags.symbols }) });
  log.info({ image: image.name, format: image.format, size: image.size }, 'image read');
  using trace = recordTrace(flags);
  const serial: Uint8Array[] = [];
  await using machine = await boot(image, {
    as: protocol.name,
    ...(await knobs(flags)),
    ...(flags.engine !== undefined && { engine: flags.engine }),
    ...(flags.libunicorn !== undefined && { libunicorn: flags.libunicorn }),
    ...(flags.serial === true && {
      onSerial: (bytes: Uint8Array) => {
        serial.push(bytes.slice());
        io.stderr.write(bytes.slice());
      },
    }),
  });
  const { entry, engine } = machine;
  log.info({ protocol: entry.protocol, knobs: entry.knobs, engine }, 'machine ready');
  const runOptions = {
    ...(flags.until && { until: resolveTarget(flags.until, image, entry) }),
    ...(flags.stopOn !== undefined && { stopOn: flags.stopOn }),
    ...(flags.instructions !== undefined && { instructions: flags.instructions }),
    ...(flags.timeout !== undefined && { timeout: flags.timeout }),
    ...(trace.sink && { trace: trace.sink }),
    ...(io.signal && { signal: io.signal }),
  };
  const context = () => ({
    syntax: flags.syntax,
    command: repeatCommand(path, flags, protocol, entry),
    ...(flags.serial === true && { serial: Buffer.concat(serial) }),
    ...(flags.traceHash === true && { traceHash: trace.hash() }),
  });
  if (flags.allTraps === true) {
    const { throughTraps } = await import('./all-traps.ts');
    return await throughTraps(machine, image, { flags, runOptions, context, log, io });
  }
  const stop = await machine.runAsync(runOptions);
  log.info({ kind: stop.kind, instructions: stop.instructions, counted: stop.counted }, 'stopped');
  const result = report(machine, image, stop, context());
  io.stdout.write(flags.format === 'json' ? jsonText(result) : textReport(result, { color: io.color }));
  return exitCodeOf(stop.kind);
}

function chosenProtocol(name: string | undefined): KnobbedProtocol {
  if (name !== undefined) return findProtocol(name);
  const names = PROTOCOLS.map(protocol => protocol.name);
  throw new UsageError('missing-protocol', `--as is missing; expected one of ${names.join(', ')}`);
}

/** Flags that mean something only together with others. */
function checkTrapFlags({ allTraps, answer, era, maxTraps, as }: RunFlags): void {
  const given = { '--answer': answer, '--era': era, '--max-traps': maxTraps };
  const [first] = Object.entries(given).filter(([, value]) => value !== undefined);
  if (allTraps !== true && first)
    throw new UsageError(
      'needs-all-traps',
      `${first[0]} says how traps are answered, which --all-traps asks for`,
    );
  if (era !== undefined && (answer ?? as) !== 'lguest')
    throw new UsageError('era-without-lguest', '--era says which lguest answers, and here it is not lguest');
}

/** The flags that are knobs, as the protocols take them. */
async function knobs(flags: RunFlags): Promise<BootOptions> {
  const { ring, paging, gdt, keepSegments, subarch, memory, cmdline, loadAddress, poison, cpu, initrd } =
    flags;
  const given = { ring, paging, gdt, keepSegments, subarch, memory, cmdline, loadAddress, poison, cpu };
  const options: BootOptions = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  );
  return initrd === undefined ? options : { ...options, initrd: await readInitrd(initrd) };
}

async function readInitrd(path: string): Promise<Uint8Array> {
  try {
    return await readSource(path);
  } catch (error) {
    if (error instanceof KernelImageError)
      throw new UsageError('unreadable-initrd', `--initrd names ${error.message}`);
    throw error;
  }
}

function resolveTarget(target: Target, image: KernelImage, entry: EntryState): readonly number[] {
  if (target.symbol === undefined) return [target.offset];
  const addresses = createNames(image, entry).addresses(target.symbol);
  if (!addresses) {
    const known = image.symbols.map(symbol => symbol.name);
    throw new UsageError(
      'unknown-symbol',
      `--until names "${target.symbol}", which is none of the ${known.length} symbols of ${image.name}${didYouMean(target.symbol, known)}`,
    );
  }
  return addresses.map(address => (address + target.offset) >>> 0);
}
