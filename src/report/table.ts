/** Columns of text: each as wide as its widest cell, and cells that are too wide broken into lines. */

import { TEXT_COLUMNS, wrap } from './lines.ts';
import { PLAIN, type Style } from './style.ts';

export interface Row {
  readonly cells: readonly string[];
  /** Shown with less weight where there is colour. */
  readonly faint?: boolean;
}

interface TableOptions {
  readonly heading?: readonly string[];
  /** The most columns of each cell; what is left of the line when absent for the last, else unlimited. */
  readonly widest?: readonly (number | undefined)[];
  /** The column that gives way, so that the last one has room for its words. */
  readonly flexible?: number;
  /** Columns before the first cell. Default 2. */
  readonly indent?: number;
  readonly style?: Style;
}

const GAP = '  ';
/** A last column has at least this much, even when the line gets longer for it. */
const LEAST = 20;

/** At spaces, and a word that is longer than a line anywhere. */
const wrapHard = (text: string, columns: number): string[] =>
  text.length <= columns
    ? [text]
    : wrap(text, columns).flatMap(line =>
        Array.from({ length: Math.max(1, Math.ceil(line.length / columns)) }, (_, part) =>
          line.slice(part * columns, (part + 1) * columns),
        ),
      );

export function table(rows: readonly Row[], options: TableOptions = {}): string[] {
  const { heading, indent = 2, style = PLAIN } = options;
  const all = heading ? [{ cells: heading, faint: true }, ...rows] : rows;
  const widths = widthsOf(all, options, indent);
  return all.flatMap(({ cells, faint }) => {
    const broken = widths.map((width, column) => wrapHard(cells[column] ?? '', Math.max(1, width)));
    const height = Math.max(...broken.map(lines => lines.length));
    return Array.from({ length: height }, (_, line) => {
      const text = broken.map((lines, column) => (lines[line] ?? '').padEnd(widths[column] ?? 0)).join(GAP);
      const whole = `${' '.repeat(indent)}${text}`.trimEnd();
      return faint === true ? style.faint(whole) : whole;
    });
  });
}

function widthsOf(all: readonly Row[], { widest = [], flexible }: TableOptions, indent: number): number[] {
  const columns = Math.max(0, ...all.map(row => row.cells.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.min(
      widest[column] ?? Number.POSITIVE_INFINITY,
      Math.max(0, ...all.map(row => (row.cells[column] ?? '').length)),
    ),
  );
  const last = columns - 1;
  const taken = (without: number): number =>
    indent +
    last * GAP.length +
    widths.reduce((sum, width, column) => (column === without ? sum : sum + width), 0);
  // The last column gives way first, down to what its words need; then the flexible one.
  const shrink = (column: number, least: number): void => {
    const width = widths[column];
    if (width !== undefined) widths[column] = Math.min(width, Math.max(least, TEXT_COLUMNS - taken(column)));
  };
  shrink(last, LEAST);
  if (flexible !== undefined) {
    shrink(flexible, LEAST);
  }
  return widths;
}
