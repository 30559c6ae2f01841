/** General registers at entry: what the protocol promises, and the poison pattern for the rest. */
import { GENERAL_REGISTERS, type GeneralRegister } from '../emulator/cpu-state.ts';
import { REGISTER_POISON, type RegisterEntry } from '../emulator/entry-state.ts';

export type PromisedRegisters = Readonly<Partial<Record<GeneralRegister, Omit<RegisterEntry, 'promised'>>>>;

/** @param others what a register holds that `promised` does not name: zero and promised, or poison and not */
export function entryRegisters(
  promised: PromisedRegisters,
  others: 'zero' | 'poison',
): Readonly<Record<GeneralRegister, RegisterEntry>> {
  const entry = (name: GeneralRegister): RegisterEntry => {
    const known = promised[name];
    if (known) return { ...known, promised: true };
    return others === 'zero'
      ? { value: 0, promised: true }
      : { value: REGISTER_POISON[name], promised: false };
  };
  const [eax, ecx, edx, ebx, esp, ebp, esi, edi] = GENERAL_REGISTERS;
  return {
    eax: entry(eax),
    ecx: entry(ecx),
    edx: entry(edx),
    ebx: entry(ebx),
    esp: entry(esp),
    ebp: entry(ebp),
    esi: entry(esi),
    edi: entry(edi),
  };
}

/** EFLAGS bit 1 always reads as 1 (SDM vol. 1, figure 3-8). */
export const EFLAGS_FIXED = 0x2;
export const EFLAGS_IF = 0x200;

/** CR0 bits, SDM vol. 3, 2.5. */
export const CR0_PROTECTED = 0x00000011;
export const CR0_PAGING = 0x80000000;
/** PE MP ET NE WP AM PG: how Linux (and so an lguest host) and Xen run: Linux 4.13 asm/processor-flags.h CR0_STATE. */
export const CR0_HYPERVISOR = 0x80050033;
export const CR4_PAE = 0x20;
export const CR4_OSFXSR = 0x200;
export const CR4_OSXMMEXCPT = 0x400;
