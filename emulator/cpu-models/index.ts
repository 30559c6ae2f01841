/**
 * Named CPU models: what CPUID answers, which instructions, CR4 bits and EFER bits exist, the same on every engine and
 * every host. What a model changes in a kernel's path: docs/cpu-models.md.
 */
import { bits, ECX, EDX, EXTENDED_ECX, EXTENDED_EDX, LEAF7_EBX, LEAF7_ECX } from './features.ts';

export interface CpuidResult {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

export interface CpuModel {
  readonly name: string;
  readonly summary: string;
  /** Zeros for a leaf that there is not. */
  cpuid(leaf: number, subleaf: number): CpuidResult;
  readonly longMode: boolean;
  /** RDRAND and RDSEED. */
  readonly hasRandom: boolean;
  readonly hasRdtscp: boolean;
  readonly hasTsc: boolean;
  /** RDMSR and WRMSR. */
  readonly hasMsrs: boolean;
  readonly hasRdpmc: boolean;
  /** SYSENTER and SYSEXIT. */
  readonly hasSysenter: boolean;
  readonly hasNx: boolean;
  /** CR4 bits that can be set: the rest is reserved. SDM vol. 3, 2.5. */
  readonly cr4: number;
}

/** CR4 bits: SDM vol. 3, 2.5. */
const CR4 = {
  VME: 1 << 0,
  PVI: 1 << 1,
  TSD: 1 << 2,
  DE: 1 << 3,
  PSE: 1 << 4,
  PAE: 1 << 5,
  MCE: 1 << 6,
  PGE: 1 << 7,
  PCE: 1 << 8,
  OSFXSR: 1 << 9,
  OSXMMEXCPT: 1 << 10,
  UMIP: 1 << 11,
} as const;

/** "GenuineIntel" in EBX, EDX, ECX. */
const VENDOR = { ebx: 0x756e6547, edx: 0x49656e69, ecx: 0x6c65746e };
const PHYSICAL_ADDRESS_BITS = 36;
const LINEAR_ADDRESS_BITS = 48;
/** CPUID.1:EBX bits 15:8: CLFLUSH line size in units of 8 bytes. */
const CLFLUSH_LINE = (64 / 8) << 8;

const NOTHING: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };

type Leaves = readonly (readonly [leaf: number, CpuidResult])[];

const word = (text: string, at: number): number =>
  ((text.charCodeAt(at) || 0) |
    ((text.charCodeAt(at + 1) || 0) << 8) |
    ((text.charCodeAt(at + 2) || 0) << 16) |
    ((text.charCodeAt(at + 3) || 0) << 24)) >>>
  0;

/** The brand string, in leaves 0x80000002 to 0x80000004. */
function brandLeaves(name: string): Leaves {
  const brand = `startup32 ${name}`.padEnd(48, '\0');
  const leaf = (at: number): CpuidResult => ({
    eax: word(brand, at),
    ebx: word(brand, at + 4),
    ecx: word(brand, at + 8),
    edx: word(brand, at + 12),
  });
  return [
    [0x80000002, leaf(0)],
    [0x80000003, leaf(16)],
    [0x80000004, leaf(32)],
  ];
}

function answers(leaves: Leaves): CpuModel['cpuid'] {
  const byLeaf = new Map(leaves);
  return (leaf, subleaf) => (leaf === 7 && subleaf !== 0 ? NOTHING : (byLeaf.get(leaf) ?? NOTHING));
}

/** No MCE, APIC or MTRR: there are none. */
const P6_FEATURES = bits(
  EDX.FPU,
  EDX.VME,
  EDX.DE,
  EDX.PSE,
  EDX.TSC,
  EDX.MSR,
  EDX.PAE,
  EDX.CX8,
  EDX.SEP,
  EDX.PGE,
  EDX.CMOV,
  EDX.PAT,
  EDX.PSE36,
  EDX.CLFSH,
  EDX.MMX,
  EDX.FXSR,
  EDX.SSE,
  EDX.SSE2,
);
/** MCE is in every P6, although the models have no bank that could report anything. */
const P6_CR4 =
  CR4.VME |
  CR4.PVI |
  CR4.TSD |
  CR4.DE |
  CR4.PSE |
  CR4.PAE |
  CR4.MCE |
  CR4.PGE |
  CR4.PCE |
  CR4.OSFXSR |
  CR4.OSXMMEXCPT;
/** Family 6, model 15, stepping 1: the first Intel Core 2, before features that these engines lack. */
const P6_SIGNATURE = 0x000006f1;

/**
 * What Xen 4.14 shows an HVM or PVH guest, whose CPUID goes to the hypervisor: cpuid_hypervisor_leaves of
 * xen/arch/x86/traps.c, xen/include/public/arch-x86/cpuid.h.
 */
const XEN_LEAVES: Leaves = [
  // The last leaf, "XenVMMXenVMM".
  [0x40000000, { eax: 0x40000005, ebx: 0x566e6558, ecx: 0x65584d4d, edx: 0x4d4d566e }],
  [0x40000001, { ...NOTHING, eax: (4 << 16) | 14 }],
  // One hypercall page, by this MSR.
  [0x40000002, { ...NOTHING, eax: 1, ebx: 0x40000000 }],
  // Time: the TSC is not emulated, and has no frequency here.
  [0x40000003, NOTHING],
  // IOMMU mappings, the vcpu's number (EBX 0), the domain's (ECX 1).
  [0x40000004, { ...NOTHING, eax: (1 << 2) | (1 << 3) | (1 << 4), ecx: 1 }],
];

interface P6Options {
  readonly name: string;
  readonly summary: string;
  readonly longMode?: boolean;
  readonly hypervisor?: boolean;
  readonly umip?: boolean;
  readonly xen?: boolean;
}

function p6({
  name,
  summary,
  longMode = false,
  hypervisor = false,
  umip = false,
  xen = false,
}: P6Options): CpuModel {
  const extended = [EXTENDED_EDX.NX, EXTENDED_EDX.RDTSCP, ...(longMode ? [EXTENDED_EDX.LM] : [])];
  return {
    name,
    summary,
    longMode,
    hasRandom: true,
    hasRdtscp: true,
    hasTsc: true,
    hasMsrs: true,
    hasRdpmc: true,
    hasSysenter: true,
    hasNx: true,
    cr4: P6_CR4 | (umip ? CR4.UMIP : 0),
    cpuid: answers([
      [0, { eax: 7, ...VENDOR }],
      [
        1,
        {
          eax: P6_SIGNATURE,
          ebx: CLFLUSH_LINE,
          ecx: bits(ECX.SSE3, ECX.RDRAND, ...(hypervisor ? [ECX.HYPERVISOR] : [])),
          edx: P6_FEATURES,
        },
      ],
      [7, { eax: 0, ebx: LEAF7_EBX.RDSEED, ecx: umip ? LEAF7_ECX.UMIP : 0, edx: 0 }],
      [0x80000000, { ...NOTHING, eax: 0x80000008 }],
      [0x80000001, { eax: 0, ebx: 0, ecx: longMode ? EXTENDED_ECX.LAHF_LM : 0, edx: bits(...extended) }],
      ...(xen ? XEN_LEAVES : []),
      ...brandLeaves(name),
      [0x80000008, { ...NOTHING, eax: PHYSICAL_ADDRESS_BITS | ((longMode ? LINEAR_ADDRESS_BITS : 32) << 8) }],
    ]),
  };
}

interface OldOptions {
  readonly name: string;
  readonly summary: string;
  readonly signature: number;
  readonly features: number;
  readonly cr4: number;
}

/** Before the P6: two leaves, and no more instructions than they announce. */
const old = ({ name, summary, signature, features, cr4 }: OldOptions): CpuModel => ({
  name,
  summary,
  longMode: false,
  hasRandom: false,
  hasRdtscp: false,
  hasTsc: (features & EDX.TSC) !== 0,
  hasMsrs: (features & EDX.MSR) !== 0,
  hasRdpmc: false,
  hasSysenter: false,
  hasNx: false,
  cr4,
  cpuid: answers([
    [0, { eax: 1, ...VENDOR }],
    [1, { eax: signature, ebx: 0, ecx: 0, edx: features }],
  ]),
});

/** The first is the one that tests of evaluators use. */
export const CPU_MODELS: readonly CpuModel[] = [
  p6({ name: 'i686', summary: 'SSE2, SSE3, NX, RDRAND' }),
  p6({ name: 'i686-hv', summary: 'i686 with the hypervisor bit', hypervisor: true }),
  p6({ name: 'i686-umip', summary: 'i686 with UMIP', umip: true }),
  p6({
    name: 'i686-umip-hv',
    summary: 'i686 with UMIP and the hypervisor bit',
    umip: true,
    hypervisor: true,
  }),
  p6({
    name: 'i686-xen',
    summary: 'i686-hv with the leaves that Xen shows an HVM guest',
    hypervisor: true,
    xen: true,
  }),
  p6({ name: 'core2', summary: 'i686 with long mode', longMode: true }),
  p6({ name: 'core2-hv', summary: 'core2 with the hypervisor bit', longMode: true, hypervisor: true }),
  old({
    name: 'i586',
    summary: 'a Pentium: TSC, MSRs, 4 MiB pages; no PAE, PGE, CMOV, SEP',
    // Family 5, model 2, stepping 12: Pentium 75 to 200, stepping cC0. MCE is left out as for i686.
    signature: 0x52c,
    features: bits(EDX.FPU, EDX.VME, EDX.DE, EDX.PSE, EDX.TSC, EDX.MSR, EDX.CX8),
    cr4: CR4.VME | CR4.PVI | CR4.TSD | CR4.DE | CR4.PSE | CR4.MCE,
  }),
  old({
    name: 'i486',
    summary: 'an IntelDX4: CPUID and VME; no TSC, no MSRs, 4 KiB pages only',
    // Family 4, model 8, stepping 0: IntelDX4.
    signature: 0x480,
    features: bits(EDX.FPU, EDX.VME),
    cr4: CR4.VME | CR4.PVI,
  }),
];

export const findCpuModel = (name: string): CpuModel | undefined => CPU_MODELS.find(m => m.name === name);
