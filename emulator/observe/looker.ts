/** A look at one silent instruction, before it runs. */
import type { Situation } from '../sensitive/verdict.ts';
import type { BareHardware } from './bare-hardware.ts';
import type { Comparison, Sight } from './observation.ts';

/** `undefined` where what the instruction works on cannot be read: it is about to fault. */
export type Looker = (s: Situation, bare: BareHardware) => Comparison | undefined;

export const compare = (saw: Sight, bare: Sight): Comparison => ({ saw, bare, differs: !same(saw, bare) });

const same = (a: Sight, b: Sight): boolean => {
  const left = Object.entries(a);
  const right = new Map(Object.entries(b));
  return left.length === right.size && left.every(([name, value]) => right.get(name) === value);
};
