/** Strict parsing of option values. An error says what was found and what was expected. */
import { isLguestVersion, NEWEST_LGUEST, OLDEST_LGUEST } from '../../boot-protocols/lguest/eras.ts';
import { didYouMean } from '../../boot-protocols/suggest.ts';

const U32_MAX = 0xffffffff;
const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** A value that cannot be taken; who reads the option adds its name. */
export class ValueError extends Error {
  override readonly name = 'ValueError';
  constructor(found: string, expected: string) {
    super(`"${found}"; expected ${expected}`);
  }
}

const refuse = (found: string, expected: string): ValueError => new ValueError(found, expected);

/** Hex with 0x, or decimal; nothing else, and nothing after it. */
function parseInteger(text: string): number | undefined {
  if (!/^(0x[0-9a-f]+|[0-9]+)$/i.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** `0x100000` or `1048576`: 0 to 2^32 - 1. */
export function parseAddress(text: string): number {
  const value = parseInteger(text);
  if (value === undefined || value > U32_MAX)
    throw refuse(text, 'an address from 0 to 0xffffffff, e.g. 0x100000');
  return value;
}

/** A whole number from 0 to 2^32 - 1. */
export function parseNumber(text: string): number {
  const value = parseInteger(text);
  if (value === undefined || value > U32_MAX) throw refuse(text, 'a number from 0 to 0xffffffff');
  return value;
}

/** `64M`, `640K`, `1G`, `0x4000000`: bytes. */
export function parseSize(text: string): number {
  const [, digits = '', unit = ''] = /^(0x[0-9a-f]+|[0-9]+)([kmg]?)$/i.exec(text) ?? [];
  const value = parseInteger(digits);
  const bytes = value === undefined ? Number.NaN : value * (UNITS[unit.toLowerCase()] ?? Number.NaN);
  if (!Number.isSafeInteger(bytes) || bytes > 2 ** 32) throw refuse(text, 'a size up to 4G, e.g. 64M');
  return bytes;
}

/** `1000000` or `unlimited` (Infinity). */
const parseLimit =
  (noun: string) =>
  (text: string): number => {
    if (text === 'unlimited') return Number.POSITIVE_INFINITY;
    const value = parseInteger(text);
    if (value === undefined || value === 0) throw refuse(text, `a number of ${noun} from 1, or unlimited`);
    return value;
  };

export const parseInstructions = parseLimit('instructions');
export const parseTraps = parseLimit('traps');

/** `4.13`: a version of Linux that had lguest. */
export function parseEra(text: string): string {
  if (!isLguestVersion(text))
    throw refuse(text, `a version of Linux from ${OLDEST_LGUEST} to ${NEWEST_LGUEST}, e.g. 2.6.34`);
  return text;
}

/** Setting a longer timer makes Node fire at once. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** `1.5`: seconds; returns milliseconds. */
export function parseSeconds(text: string): number {
  const milliseconds = /^[0-9]+(\.[0-9]+)?$/.test(text) ? Math.round(Number(text) * 1000) : 0;
  if (milliseconds <= 0 || milliseconds > LONGEST_TIMEOUT)
    throw refuse(text, 'a number of seconds above 0, e.g. 2 or 0.5');
  return milliseconds;
}

/** One of a few words, each standing for a value. */
export const parseChoice =
  <T>(choices: Readonly<Record<string, T>>) =>
  (text: string): T => {
    const names = Object.keys(choices);
    const value = Object.hasOwn(choices, text) ? choices[text] : undefined;
    if (value === undefined) throw refuse(text, `${names.join(', ')}${didYouMean(text, names)}`);
    return value;
  };

/** `startup_32+0x40`, `startup_32`, `0x100123`. */
export interface Target {
  readonly text: string;
  readonly symbol?: string;
  /** Added to the symbol's address, or the address itself. */
  readonly offset: number;
}

export function parseTarget(text: string): Target {
  const address = parseInteger(text);
  if (address !== undefined) return { text, offset: parseAddress(text) };
  const [, symbol, offset = '0'] = /^([A-Za-z_.$][\w.$@]*)(?:\+(0x[0-9a-f]+|[0-9]+))?$/i.exec(text) ?? [];
  const value = parseInteger(offset);
  if (symbol === undefined || value === undefined || value > U32_MAX)
    throw refuse(text, 'SYMBOL, SYMBOL+0xOFFSET or 0xADDRESS');
  return { text, symbol, offset: value };
}

/** A file to write to. stdout is the report's, and stderr the messages'. */
export function parseTraceFile(text: string): string {
  if (text === '' || text === '-') throw refuse(text, 'the name of a file: stdout holds the report');
  return text;
}

/** A module as the command line names it. */
export interface ModuleFlag {
  readonly text: string;
  readonly path: string;
  readonly cmdline?: string;
}

/** `FILE` or `FILE=COMMAND LINE`; what follows the first `=` is the command line. */
export function parseModule(text: string): ModuleFlag {
  const at = text.indexOf('=');
  const path = at < 0 ? text : text.slice(0, at);
  if (path === '') throw refuse(text, 'FILE or FILE=COMMAND LINE');
  return { text, path, ...(at >= 0 && { cmdline: text.slice(at + 1) }) };
}
