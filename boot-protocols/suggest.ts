/** "did you mean" for a misspelt name. */

/** Edits between two words: a letter changed, added, left out, or two neighbours swapped (Damerau). */
function distance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(
        Math.min(
          change,
          (previous[j] ?? 0) + 1,
          (row[j - 1] ?? 0) + 1,
          swapped ? (beforePrevious[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
    beforePrevious = previous;
    previous = row;
  }
  return previous[b.length] ?? 0;
}

/** Further away than this is another word; so is one of which half or more has to change, but for px and pc. */
const FARTHEST = 2;

/** The known name nearest to a misspelt one, if any is near. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(FARTHEST, word.length - 1, Math.max(1, Math.ceil(word.length / 2) - 1)) + 1;
  for (const name of known) {
    if (Math.abs(name.length - word.length) >= bestDistance) continue;
    const d = distance(word.toLowerCase(), name.toLowerCase());
    if (d < bestDistance && d < name.length) {
      best = name;
      bestDistance = d;
    }
  }
  return best;
}

/** ` (did you mean lguest?)`, or nothing. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const name = nearest(word, known);
  return name === undefined ? '' : ` (did you mean ${name}?)`;
}
