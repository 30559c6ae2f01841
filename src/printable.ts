/** Text of a guest or a file system on a terminal: control characters must not act there. */

/** C0, DEL and C1 (ECMA-48, 5.2 and 5.3). */
const isControl = (char: string): boolean => {
  const code = char.charCodeAt(0);
  return code < 0x20 || (code >= 0x7f && code < 0xa0);
};

/** `a\x1bb` for an escape character in the middle. */
export const printable = (text: string, except = ''): string =>
  Array.from(text, char =>
    isControl(char) && !except.includes(char)
      ? `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
      : char,
  ).join('');
