/** A line on a terminal about work that takes more than a second; nothing in a pipe. */
import { printable } from '../printable.ts';
import type { Io } from './io.ts';

export interface Progress {
  /** Called as often as the work likes. `total` is in the unit of `done`; absent when no one knows it. */
  readonly report: (done: number, total?: number) => void;
  /** Stays on the line until the next report, for work that cannot report: `not counted any more`. */
  readonly say: (claim: string) => void;
  /** Takes the line away. */
  [Symbol.dispose](): void;
}

/** What the work is counted in. */
export type ProgressUnit = 'bytes' | 'instructions';

/** Milliseconds: shorter work shows nothing. */
const PATIENCE = 1000;
/** Milliseconds between two changes of the line. */
const PAUSE = 100;

/** ECMA-48: EL erases from the cursor to the end of the line. */
const ERASE = '\u001b[K';
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
  const draw = (claims: readonly string[]): void => {
    shown = true;
    stderr.write(`\r${lineOf(name, claims, terminal.columns())}${ERASE}`);
  };
  return {
    report(done, total) {
      const now = terminal.now();
      if (now < next) return;
      next = now + PAUSE;
      draw(amounts(done, total, unit));
    },
    say: claim => draw([claim]),
    [Symbol.dispose]() {
      next = Number.POSITIVE_INFINITY;
      if (shown) stderr.write(`\r${ERASE}`);
      shown = false;
    },
  };
}

/** What the work gives; the line is gone by then, however it ends. */
export async function ended<T>(progress: Progress, work: Promise<T>): Promise<T> {
  using _line = progress;
  return await work;
}
