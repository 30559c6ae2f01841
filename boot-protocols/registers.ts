/** General registers at entry: what the protocol promises, and the poison pattern for the rest. */
import { CR0_ET, CR0_PE } from '../emulator/control-bits.ts';
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

/** Protected mode, and nothing else. */
export const CR0_PROTECTED = CR0_PE | CR0_ET;
/** PE MP ET NE WP AM PG: how Linux (and so an lguest host) and Xen run: Linux 4.13 asm/processor-flags.h CR0_STATE. */
export const CR0_HYPERVISOR = 0x80050033;
