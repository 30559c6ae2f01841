/**
 * The part of a guest's CPU that its host keeps, because the real one belongs to the host. Everything else – segments,
 * tables, CR0, CR3, CR4, MSRs – the Machine gives the guest for itself.
 */
import type { EntryState } from '../../emulator/entry-state.ts';
import { FLAG_IF, FLAG_IOPL } from '../../emulator/flags.ts';

export interface VirtualCpu {
  /** Virtual IF. */
  readonly interrupts: boolean;
  /** Virtual IOPL, 0 to 3. */
  readonly iopl: number;
  /** DR0 to DR7. */
  readonly debug: readonly number[];
}

/** DR6 and DR7 after reset: SDM vol. 3, table 9-1. */
const DR6_RESET = 0xffff0ff0;
const DR7_RESET = 0x400;

export const virtualCpu = (entry: EntryState): VirtualCpu => ({
  interrupts: (entry.eflags & FLAG_IF) !== 0,
  iopl: (entry.eflags & FLAG_IOPL) >>> 12,
  debug: [0, 0, 0, 0, 0, 0, DR6_RESET, DR7_RESET],
});

/** EFLAGS with the virtual IF and IOPL in place of the real ones. */
export const virtualFlags = (eflags: number, virtual: VirtualCpu): number =>
  ((eflags & ~(FLAG_IF | FLAG_IOPL)) | (virtual.interrupts ? FLAG_IF : 0) | (virtual.iopl << 12)) >>> 0;
