/** MOV to a control register at CPL 0: values that the CPU refuses, and the way into long mode. */
import { CR0_ET, CR0_PE, CR0_PG, CR4_PAE, CR4_PSE, EFER_LME } from '../control-bits.ts';
import { MSR_EFER } from '../msrs.ts';
import { answered, generalProtection, RUN, type Situation, stop, type Verdict } from './verdict.ts';

/** SDM vol. 3, 2.5: Not Write-through, Cache Disable. */
export const CR0_NW = 1 << 29;
export const CR0_CD = 1 << 30;

const refuse: Verdict = stop({ kind: 'exception' }, generalProtection(0));

/** SDM vol. 3, 2.5: bits 31:0 of CR0 that there are; writes to the others are ignored, and ET is always 1. */
const CR0_BITS = 0xe005003f;
/** CR4 bits with which a write loads the PDPTE registers again: PSE, PAE, PGE. SDM vol. 3, 4.4.1. */
const CR4_LOADS_PDPTES = CR4_PSE | CR4_PAE | (1 << 7);
/** CR0 bits that do: NW, CD, PG. */
const CR0_LOADS_PDPTES = CR0_NW | CR0_CD | CR0_PG;
/** Bits 2:1 and 8:5 of a PDPTE are reserved, and above bit 35 all of them: SDM vol. 3, table 4-8. */
const PDPTE_RESERVED_LOW = 0x1e6;
const PDPTE_RESERVED_HIGH = 0xfffffff0;
const PDPTES = 4;

/** SDM vol. 2, MOV—Move to/from Control Registers: what raises #GP(0). */
export function controlRegisterWrite(s: Situation): Verdict {
  const { systemRegister, generalRegister } = s.instruction;
  if (generalRegister === undefined) return RUN;
  const value = s.cpu.registers[generalRegister];
  const { cr0, cr3, cr4 } = s.cpu.control;
  switch (systemRegister) {
    case 0:
      return writeCr0(s, value);
    case 3:
      return pagesByPdptes(cr0, cr4) && hasBadPdpte(s, value) ? refuse : RUN;
    case 4: {
      if ((value & ~s.model.cr4) !== 0) return refuse;
      const loads = ((value ^ cr4) & CR4_LOADS_PDPTES) !== 0;
      return loads && pagesByPdptes(cr0, value) && hasBadPdpte(s, cr3) ? refuse : RUN;
    }
    default:
      return RUN;
  }
}

function writeCr0(s: Situation, asked: number): Verdict {
  const { cr0, cr3, cr4 } = s.cpu.control;
  const value = ((asked & CR0_BITS) | CR0_ET) >>> 0;
  if ((value & CR0_PG) !== 0 && (value & CR0_PE) === 0) return refuse;
  if ((value & CR0_NW) !== 0 && (value & CR0_CD) === 0) return refuse;
  // SDM vol. 3, 9.8.5: setting CR0.PG with EFER.LME set activates IA-32e mode.
  const lme = (Number(s.msrs.read(MSR_EFER) & 0xffffffffn) & EFER_LME) !== 0;
  const turnsOnPaging = (value & CR0_PG) !== 0 && (cr0 & CR0_PG) === 0;
  if (lme && turnsOnPaging) return stop({ kind: 'long-mode' });
  const loads = ((value ^ cr0) & CR0_LOADS_PDPTES) !== 0;
  if (loads && pagesByPdptes(value, cr4) && hasBadPdpte(s, cr3)) return refuse;
  // Engines keep bits that do not exist.
  const hasOthers = (asked & ~CR0_BITS) !== 0 && (value & CR0_PE) !== 0;
  return hasOthers ? answered({ control: { cr0: value } }) : RUN;
}

const pagesByPdptes = (cr0: number, cr4: number): boolean => (cr0 & CR0_PG) !== 0 && (cr4 & CR4_PAE) !== 0;

function hasBadPdpte(s: Situation, cr3: number): boolean {
  const table = (cr3 & 0xffffffe0) >>> 0;
  for (let i = 0; i < PDPTES; i++) {
    const low = s.readPhysical?.(table + 8 * i) ?? 0;
    const high = s.readPhysical?.(table + 8 * i + 4) ?? 0;
    if ((low & 1) !== 0 && ((low & PDPTE_RESERVED_LOW) !== 0 || (high & PDPTE_RESERVED_HIGH) !== 0))
      return true;
  }
  return false;
}
