/**
 * Feature bits of CPUID by name. SDM vol. 2, CPUID, tables 3-10 (leaf 1 ECX), 3-11 (leaf 1 EDX) and leaf 7; AMD APM vol.
 * 3, appendix E, for leaf 0x8000_0001.
 */

/** CPUID.1:EDX */
export const EDX = {
  FPU: 1 << 0,
  VME: 1 << 1,
  DE: 1 << 2,
  PSE: 1 << 3,
  TSC: 1 << 4,
  MSR: 1 << 5,
  PAE: 1 << 6,
  MCE: 1 << 7,
  CX8: 1 << 8,
  APIC: 1 << 9,
  SEP: 1 << 11,
  MTRR: 1 << 12,
  PGE: 1 << 13,
  MCA: 1 << 14,
  CMOV: 1 << 15,
  PAT: 1 << 16,
  PSE36: 1 << 17,
  CLFSH: 1 << 19,
  ACPI: 1 << 22,
  MMX: 1 << 23,
  FXSR: 1 << 24,
  SSE: 1 << 25,
  SSE2: 1 << 26,
  SS: 1 << 27,
} as const;

/** CPUID.1:ECX */
export const ECX = {
  SSE3: 1 << 0,
  RDRAND: 1 << 30,
  HYPERVISOR: 1 << 31,
} as const;

/** CPUID.(7,0):EBX and ECX */
export const LEAF7_EBX = { RDSEED: 1 << 18 } as const;
export const LEAF7_ECX = { UMIP: 1 << 2 } as const;

/** CPUID.8000_0001:EDX and ECX */
export const EXTENDED_EDX = { SYSCALL: 1 << 11, NX: 1 << 20, RDTSCP: 1 << 27, LM: 1 << 29 } as const;
export const EXTENDED_ECX = { LAHF_LM: 1 << 0 } as const;

/** Several bits at once, as an unsigned number. */
export const bits = (...each: readonly number[]): number => each.reduce((all, bit) => all | bit, 0) >>> 0;
