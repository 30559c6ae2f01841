/** Bits of the control registers and of IA32_EFER: SDM vol. 3, 2.5 and 2.2.1. */

export const CR0_PE = 1 << 0;
export const CR0_MP = 1 << 1;
export const CR0_EM = 1 << 2;
export const CR0_TS = 1 << 3;
/** Always 1 on CPUs with a built-in FPU. */
export const CR0_ET = 1 << 4;
export const CR0_NE = 1 << 5;
export const CR0_WP = 1 << 16;
export const CR0_PG = 0x80000000;

export const CR4_VME = 1 << 0;
export const CR4_PVI = 1 << 1;
export const CR4_TSD = 1 << 2;
export const CR4_DE = 1 << 3;
export const CR4_PSE = 1 << 4;
export const CR4_PAE = 1 << 5;
export const CR4_PCE = 1 << 8;
export const CR4_OSFXSR = 1 << 9;
export const CR4_OSXMMEXCPT = 1 << 10;
export const CR4_UMIP = 1 << 11;
export const CR4_VMXE = 1 << 13;
export const CR4_SMXE = 1 << 14;
export const CR4_OSXSAVE = 1 << 18;

export const EFER_LME = 1 << 8;
export const EFER_NXE = 1 << 11;
/** AMD APM vol. 2, 3.1.7. */
export const EFER_SVME = 1 << 12;
