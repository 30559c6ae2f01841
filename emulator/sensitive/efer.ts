/** IA32_EFER: SDM vol. 3, 2.2.1. */

import { EFER_LME, EFER_NXE } from '../control-bits.ts';
import type { CpuModel } from '../cpu-models/index.ts';

/** SYSCALL enable; AMD APM vol. 2, 3.1.7. */
const EFER_SCE = 1;

/** Whether WRMSR to EFER with this value is #GP(0): a reserved bit, or one that the model lacks. */
export function isReservedEfer(value: bigint, model: CpuModel): boolean {
  const known = BigInt((model.hasNx ? EFER_NXE : 0) | (model.longMode ? EFER_LME | EFER_SCE : 0));
  return (value & ~known) !== 0n;
}
