/** Choices of one case. All of them come from fast-check, by seed and index: the same case everywhere. */
import fc from 'fast-check';

export interface Draw {
  /** Both ends included. */
  int(min: number, max: number): number;
  /** Any 32-bit value; corner cases often. */
  dword(): number;
  pick<T>(values: readonly T[]): T;
  /** True in so many of a hundred cases. */
  chance(percent: number): boolean;
}

const anyOf = <T>(values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const CORNERS = [
  0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
];
const dword = (): fc.Arbitrary<number> =>
  fc.oneof({ weight: 1, arbitrary: anyOf(CORNERS) }, { weight: 3, arbitrary: evenly(0, 0xffffffff) });
/** fast-check's own bias towards small numbers would choose the first of a list too often. */
const evenly = (min: number, max: number): fc.Arbitrary<number> => fc.noBias(fc.integer({ min, max }));

/** An arbitrary of what `build` makes of its choices. */
export function drawn<T>(build: (draw: Draw) => T): fc.Arbitrary<T> {
  return fc.gen().map(g => {
    const int = (min: number, max: number): number => g(evenly, min, max);
    return build({
      int,
      dword: () => g(dword),
      pick: values => values[int(0, values.length - 1)] as (typeof values)[number],
      chance: percent => int(0, 99) < percent,
    });
  });
}

/** Sixteen odd bits: seeds of neighbouring cases have nothing in common. */
const SPREAD = 0x9e3779b1;

/** The value number `index` of a seed: it does not depend on how many are made, or in what order. */
export function sampleAt<T>(arbitrary: fc.Arbitrary<T>, seed: number, index: number): T {
  const mixed = (Math.imul(seed | 0, 0x85ebca6b) + Math.imul(index + 1, SPREAD)) | 0;
  const [value] = fc.sample(arbitrary, { seed: mixed, numRuns: 1 });
  if (value === undefined) throw new Error('fast-check gives no value');
  return value;
}
