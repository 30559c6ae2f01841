/** A line on a terminal about work that takes more than a second; nothing in a pipe. */
import { printable } from '../printable.ts';
import type { Io } from './io.ts';

export interface Progress {
  /** Called as often as the work likes. `total` is in the unit of `done`; absent when no one knows it. */
  readonly report: (done: number, total?: number) => void;
  /**
   * For work that cannot report, and that Ctrl-C ends at once: a line of its own, the cursor under it, until the next report
   * or the end.
   *
   * @param claims from the longest wording to the shortest
   */
  readonly say: (...claims: readonly string[]) => void;
  /** Takes the line away. */
  [Symbol.dispose](): void;
}

/** What the work is counted in. */
export type ProgressUnit = 'bytes' | 'instructions';

/** Milliseconds: shorter work shows nothing. */
const PATIENCE = 1000;
/** Milliseconds between two changes of the line. */
const PAUSE = 100;

/** ECMA-48: EL erases from the cursor to the end of the line, CUU goes a line up. */
const ERASE = '\u001b[K';
/** Takes away the line that the cursor is in. */
export const ERASE_LINE = `\r${ERASE}`;
const UP = '\u001b[A';
const ELLIPSIS = '…';
/** The work's name is cut no shorter than this; below it, only the amount shows. */
const SHORTEST_NAME = 8;

const KIB = 1024;
const MIB = 1024 * KIB;

const grouped = (number: number): string => String(number).replaceAll(/\B(?=(\d{3})+$)/g, ',');

/** How far the work is, from the longest wording to the shortest. */
function amounts(done: number, total: number | undefined, unit: ProgressUnit): readonly string[] {
  const known = total !== undefined && Number.isFinite(total) && total > 0;
  const percent = known ? [`${Math.min(100, Math.floor((done / total) * 100))}%`] : [];
  if (unit !== 'bytes')
    return [`${grouped(done)}${known ? ` of ${grouped(total)}` : ''} ${unit}`, ...percent];
  if (known) return percent;
  return [done < MIB ? `${Math.floor(done / KIB)} KiB` : `${Math.floor(done / MIB)} MiB`];
}

/** Columns that a character may take: East Asian ones take two, and no table here says which those are. */
const width = (character: string): number => (character.charCodeAt(0) < 0x250 ? 1 : 2);

/** The end of a name says more than its beginning: `…vmlinuz-6.1.0`. */
function cutStart(name: string, columns: number): string {
  const characters = Array.from(name);
  let rest = columns - characters.reduce((sum, character) => sum + width(character), 0);
  if (rest >= 0) return name;
  rest -= ELLIPSIS.length;
  let from = 0;
  while (rest < 0) rest += width(characters[from++] ?? '');
  return ELLIPSIS + characters.slice(from).join('');
}

/** One line of fewer than `columns` columns: in the last one a terminal would wrap. */
function lineOf(what: string, claims: readonly string[], columns: number): string {
  for (const claim of claims) {
    const room = columns - 1 - claim.length - ' '.length;
    if (room >= Math.min(SHORTEST_NAME, what.length)) return `${cutStart(what, room)} ${claim}`;
  }
  return claims.find(claim => claim.length < columns) ?? '';
}

const NOTHING: Progress = { report: () => {}, say: () => {}, [Symbol.dispose]: () => {} };

/**
 * @param what the work, e.g. `unpacking vmlinuz`
 */
export function showProgress(io: Io, what: string, unit: ProgressUnit = 'bytes'): Progress {
  const { progress: terminal, stderr } = io;
  if (!terminal) return NOTHING;
  const name = printable(what);
  let next = terminal.now() + PATIENCE;
  let shown = false;
  /** From the cursor to the start of the line. */
  let back = '\r';
  const draw = (claims: readonly string[], end: string): void => {
    stderr.write(`${back}${lineOf(name, claims, terminal.columns())}${ERASE}${end}`);
    shown = true;
    back = end === '' ? '\r' : `${UP}\r`;
  };
  return {
    report(done, total) {
      const now = terminal.now();
      if (now < next) return;
      next = now + PAUSE;
      draw(amounts(done, total, unit), '');
    },
    say: (...claims) => draw(claims, '\n'),
    [Symbol.dispose]() {
      next = Number.POSITIVE_INFINITY;
      if (shown) stderr.write(`${back}${ERASE}`);
      shown = false;
    },
  };
}

/** What the work gives; the line is gone by then, however it ends. */
export async function ended<T>(progress: Progress, work: Promise<T>): Promise<T> {
  using _line = progress;
  return await work;
}
