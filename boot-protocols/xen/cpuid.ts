/**
 * CPUID as Xen 4.14 answers it for a 32-bit paravirtual guest that asks by the forced-emulation prefix. CPUID itself does
 * not trap: without the prefix a guest sees the CPU.
 */
import { bits, ECX, EDX, EXTENDED_ECX, EXTENDED_EDX, LEAF7_EBX } from '../../emulator/cpu-models/features.ts';
import type { CpuidResult, CpuModel } from '../../emulator/cpu-models/index.ts';

/** Xen 4.14 xen/include/public/arch-x86/cpuid.h: "XenVMMXenVMM". */
const SIGNATURE = { ebx: 0x566e6558, ecx: 0x65584d4d, edx: 0x4d4d566e };
const BASE = 0x40000000;
/** XEN_CPUID_MAX_NUM_LEAVES. */
const LAST = BASE + 5;
/** The version that docs/protocols/xen.md describes. */
const VERSION = (4 << 16) | 14;
const HYPERCALL_PAGES = 1;
const HYPERCALL_MSR = 0x40000000;
/** XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD: for paravirtual guests. */
const PRESERVE_AD = 1 << 0;
/** Time leaf, sub-leaf 0, EAX: RDTSCP is there; the TSC is not emulated, and not known to be reliable. */
const RDTSCP_AVAILABLE = 1 << 2;
/** Bits of a machine address, leaf base + 5: this domain's memory lies below 4 GiB. */
const MACHINE_ADDRESS_BITS = 32;

/**
 * What a paravirtual guest may see: features that Xen 4.14 xen/include/public/arch-x86/cpufeatureset.h marks `A` (all
 * guests). VME, PSE, MTRR, PGE, PSE36 and UMIP are marked `S`: not for paravirtual ones.
 */
const VISIBLE = {
  edx: bits(
    EDX.FPU,
    EDX.DE,
    EDX.TSC,
    EDX.MSR,
    EDX.PAE,
    EDX.MCE,
    EDX.CX8,
    EDX.APIC,
    EDX.SEP,
    EDX.MCA,
    EDX.CMOV,
    EDX.PAT,
    EDX.CLFSH,
    EDX.ACPI,
    EDX.MMX,
    EDX.FXSR,
    EDX.SSE,
    EDX.SSE2,
    EDX.SS,
  ),
  ecx: bits(ECX.SSE3, ECX.RDRAND),
  leaf7: LEAF7_EBX.RDSEED,
  extendedEcx: EXTENDED_ECX.LAHF_LM,
  extendedEdx: bits(EXTENDED_EDX.NX, EXTENDED_EDX.RDTSCP),
};
/** Bits 31:24 of CPUID.1:EBX, the APIC's id, are 0 for a paravirtual guest: guest_cpuid, case 1. */
const WITHOUT_APIC_ID = 0x00ffffff;

const NOTHING: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };

/**
 * Leaves of xen/arch/x86/cpuid.c: guest_cpuid, and of a 32-bit domain recalculate_cpuid_policy, which takes long mode
 * (and on Intel SYSCALL) away.
 */
export function xenCpuid(model: CpuModel, leaf: number, subleaf: number): CpuidResult {
  if (leaf >= BASE && leaf < 0x50000000) return xenLeaf(model, leaf, subleaf);
  const native = model.cpuid(leaf, subleaf);
  switch (leaf) {
    case 1:
      return {
        eax: native.eax,
        ebx: native.ebx & WITHOUT_APIC_ID,
        ecx: bits(native.ecx & VISIBLE.ecx, ECX.HYPERVISOR),
        edx: (native.edx & VISIBLE.edx) >>> 0,
      };
    case 7:
      return { eax: 0, ebx: (native.ebx & VISIBLE.leaf7) >>> 0, ecx: 0, edx: 0 };
    case 0x80000001:
      return {
        eax: native.eax,
        ebx: native.ebx,
        ecx: (native.ecx & VISIBLE.extendedEcx) >>> 0,
        edx: (native.edx & VISIBLE.extendedEdx) >>> 0,
      };
    default:
      return native;
  }
}

/** cpuid_hypervisor_leaves of Xen 4.14 xen/arch/x86/traps.c. */
function xenLeaf(model: CpuModel, leaf: number, subleaf: number): CpuidResult {
  switch (leaf - BASE) {
    case 0:
      return { eax: LAST, ...SIGNATURE };
    case 1:
      return { ...NOTHING, eax: VERSION };
    case 2:
      return { eax: HYPERCALL_PAGES, ebx: HYPERCALL_MSR, ecx: PRESERVE_AD, edx: 0 };
    case 3:
      return timeLeaf(model, subleaf);
    case 5:
      return subleaf === 0 ? { ...NOTHING, ebx: MACHINE_ADDRESS_BITS } : NOTHING;
    default:
      // Leaf base + 4 is for HVM guests; beyond the last there is nothing.
      return NOTHING;
  }
}

/** One tick is one instruction, and has no frequency: kHz fields, offset and scale are 0. */
const timeLeaf = (model: CpuModel, subleaf: number): CpuidResult =>
  subleaf === 0 ? { ...NOTHING, eax: model.hasRdtscp ? RDTSCP_AVAILABLE : 0 } : NOTHING;
