/** The size of the code that a CPU runs. */
import type { CpuState } from './cpu-state.ts';
import type { CodeBits } from './decode/sizes.ts';
import { FLAG_VM } from './flags.ts';

/** 16 in virtual-8086 mode and where CS has D clear: SDM vol. 3, 3.4.5 and 20.1. */
export const codeBits = ({ eflags, segments }: Pick<CpuState, 'eflags' | 'segments'>): CodeBits =>
  (eflags & FLAG_VM) !== 0 || segments.cs.descriptor?.big === false ? 16 : 32;
