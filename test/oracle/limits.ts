/** What the suite does not compare, and why: part of `docs/differences.md`. */

export interface SuiteLimit {
  readonly what: string;
  readonly why: string;
}

/** Cases that one of the CPUs does not run: `without` of the case. */
export const WITHOUT: readonly SuiteLimit[] = [
  {
    what: 'MONITOR, MWAIT, CLAC and STAC in ring 0, INVPCID in any: not on Bochs',
    why: 'startup32 has no CPU model with them, and QEMU is told to have none; the Bochs model has them all.',
  },
  {
    what: 'DR7.GD (#DB at the next access to a debug register): not on QEMU',
    why: 'QEMU lets that access pass, and raises #DB in the program that runs the cases instead, for good.',
  },
  {
    what: 'CLI and STI in protected mode with VIF or VIP set before: not on QEMU',
    why: 'QEMU has no PVI, and its IRET cannot enter with these flags.',
  },
];

/** What no case is about. */
export const LEFT_OUT: readonly SuiteLimit[] = [
  { what: 'HLT in ring 0', why: 'Nothing wakes the CPU again: it is the end of a case, not an outcome.' },
  {
    what: 'TF, single steps and breakpoints',
    why: 'startup32 does not follow a guest that steps itself; no case sets TF or enables a breakpoint.',
  },
  {
    what: 'What ports, CPUID, time-stamp and performance counters hold',
    why: 'It belongs to the machine, not to the rules. That they can be read, or cannot, is compared.',
  },
];
