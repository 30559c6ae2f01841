/** General registers at entry: what the protocol promises, and the poison pattern for the rest. */
import { CR0_ET, CR0_PE, CR0_PG, CR4_PAE } from '../emulator/control-bits.ts';
import { type ControlRegisters, GENERAL_REGISTERS, type GeneralRegister } from '../emulator/cpu-state.ts';
import { type PagingMode, REGISTER_POISON, type RegisterEntry } from '../emulator/entry-state.ts';

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

/** Control registers of a loader whose CR0 without PG is `cr0`, with the page tables that its knobs ask for. */
export const entryControl = (cr0: number, mode: PagingMode, cr3: number): ControlRegisters => ({
  cr0: mode === 'off' ? cr0 : (cr0 | CR0_PG) >>> 0,
  cr2: 0,
  cr3,
  cr4: mode === 'pae' ? CR4_PAE : 0,
  efer: 0,
});

/** Protected mode, and nothing else. */
export const CR0_PROTECTED = CR0_PE | CR0_ET;
/** PE MP ET NE WP AM PG: how Linux (and so an lguest host) and Xen run: Linux 4.13 asm/processor-flags.h CR0_STATE. */
export const CR0_HYPERVISOR = 0x80050033;
