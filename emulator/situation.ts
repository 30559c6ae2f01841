/** The situation at an instruction: what a guest's machine is at this moment, for those who only look. */
import { refusalOf } from './access.ts';
import type { CpuState } from './cpu-state.ts';
import type { DecodedInstruction } from './decode/instruction.ts';
import type { Guest } from './guest.ts';
import type { Situation } from './sensitive/verdict.ts';

/** @param bytes from EIP on, up to 32 */
export const situationOf = (
  guest: Guest,
  cpu: CpuState,
  instruction: DecodedInstruction,
  bytes: Uint8Array,
): Situation => ({
  instruction,
  bytes,
  cpu,
  state: guest.state,
  platform: guest.entry.platform,
  model: guest.model,
  read: (linear, size) => guest.readLinear(linear, size),
  refusal: access => refusalOf(guest, cpu, access),
  readPhysical: physical => guest.memory.read32(physical),
  tsc: () => guest.clock.tsc(guest.counter.retired),
  random: guest.random,
  msrs: guest.msrs,
  debug: index => guest.processor.readDebug(index),
});
