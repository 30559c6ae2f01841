/** Sizes in the text of a report. */

/** `64M`, `640K`, and what is no whole number of either in bytes. */
export function sizeInWords(bytes: number): string {
  if (bytes > 0 && bytes % 2 ** 20 === 0) return `${bytes / 2 ** 20}M`;
  return bytes > 0 && bytes % 2 ** 10 === 0 ? `${bytes / 2 ** 10}K` : String(bytes);
}
