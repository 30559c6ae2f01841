/** ANSI styles. Colour only ever repeats what the words say. */
export interface Style {
  readonly strong: (text: string) => string;
  readonly mark: (text: string) => string;
  readonly faint: (text: string) => string;
}

const same = (text: string): string => text;
export const PLAIN: Style = { strong: same, mark: same, faint: same };

/** SGR sequences (ECMA-48, 8.3.117). */
const sgr =
  (on: number, off: number) =>
  (text: string): string =>
    `\u001b[${on}m${text}\u001b[${off}m`;

export const COLOURED: Style = { strong: sgr(1, 22), mark: sgr(31, 39), faint: sgr(2, 22) };
