/**
 * Model-specific registers by name: those that a 32-bit kernel touches on its way.
 *
 * Names and indices: SDM vol. 4, table 2-2 (IA32_*); AMD APM vol. 2, appendix A (0xc000_xxxx and 0xc001_xxxx); Linux 6.1
 * arch/x86/include/uapi/asm/kvm_para.h (KVM); Hyper-V TLFS, appendix F (0x4000_00xx). Xen puts the MSR of its hypercall
 * page at 0x40000000 too (Xen 4.14 xen/arch/x86/cpuid.c, leaf base + 2).
 */
import type { BitNames } from './operands/bits.ts';

export const MSR_TSC = 0x10;
const MSR_APIC_BASE = 0x1b;
const MSR_BIOS_UPDT_TRIG = 0x79;
const MSR_BIOS_SIGN_ID = 0x8b;
export const MSR_SYSENTER_CS = 0x174;
export const MSR_SYSENTER_ESP = 0x175;
export const MSR_SYSENTER_EIP = 0x176;
const MSR_MISC_ENABLE = 0x1a0;
export const MSR_EFER = 0xc0000080;
export const MSR_TSC_AUX = 0xc0000103;

const NAMED: readonly (readonly [index: number, name: string])[] = [
  [0x0, 'IA32_P5_MC_ADDR'],
  [0x1, 'IA32_P5_MC_TYPE'],
  [0x6, 'IA32_MONITOR_FILTER_SIZE'],
  [MSR_TSC, 'IA32_TIME_STAMP_COUNTER'],
  [0x11, 'MSR_KVM_WALL_CLOCK'],
  [0x12, 'MSR_KVM_SYSTEM_TIME'],
  [0x17, 'IA32_PLATFORM_ID'],
  [MSR_APIC_BASE, 'IA32_APIC_BASE'],
  [0x3a, 'IA32_FEATURE_CONTROL'],
  [0x3b, 'IA32_TSC_ADJUST'],
  [0x48, 'IA32_SPEC_CTRL'],
  [0x49, 'IA32_PRED_CMD'],
  [MSR_BIOS_UPDT_TRIG, 'IA32_BIOS_UPDT_TRIG'],
  [MSR_BIOS_SIGN_ID, 'IA32_BIOS_SIGN_ID'],
  [0xc1, 'IA32_PMC0'],
  [0xc2, 'IA32_PMC1'],
  [0xe7, 'IA32_MPERF'],
  [0xe8, 'IA32_APERF'],
  [0xfe, 'IA32_MTRRCAP'],
  [0x10a, 'IA32_ARCH_CAPABILITIES'],
  [0x10b, 'IA32_FLUSH_CMD'],
  [0x122, 'IA32_TSX_CTRL'],
  [MSR_SYSENTER_CS, 'IA32_SYSENTER_CS'],
  [MSR_SYSENTER_ESP, 'IA32_SYSENTER_ESP'],
  [MSR_SYSENTER_EIP, 'IA32_SYSENTER_EIP'],
  [0x179, 'IA32_MCG_CAP'],
  [0x17a, 'IA32_MCG_STATUS'],
  [0x17b, 'IA32_MCG_CTL'],
  [0x186, 'IA32_PERFEVTSEL0'],
  [0x187, 'IA32_PERFEVTSEL1'],
  [0x198, 'IA32_PERF_STATUS'],
  [0x199, 'IA32_PERF_CTL'],
  [0x19a, 'IA32_CLOCK_MODULATION'],
  [0x19b, 'IA32_THERM_INTERRUPT'],
  [0x19c, 'IA32_THERM_STATUS'],
  [MSR_MISC_ENABLE, 'IA32_MISC_ENABLE'],
  [0x1b0, 'IA32_ENERGY_PERF_BIAS'],
  [0x1d9, 'IA32_DEBUGCTL'],
  [0x277, 'IA32_PAT'],
  [0x2ff, 'IA32_MTRR_DEF_TYPE'],
  [0x345, 'IA32_PERF_CAPABILITIES'],
  [0x38d, 'IA32_FIXED_CTR_CTRL'],
  [0x38f, 'IA32_PERF_GLOBAL_CTRL'],
  [0xda0, 'IA32_XSS'],
  [0x40000000, 'HV_X64_MSR_GUEST_OS_ID'],
  [0x40000001, 'HV_X64_MSR_HYPERCALL'],
  [0x4b564d00, 'MSR_KVM_WALL_CLOCK_NEW'],
  [0x4b564d01, 'MSR_KVM_SYSTEM_TIME_NEW'],
  [0x4b564d02, 'MSR_KVM_ASYNC_PF_EN'],
  [0x4b564d03, 'MSR_KVM_STEAL_TIME'],
  [0x4b564d04, 'MSR_KVM_PV_EOI_EN'],
  [MSR_EFER, 'IA32_EFER'],
  [0xc0000081, 'IA32_STAR'],
  [0xc0000082, 'IA32_LSTAR'],
  [0xc0000083, 'IA32_CSTAR'],
  [0xc0000084, 'IA32_FMASK'],
  [0xc0000100, 'IA32_FS_BASE'],
  [0xc0000101, 'IA32_GS_BASE'],
  [0xc0000102, 'IA32_KERNEL_GS_BASE'],
  [MSR_TSC_AUX, 'IA32_TSC_AUX'],
  [0xc0010015, 'HWCR'],
  [0xc001001f, 'NB_CFG'],
  [0xc0010114, 'VM_CR'],
];

/** Groups that are numbered through: MTRRs (SDM vol. 4, table 2-2), machine-check banks, x2APIC registers. */
const MTRR_PHYS = { first: 0x200, pairs: 10 };
const MTRR_FIXED: readonly (readonly [index: number, name: string])[] = [
  [0x250, '64K_00000'],
  [0x258, '16K_80000'],
  [0x259, '16K_A0000'],
  ...['C0000', 'C8000', 'D0000', 'D8000', 'E0000', 'E8000', 'F0000', 'F8000'].map(
    (start, i) => [0x268 + i, `4K_${start}`] as const,
  ),
];
const MACHINE_CHECK = { first: 0x400, banks: 32, names: ['CTL', 'STATUS', 'ADDR', 'MISC'] };

const names = new Map<number, string>([
  ...NAMED,
  ...MTRR_FIXED.map(([index, name]) => [index, `IA32_MTRR_FIX${name}`] as const),
]);

/** @returns the MSR's name in the manuals; `undefined` for one that is not listed here */
export function msrName(index: number): string | undefined {
  const mtrr = index - MTRR_PHYS.first;
  if (mtrr >= 0 && mtrr < 2 * MTRR_PHYS.pairs) {
    return `IA32_MTRR_PHYS${mtrr % 2 === 0 ? 'BASE' : 'MASK'}${mtrr >>> 1}`;
  }
  const bank = index - MACHINE_CHECK.first;
  if (bank >= 0 && bank < 4 * MACHINE_CHECK.banks) {
    return `IA32_MC${bank >>> 2}_${MACHINE_CHECK.names[bank & 3]}`;
  }
  if (index >= 0x800 && index <= 0x8ff) return `x2APIC register 0x${(index - 0x800).toString(16)}0`;
  return names.get(index);
}

/** MSRs whose bits have names; bits 31:0, and of EFER there are no others. SDM vol. 4, table 2-2; AMD APM vol. 2, 3.1.7. */
const EFER_BITS: BitNames = {
  0: 'SCE',
  8: 'LME',
  10: 'LMA',
  11: 'NXE',
  12: 'SVME',
  13: 'LMSLE',
  14: 'FFXSR',
  15: 'TCE',
};
const APIC_BASE_BITS: BitNames = { 8: 'BSP', 10: 'EXTD', 11: 'EN' };
const MISC_ENABLE_BITS: BitNames = {
  0: 'fast strings',
  3: 'automatic thermal control',
  7: 'performance monitoring available',
  11: 'BTS unavailable',
  12: 'PEBS unavailable',
  16: 'enhanced SpeedStep',
  18: 'MONITOR',
  22: 'limit CPUID maxval',
  23: 'xTPR message disable',
  34: 'XD bit disable',
};

/** The address field of IA32_APIC_BASE is no set of bits: SDM vol. 3, 10.4.4. */
const APIC_BASE_FLAGS = 0xfff;

export interface NamedMsrBits {
  readonly names: BitNames;
  /** Bits 31:0 that are flags at all. */
  readonly flags: number;
}

const NAMED_BITS = new Map<number, NamedMsrBits>([
  [MSR_EFER, { names: EFER_BITS, flags: 0xffffffff }],
  [MSR_APIC_BASE, { names: APIC_BASE_BITS, flags: APIC_BASE_FLAGS }],
  [MSR_MISC_ENABLE, { names: MISC_ENABLE_BITS, flags: 0xffffffff }],
]);

export const msrBits = (index: number): NamedMsrBits | undefined => NAMED_BITS.get(index);
