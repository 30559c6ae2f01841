/** Labelled paragraphs for the text report. */
import type { Style } from './style.ts';

export const TEXT_COLUMNS = 100;
/** `means  `: labels are at most six letters. */
export const LABEL_WIDTH = 7;

/** Breaks text at spaces; a word longer than a line stays whole. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** `why    text`, wrapped, with further lines under the text. */
export function paragraph(label: string, text: string, style: Style): string[] {
  return wrap(text, TEXT_COLUMNS - LABEL_WIDTH).map((line, index) =>
    index === 0 && label !== ''
      ? `${style.faint(label.padEnd(LABEL_WIDTH))}${line}`
      : `${' '.repeat(LABEL_WIDTH)}${line}`,
  );
}
