/** A text as a shell takes it apart: words at blanks, quotes, backslashes (POSIX.1-2017, Shell Command Language, 2.2). */
import { ValueError } from './parse.ts';

/** @throws {ValueError} for a quote that is not closed */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  const add = (part: string): void => {
    word = (word ?? '') + part;
  };
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? '';
    if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (char === "'" || char === '"') {
      const quoted = readQuoted(text, at);
      add(quoted.value);
      at = quoted.end;
    } else if (char === '\\') add(text[++at] ?? '');
    else add(char);
  }
  return word === undefined ? words : [...words, word];
}

/** @param at the opening quote. */
function readQuoted(text: string, at: number): { readonly value: string; readonly end: number } {
  const quote = text[at];
  let value = '';
  for (let i = at + 1; i < text.length; i++) {
    const char = text[i] ?? '';
    if (char === quote) return { value, end: i };
    // In double quotes a backslash keeps its meaning before these alone.
    const escaped = quote === '"' && char === '\\' && /["\\$`]/.test(text[i + 1] ?? '');
    value += escaped ? text[++i] : char;
  }
  throw new ValueError(text, `a closing ${quote}`);
}
