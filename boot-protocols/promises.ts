/** What protocols promise of EFLAGS, the control registers, the tables and the selectors. */
import { CR0_PE, CR0_PG } from '../emulator/control-bits.ts';
import { ALL_BITS, type Promises } from '../emulator/entry-state.ts';
import { FLAG_IF, FLAG_IOPL, FLAG_VM } from '../emulator/flags.ts';

/** Of a promised segment register the hidden part alone. */
export const NOTHING_PROMISED: Promises = {
  selectors: false,
  gdt: false,
  gdtr: false,
  idtr: false,
  ldtr: false,
  tr: false,
  eflags: 0,
  cr0: 0,
  cr2: 0,
  cr3: 0,
  cr4: 0,
  efer: 0,
};

/**
 * boot.rst, "32-bit boot protocol": protected mode with paging off, a GDT with __BOOT_CS and __BOOT_DS, those selectors,
 * interrupts off.
 */
export const PROMISES_OF_BOOT_RST: Promises = {
  ...NOTHING_PROMISED,
  selectors: true,
  gdt: true,
  eflags: FLAG_VM | FLAG_IF,
  cr0: (CR0_PE | CR0_PG) >>> 0,
};

/** A loader of boot.rst that has no ring 0 and may have left paging on: what is left of its promises. */
export const UNKNOWN_ENVIRONMENT: Promises = {
  ...NOTHING_PROMISED,
  eflags: FLAG_VM | FLAG_IF | FLAG_IOPL,
  cr0: CR0_PE,
};

/**
 * A hypervisor that sets selectors and EFLAGS itself and starts its guest with paging on. The other bits of the control
 * registers and the system registers are its own, and those of a CPU under it.
 */
export const HYPERVISOR_PROMISES: Promises = {
  ...NOTHING_PROMISED,
  selectors: true,
  gdt: true,
  eflags: ALL_BITS,
  cr0: (CR0_PE | CR0_PG) >>> 0,
};
