/** Words as a POSIX shell reads them back (POSIX.1-2017, Shell Command Language, 2.2). */
import { printable } from '../printable.ts';

const SAFE = /^[A-Za-z0-9_@%+=:,./-]+$/;

/** The bytes of a control character as `\033`: three octal digits end by themselves. */
const octal = (char: string): string =>
  Array.from(new TextEncoder().encode(char), byte => `\\${byte.toString(8).padStart(3, '0')}`).join('');

/** Control characters as `$'\033'` (POSIX.1-2024, 2.2.4), so that a terminal does not act on them. */
export function shellQuote(word: string): string {
  if (SAFE.test(word)) return word;
  if (printable(word) === word) return `'${word.replaceAll("'", "'\\''")}'`;
  const escaped = Array.from(word, char =>
    printable(char) === char ? char.replace(/[\\']/, '\\$&') : octal(char),
  );
  return `$'${escaped.join('')}'`;
}
