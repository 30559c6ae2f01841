/** Words as a POSIX shell reads them back (POSIX.1-2017, Shell Command Language, 2.2). */
const SAFE = /^[A-Za-z0-9_@%+=:,./-]+$/;

export const shellQuote = (word: string): string =>
  SAFE.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
