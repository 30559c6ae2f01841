/**
 * Differences between the CPUs that are known and understood: in which cases, what each of them does, what the manual
 * says, and who is wrong. `docs/differences.md` is made from this list. SDM: Intel 64 and IA-32 Architectures Software
 * Developer's Manual.
 */
import { OTHERS } from './differences/others.ts';
import { QEMU_FAULTS } from './differences/qemu-faults.ts';
import { QEMU_INSTRUCTIONS } from './differences/qemu-instructions.ts';
import { QEMU_SEGMENTS } from './differences/qemu-segments.ts';
import type { KnownDifference, Situation } from './differences/situation.ts';

export type { KnownDifference, Party, Situation } from './differences/situation.ts';

export const DIFFERENCES: readonly KnownDifference[] = [
  ...QEMU_SEGMENTS,
  ...QEMU_FAULTS,
  ...QEMU_INSTRUCTIONS,
  ...OTHERS,
];

/** The listed difference that explains a disagreement. */
export const knownDifference = (situation: Situation): KnownDifference | undefined =>
  DIFFERENCES.find(difference => difference.matches(situation));
