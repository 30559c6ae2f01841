/**
 * Named CPU models: what CPUID answers and which instructions exist, the same on every engine and every host.
 * Layout of the leaves: SDM vol. 2, CPUID; AMD APM vol. 3 for the 0x8000_xxxx leaves.
 */

export interface CpuidResult {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

export interface CpuModel {
  readonly name: string;
  readonly summary: string;
  cpuid(leaf: number, subleaf: number): CpuidResult;
  readonly longMode: boolean;
  readonly hasRandom: boolean;
  readonly hasRdtscp: boolean;
}

/** CPUID.1:EDX: FPU VME DE PSE TSC MSR PAE CX8 SEP PGE CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2. No MCE, APIC, MTRR: there are none. */
const FEATURES_EDX =
  (1 << 0) |
  (1 << 1) |
  (1 << 2) |
  (1 << 3) |
  (1 << 4) |
  (1 << 5) |
  (1 << 6) |
  (1 << 8) |
  (1 << 11) |
  (1 << 13) |
  (1 << 15) |
  (1 << 16) |
  (1 << 17) |
  (1 << 19) |
  (1 << 23) |
  (1 << 24) |
  (1 << 25) |
  (1 << 26);
/** CPUID.1:ECX: SSE3, RDRAND. */
const FEATURE_SSE3 = 1 << 0;
const FEATURE_RDRAND = 1 << 30;
const FEATURE_HYPERVISOR = 1 << 31;
/** CPUID.(7,0):EBX: RDSEED. */
const FEATURE_RDSEED = 1 << 18;
/** CPUID.8000_0001:EDX: NX, RDTSCP, LM. */
const EXTENDED_NX = 1 << 20;
const EXTENDED_RDTSCP = 1 << 27;
const EXTENDED_LM = 1 << 29;

/** "GenuineIntel" in EBX, EDX, ECX. */
const VENDOR = { ebx: 0x756e6547, edx: 0x49656e69, ecx: 0x6c65746e };
/** Family 6, model 15, stepping 1: the first Intel Core 2, before features that these engines lack. */
const SIGNATURE = 0x000006f1;
const PHYSICAL_ADDRESS_BITS = 36;
const LINEAR_ADDRESS_BITS = 48;

const NOTHING: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };

const word = (text: string, at: number): number =>
  ((text.charCodeAt(at) || 0) |
    ((text.charCodeAt(at + 1) || 0) << 8) |
    ((text.charCodeAt(at + 2) || 0) << 16) |
    ((text.charCodeAt(at + 3) || 0) << 24)) >>>
  0;

interface ModelOptions {
  readonly name: string;
  readonly summary: string;
  readonly longMode: boolean;
  readonly hypervisor: boolean;
}

function defineModel({ name, summary, longMode, hypervisor }: ModelOptions): CpuModel {
  const brand = `startup32 ${name}`.padEnd(48, '\0');
  const leaves: Readonly<Record<number, CpuidResult>> = {
    0: { eax: 7, ...VENDOR },
    1: {
      eax: SIGNATURE,
      ebx: (64 / 8) << 8,
      ecx: (FEATURE_SSE3 | FEATURE_RDRAND | (hypervisor ? FEATURE_HYPERVISOR : 0)) >>> 0,
      edx: FEATURES_EDX,
    },
    7: { eax: 0, ebx: FEATURE_RDSEED, ecx: 0, edx: 0 },
    2147483648: { eax: 0x80000008, ebx: 0, ecx: 0, edx: 0 },
    2147483649: {
      eax: 0,
      ebx: 0,
      ecx: longMode ? 1 : 0,
      edx: (EXTENDED_NX | EXTENDED_RDTSCP | (longMode ? EXTENDED_LM : 0)) >>> 0,
    },
    2147483656: {
      eax: PHYSICAL_ADDRESS_BITS | ((longMode ? LINEAR_ADDRESS_BITS : 32) << 8),
      ebx: 0,
      ecx: 0,
      edx: 0,
    },
  };
  return {
    name,
    summary,
    longMode,
    hasRandom: true,
    hasRdtscp: true,
    cpuid(leaf, subleaf) {
      if (leaf === 7 && subleaf !== 0) return NOTHING;
      if (leaf >= 0x80000002 && leaf <= 0x80000004) {
        const at = (leaf - 0x80000002) * 16;
        return {
          eax: word(brand, at),
          ebx: word(brand, at + 4),
          ecx: word(brand, at + 8),
          edx: word(brand, at + 12),
        };
      }
      return leaves[leaf] ?? NOTHING;
    },
  };
}

export const CPU_MODELS: readonly CpuModel[] = [
  defineModel({ name: 'i686', summary: 'SSE2, SSE3, NX, RDRAND', longMode: false, hypervisor: false }),
  defineModel({
    name: 'i686-hv',
    summary: 'i686 with the hypervisor bit',
    longMode: false,
    hypervisor: true,
  }),
  defineModel({ name: 'core2', summary: 'i686 with long mode', longMode: true, hypervisor: false }),
  defineModel({
    name: 'core2-hv',
    summary: 'core2 with the hypervisor bit',
    longMode: true,
    hypervisor: true,
  }),
];

export const findCpuModel = (name: string): CpuModel | undefined => CPU_MODELS.find(m => m.name === name);
