/** `startup32 state IMAGE --diff A B`: where two protocols start the same image differently. */
import { Command } from 'commander';
import { ProtocolError } from '../../../boot-protocols/protocol.ts';
import { readSource } from '../../load-image.ts';
import { stateReport } from '../../report/state/json.ts';
import type { StateReport } from '../../report/state/report.ts';
import { stateDiffReport } from '../../report/state-diff/json.ts';
import { stateDiffText } from '../../report/state-diff/text.ts';
import { UsageError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { type Io, jsonText } from '../io.ts';
import { imageOptions, knobOptions } from '../options/start.ts';
import { ValueError } from '../parse.ts';
import { splitWords } from '../shell-words.ts';
import { chosenProtocol, readKernel, readKnobs } from '../start.ts';
import type { StartFlags } from '../start-flags.ts';
import { orSayWhoCan } from '../who-can.ts';
import type { StateFlags } from './state-flags.ts';

export async function stateDiff(
  path: string | undefined,
  flags: StateFlags,
  words: readonly string[],
  io: Io,
): Promise<number> {
  // `--diff A B IMAGE`: the option takes every word that follows it.
  const [a, b, last, ...more] = words;
  const image = path ?? last;
  if (a === undefined || b === undefined || more.length > 0 || (path !== undefined && last !== undefined))
    throw new UsageError(
      'bad-value',
      `--diff is "${words.join(' ')}"; expected two protocols, e.g. --diff pc lguest`,
    );
  if (image === undefined) throw new UsageError('missing-argument', "missing required argument 'image'");
  refuse(flags.as, '--as', 'names the protocol, and --diff names two');
  refuse(flags.write, '--write', 'writes the memory of one state, and --diff makes two');
  // Once: what comes through a pipe cannot be read again.
  const given = { ...flags, contents: await readSource(image) };
  const first = await side(image, a, given, io);
  const second = await side(image, b, given, io);
  const report = stateDiffReport(first, second);
  const { all = false } = flags;
  io.stdout.write(
    flags.format === 'json' ? jsonText(report) : stateDiffText(report, { color: io.color, all }),
  );
  return EXIT.STOPPED;
}

function refuse(value: string | undefined, flag: string, why: string): void {
  if (value !== undefined) throw new UsageError('with-diff', `${flag} ${why}`);
}

/** @param text a protocol and its own knobs, e.g. `pc --ring 1`; they come before those of the command. */
async function side(
  path: string,
  text: string,
  common: StateFlags & { readonly contents: Uint8Array },
  io: Io,
): Promise<StateReport> {
  const { name, own } = parseSide(text);
  const protocol = chosenProtocol(name);
  const flags = { ...common, ...own };
  const image = await readKernel(path, flags, io, protocol, flags.memory);
  const knobs = await readKnobs(flags);
  try {
    return stateReport(
      await orSayWhoCan({ path, image, protocol }, () => protocol.entryState(image, knobs)),
      image,
    );
  } catch (error) {
    if (error instanceof ProtocolError && error.code === 'unknown-knob')
      throw new UsageError(
        error.code,
        `${error.message}; a knob for one of the two stands in its quotes, e.g. --diff "pc --ring 1" xen`,
      );
    throw error;
  }
}

/** Reads one side as a command line of its own: the same options, read by the same code. */
function parseSide(text: string): { readonly name: string; readonly own: StartFlags } {
  const command = knobOptions(imageOptions(new Command('--diff').argument('<protocol>')))
    .exitOverride()
    .helpOption(false)
    .configureOutput({ outputError: () => {} });
  command.parse(words(text), { from: 'user' });
  const [name = ''] = command.args;
  // What no one wrote, as the value that an option has without it, does not stand against the other's.
  const own = Object.entries(command.opts<StartFlags>()).filter(
    ([option]) => command.getOptionValueSource(option) === 'cli',
  );
  return { name, own: Object.fromEntries(own) };
}

function words(text: string): string[] {
  try {
    return splitWords(text);
  } catch (error) {
    if (error instanceof ValueError) throw new UsageError('bad-value', `--diff names ${error.message}`);
    throw error;
  }
}
