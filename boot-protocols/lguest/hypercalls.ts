/** lguest's hypercalls: Linux 4.13 arch/x86/include/asm/lguest_hcall.h, and where a number is gone there, the last that had it. */
const HYPERCALLS: Readonly<Record<number, string>> = {
  0: 'LHCALL_FLUSH_ASYNC',
  1: 'LHCALL_LGUEST_INIT',
  2: 'LHCALL_SHUTDOWN',
  3: 'LHCALL_LOAD_GDT',
  4: 'LHCALL_NEW_PGTABLE',
  5: 'LHCALL_FLUSH_TLB',
  6: 'LHCALL_LOAD_IDT_ENTRY',
  7: 'LHCALL_SET_STACK',
  8: 'LHCALL_TS',
  9: 'LHCALL_SET_CLOCKEVENT',
  10: 'LHCALL_HALT',
  13: 'LHCALL_SET_PMD',
  14: 'LHCALL_SET_PTE',
  15: 'LHCALL_SET_PGD',
  16: 'LHCALL_LOAD_TLS',
  17: 'LHCALL_NOTIFY',
  18: 'LHCALL_LOAD_GDT_ENTRY',
  19: 'LHCALL_SEND_INTERRUPTS',
};

/** What Linux 4.13's host implements. */
const IMPLEMENTED: ReadonlySet<number> = new Set([0, 1, 2, 4, 5, 6, 7, 9, 10, 13, 14, 15, 16, 18, 19]);

export const LGUEST_INIT = 1;
/** The gate that ring 1 may use (LGUEST_TRAP_ENTRY). */
export const LGUEST_TRAP_ENTRY = 0x1f;

export const lguestHypercallName = (number: number): string | undefined => HYPERCALLS[number];
export const lguestImplements = (number: number): boolean => IMPLEMENTED.has(number);
