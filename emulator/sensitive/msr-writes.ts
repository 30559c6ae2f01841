/**
 * What WRMSR refuses: SDM vol. 4, table 2-2. MSRs that no model knows keep what is written to them, so that a kernel
 * that probes goes on.
 */

const PLATFORM_ID = 0x17;
const APIC_BASE = 0x1b;
const MTRRCAP = 0xfe;
const ARCH_CAPABILITIES = 0x10a;
const MCG_CAP = 0x179;
const PERF_STATUS = 0x198;
const PAT = 0x277;
const TSC_AUX = 0xc0000103;

const READ_ONLY: ReadonlySet<number> = new Set([
  PLATFORM_ID,
  MTRRCAP,
  ARCH_CAPABILITIES,
  MCG_CAP,
  PERF_STATUS,
]);

/** Bits 7:0 and 9, x2APIC mode (no model has it), and addresses of more than 36 bits. SDM vol. 3, 10.4.4. */
const APIC_BASE_RESERVED = 0xffff_fff0_0000_06ffn;
/** UC, WC, WT, WP, WB, UC-: SDM vol. 3, table 11-10. */
const MEMORY_TYPES: ReadonlySet<number> = new Set([0, 1, 4, 5, 6, 7]);

/** Whether WRMSR of this value is #GP(0); EFER is looked at by itself. */
export function isRefusedMsr(index: number, value: bigint): boolean {
  if (READ_ONLY.has(index)) return true;
  switch (index) {
    case APIC_BASE:
      return (value & APIC_BASE_RESERVED) !== 0n;
    case PAT:
      return [0n, 8n, 16n, 24n, 32n, 40n, 48n, 56n].some(
        shift => !MEMORY_TYPES.has(Number((value >> shift) & 0xffn)),
      );
    case TSC_AUX:
      return value >> 32n !== 0n;
    default:
      return false;
  }
}
