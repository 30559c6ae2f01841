/**
 * What an instruction does when the Machine does it instead of the engine. Plain data, made by an evaluator in
 * `sensitive/` and put into the machine by `Guest.apply`. What is absent stays as it is.
 */
import type { ControlRegisters, CpuState, GeneralRegisters, Ring, TableRegister } from './cpu-state.ts';
import { FLAG_IOPL, FLAG_VM } from './flags.ts';
import type { SegmentName, SegmentRegister } from './segmentation.ts';

export interface Effect {
  readonly registers?: Partial<GeneralRegisters>;
  readonly eflags?: number;
  /** Where control goes on. Default: the next instruction. */
  readonly eip?: number;
  readonly segments?: Partial<Readonly<Record<SegmentName, SegmentRegister>>>;
  readonly ldtr?: SegmentRegister;
  readonly tr?: SegmentRegister;
  readonly gdtr?: TableRegister;
  readonly idtr?: TableRegister;
  readonly control?: Partial<ControlRegisters>;
  readonly cpl?: Ring;
  /** In the order in which the CPU does them; each at a linear address, through the mapping before the instruction. */
  readonly writes?: readonly LinearWrite[];
  readonly debug?: Partial<DebugRegisters>;
  /** Model-specific registers but EFER, as WRMSR writes them. */
  readonly msrs?: readonly { readonly index: number; readonly value: bigint }[];
}

/** Debug status and debug control: SDM vol. 3, 17.2. */
export interface DebugRegisters {
  readonly dr6: number;
  readonly dr7: number;
}

export interface LinearWrite {
  /** 0 to 2^32 - 1; the bytes may cross pages. */
  readonly linear: number;
  readonly bytes: Uint8Array;
  /** The address is a physical one: a hypervisor writes around the guest's mapping. */
  readonly isPhysical?: boolean;
}

/** EFLAGS bits that decide how later instructions are looked at. */
const DECISIVE_FLAGS = FLAG_IOPL | FLAG_VM;

/** Whether only general registers, EIP, harmless flags and memory change: no look at the whole CPU is needed. */
export function isSimple(effect: Effect, eflags: number): boolean {
  const { segments, ldtr, tr, gdtr, idtr, control, cpl } = effect;
  if (segments ?? ldtr ?? tr ?? gdtr ?? idtr ?? control) return false;
  if (cpl !== undefined) return false;
  return effect.eflags === undefined || ((effect.eflags ^ eflags) & DECISIVE_FLAGS) === 0;
}

/** The CPU after the effect, memory aside. */
export function merged(cpu: CpuState, effect: Effect, nextEip: number): CpuState {
  return {
    registers: { ...cpu.registers, ...effect.registers },
    eip: effect.eip ?? nextEip,
    eflags: effect.eflags ?? cpu.eflags,
    segments: { ...cpu.segments, ...effect.segments },
    ldtr: effect.ldtr ?? cpu.ldtr,
    tr: effect.tr ?? cpu.tr,
    gdtr: effect.gdtr ?? cpu.gdtr,
    idtr: effect.idtr ?? cpu.idtr,
    control: { ...cpu.control, ...effect.control },
    cpl: effect.cpl ?? cpu.cpl,
  };
}
