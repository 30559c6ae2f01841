/** Eras of lguest: versions of Linux, from the first that had it to the last. */

export const OLDEST_LGUEST = '2.6.23';
export const NEWEST_LGUEST = '4.13';

/** `2.6.34` against `4.13`: by number, part by part. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map(version => version.split('.').map(Number));
  for (let i = 0; i < 3; i++) {
    const difference = (left?.[i] ?? 0) - (right?.[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
