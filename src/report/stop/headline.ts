/** Line 1 of a report: the whole story in at most 100 columns. */
import { hex32 } from '../hex.ts';

export const HEADLINE_COLUMNS = 100;
const ELLIPSIS = '…';
/** A symbol is cut no shorter than this; below it, it says less than nothing. */
const SHORTEST_SYMBOL = 12;

/**
 * `TITLE at PLACE: CLAIM` with the first claim that fits beside the whole symbol, or, where none does, beside a
 * symbol cut in the middle so that its offset stays readable, or beside the bare address.
 *
 * @param claims the same statement from the longest wording to the shortest.
 */
export function headline(
  title: string,
  symbol: string | undefined,
  address: number,
  claims: readonly string[],
): string {
  const line = (name: string | undefined, claim: string): string =>
    `${title} at ${name === undefined ? hex32(address) : `${name} (${hex32(address)})`}: ${claim}`;
  const fits = (text: string): boolean => text.length <= HEADLINE_COLUMNS;

  const whole = claims.map(claim => line(symbol, claim)).find(fits);
  if (whole !== undefined) return whole;
  const shortest = claims.at(-1) ?? '';
  if (symbol !== undefined) {
    const room = symbol.length - (line(symbol, shortest).length - HEADLINE_COLUMNS);
    if (room >= SHORTEST_SYMBOL) return line(cutMiddle(symbol, room), shortest);
  }
  const bare = line(undefined, shortest);
  return fits(bare) ? bare : `${bare.slice(0, HEADLINE_COLUMNS - 1)}${ELLIPSIS}`;
}

function cutMiddle(symbol: string, room: number): string {
  const plus = symbol.lastIndexOf('+');
  const tail = plus < 0 ? '' : symbol.slice(plus);
  return symbol.slice(0, room - tail.length - 1) + ELLIPSIS + tail;
}
