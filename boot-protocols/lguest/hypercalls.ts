/**
 * lguest's hypercalls by version of Linux: arch/x86/include/asm/lguest_hcall.h, before it include/asm-x86/lguest_hcall.h
 * and include/linux/lguest.h (2.6.23).
 */
import { compareVersions, NEWEST_LGUEST, OLDEST_LGUEST } from './eras.ts';

interface Named {
  readonly name: string;
  /** Versions of Linux, both inclusive; absent: as far back, or as long, as there was lguest. */
  readonly since?: string;
  readonly until?: string;
}

/** Of several versions the oldest first. */
const HYPERCALLS: Readonly<Record<number, readonly Named[]>> = {
  0: [{ name: 'LHCALL_FLUSH_ASYNC' }],
  1: [{ name: 'LHCALL_LGUEST_INIT' }],
  2: [
    { name: 'LHCALL_CRASH', until: '2.6.24' },
    { name: 'LHCALL_SHUTDOWN', since: '2.6.25' },
  ],
  3: [{ name: 'LHCALL_LOAD_GDT', until: '2.6.29' }],
  4: [{ name: 'LHCALL_NEW_PGTABLE' }],
  5: [{ name: 'LHCALL_FLUSH_TLB' }],
  6: [{ name: 'LHCALL_LOAD_IDT_ENTRY' }],
  7: [{ name: 'LHCALL_SET_STACK' }],
  // Read in 4.9, not in 4.13.
  8: [{ name: 'LHCALL_TS', until: '4.9' }],
  9: [{ name: 'LHCALL_SET_CLOCKEVENT' }],
  10: [{ name: 'LHCALL_HALT' }],
  12: [{ name: 'LHCALL_BIND_DMA', until: '2.6.23' }],
  13: [
    { name: 'LHCALL_SEND_DMA', until: '2.6.23' },
    { name: 'LHCALL_SET_PMD', since: '2.6.31' },
  ],
  14: [{ name: 'LHCALL_SET_PTE' }],
  15: [
    { name: 'LHCALL_SET_PMD', until: '2.6.30' },
    { name: 'LHCALL_SET_PGD', since: '2.6.31' },
  ],
  16: [{ name: 'LHCALL_LOAD_TLS' }],
  // Read in 3.18, not in 4.9; from 4.0 on devices are PCI devices.
  17: [{ name: 'LHCALL_NOTIFY', since: '2.6.24', until: '3.19' }],
  18: [{ name: 'LHCALL_LOAD_GDT_ENTRY', since: '2.6.30' }],
  19: [{ name: 'LHCALL_SEND_INTERRUPTS', since: '2.6.31' }],
};

export const LGUEST_INIT = 1;
/** The gate that ring 1 may use (LGUEST_TRAP_ENTRY). */
export const LGUEST_TRAP_ENTRY = 0x1f;

const covers = ({ since, until }: Named, version: string): boolean =>
  compareVersions(since ?? OLDEST_LGUEST, version) <= 0 &&
  compareVersions(version, until ?? NEWEST_LGUEST) <= 0;

/** What the host of this version calls the number; undefined: it has none, and kills the guest. */
export const lguestHypercall = (number: number, version: string): string | undefined =>
  HYPERCALLS[number]?.find(named => covers(named, version))?.name;

/** The number's name where any version has one: this one's own, else the newest. */
export const lguestHypercallName = (number: number, version = NEWEST_LGUEST): string | undefined =>
  lguestHypercall(number, version) ?? HYPERCALLS[number]?.at(-1)?.name;
