/** The command line that repeats a run: only what differs from the defaults, and everything that decides the Stop. */
import { describeKnobs, type KnobbedProtocol } from '../../../boot-protocols/knobs.ts';
import type { EntryState } from '../../../emulator/entry-state.ts';
import { shellQuote } from '../quote.ts';
import type { RunFlags } from './run-flags.ts';

export function repeatCommand(
  image: string,
  flags: RunFlags,
  protocol: KnobbedProtocol,
  entry: EntryState,
): string {
  // A path that starts with - would be read as an option.
  const path = image.startsWith('-') ? `./${image}` : image;
  const words = ['startup32', 'run', path, '--as', protocol.name, ...knobWords(flags, protocol, entry)];
  if (flags.until) words.push('--until', flags.until.text);
  if (flags.stopOn !== undefined && flags.stopOn !== 'loss') words.push('--stop-on', flags.stopOn);
  if (flags.instructions !== undefined)
    words.push('-n', Number.isFinite(flags.instructions) ? String(flags.instructions) : 'unlimited');
  words.push(...trapsWords(flags, entry));
  if (flags.timeout !== undefined) words.push('--timeout', String(flags.timeout / 1000));
  if (flags.symbols !== undefined) words.push('--symbols', flags.symbols);
  if (flags.payload === true) words.push('--payload');
  if (flags.engine !== undefined && flags.engine !== 'auto') words.push('--engine', flags.engine);
  if (flags.libunicorn !== undefined) words.push('--libunicorn', flags.libunicorn);
  if (flags.serial === true) words.push('--serial');
  if (flags.trace !== undefined) words.push('--trace', flags.trace);
  if (flags.traceHash === true) words.push('--trace-hash');
  return words.map(shellQuote).join(' ');
}

function trapsWords({ allTraps, answer, era, maxTraps, stopOn }: RunFlags, entry: EntryState): string[] {
  if (allTraps !== true) return [];
  return [
    '--all-traps',
    ...(answer === undefined ? [] : ['--answer', answer]),
    // Where it is a knob, it is among the knobs already.
    ...(era === undefined || entry.knobs.era !== undefined ? [] : ['--era', era]),
    ...(maxTraps === undefined
      ? []
      : ['--max-traps', Number.isFinite(maxTraps) ? String(maxTraps) : 'unlimited']),
    // Here `fault` is the default.
    ...(stopOn === 'loss' ? ['--stop-on', stopOn] : []),
  ];
}

function knobWords(flags: RunFlags, protocol: KnobbedProtocol, entry: EntryState): string[] {
  return describeKnobs(protocol).flatMap(knob => {
    const value = entry.knobs[knob.flag.slice(2)];
    if (value === undefined || value === knob.default) return [];
    if (knob.knob === 'initrd') return flags.initrd === undefined ? [] : [knob.flag, flags.initrd];
    if (knob.knob === 'modules') return (flags.module ?? []).flatMap(({ text }) => [knob.flag, text]);
    return knob.values === '' ? [knob.flag] : [knob.flag, value];
  });
}
