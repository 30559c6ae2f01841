/** What the CPU refuses in an instruction that it raises an exception for by its operands: decoded from the Stop. */
import { decode } from '../../../boot-protocols/hosts/instruction.ts';
import { CR0_PE, CR0_PG } from '../../../emulator/control-bits.ts';
import { CPU_MODELS, findCpuModel } from '../../../emulator/cpu-models/index.ts';
import type { DecodedInstruction } from '../../../emulator/decode/instruction.ts';
import { FLAG_NT, FLAG_TF } from '../../../emulator/flags.ts';
import { MSR_EFER } from '../../../emulator/msrs.ts';
import { CR0_CD, CR0_NW } from '../../../emulator/sensitive/control-registers.ts';
import type { StopOf } from '../../../emulator/stop.ts';
import { hex32, hexShort } from '../hex.ts';

export interface Refusal {
  /** Continues `mov %eax,%cr0: `. */
  readonly claim: string;
  /** The claim stands for itself: it is not about the instruction shown. */
  readonly alone?: true;
  readonly why: string;
}

type Refused = (stop: StopOf<'exception'>, instruction: DecodedInstruction) => Refusal | undefined;

const CR0 = 0;
const CR4 = 4;

/** Sizes and types of vectors: SDM vol. 3, table 6-1. */
const VECTOR = { divide: 0, debug: 1, bound: 5, invalidTss: 10, generalProtection: 13 } as const;

const toControlRegister = (
  stop: StopOf<'exception'>,
  { systemRegister, generalRegister }: DecodedInstruction,
  reserved: number,
): Refusal | undefined => {
  if (generalRegister === undefined) return undefined;
  const value = stop.cpu.registers[generalRegister];
  if (systemRegister === CR0) {
    if ((value & CR0_PG) !== 0 && (value & CR0_PE) === 0) {
      return {
        claim: `${hex32(value)} sets PG without PE`,
        why: `The value ${hex32(value)} has CR0.PG (bit 31) set and CR0.PE (bit 0) clear, and there is no paging outside protected mode: #GP(0) (SDM vol. 2, MOV to CRn).`,
      };
    }
    if ((value & CR0_NW) !== 0 && (value & CR0_CD) === 0) {
      return {
        claim: `${hex32(value)} sets NW without CD`,
        why: `The value ${hex32(value)} has CR0.NW (bit 29) set and CR0.CD (bit 30) clear, which is no valid cache mode: #GP(0) (SDM vol. 2, MOV to CRn; vol. 3, 11.5.1).`,
      };
    }
  }
  if (systemRegister === CR4 && (value & reserved) !== 0) {
    return {
      claim: `${hex32(value)} has reserved bits of CR4`,
      why: `The value ${hex32(value)} sets bits of CR4 that are reserved on this CPU model (${hex32((value & reserved) >>> 0)}): #GP(0). CR4 was ${hex32(stop.cpu.control.cr4)}; a kernel asks cpuid before it sets a bit (SDM vol. 2, MOV to CRn; vol. 3, 2.5).`,
    };
  }
  return undefined;
};

const wrmsr: Refused = ({ cpu }) => {
  const { eax, ecx, edx } = cpu.registers;
  const value = `${hex32(edx)}:${hex32(eax).slice(2)}`;
  return ecx === MSR_EFER
    ? {
        claim: `EFER := ${value} has reserved bits`,
        why: `The value ${value} (EDX:EAX) sets a bit of IA32_EFER that is reserved on this CPU model: #GP(0). EFER was ${hex32(cpu.control.efer)}; bits 0, 8 and 11 are SCE, LME and NXE, and cpuid leaf 0x80000001 says which exist (SDM vol. 2, WRMSR; vol. 3, 2.2.1).`,
      }
    : undefined;
};

const FAST_CALL: Refused = (_stop, { mnemonic }) => ({
  claim: 'IA32_SYSENTER_CS is null',
  why: `${mnemonic.toUpperCase()} takes its selectors from IA32_SYSENTER_CS (MSR 0x174), and with a null selector (0 to 3) there it raises #GP(0) (SDM vol. 2, ${mnemonic.toUpperCase()}).`,
});

const loadTask: Refused = stop => {
  const code = stop.exception?.errorCode ?? 0;
  return {
    claim: `selector ${hexShort(code)} is no task state segment to load`,
    why: 'TR takes a selector of the GDT whose descriptor is an available TSS: #GP(selector) (SDM vol. 2, LTR).',
  };
};

const BY_MNEMONIC: Readonly<Record<string, Refused>> = {
  wrmsr,
  sysenter: FAST_CALL,
  sysexit: FAST_CALL,
  ltr: loadTask,
};

/** SDM vol. 3, table 17-2: what raises #DB, by what shows in a Stop. */
function debugException({ cpu }: StopOf<'exception'>, instruction: DecodedInstruction | undefined): Refusal {
  const { sensitivity } = instruction ?? {};
  if (sensitivity?.type === 'rule' && /^mov-(to|from)-dr$/.test(sensitivity.rule)) {
    return {
      claim: 'DR7.GD guards the debug registers',
      why: 'DR7.GD (bit 13) is set: every MOV to or from a debug register raises #DB before it is done, and the CPU sets DR6.BD and clears GD for the handler (SDM vol. 3, 17.2.4 and 17.3.1.3).',
    };
  }
  if ((cpu.eflags & FLAG_TF) !== 0) {
    return {
      claim: 'single step: EFLAGS.TF traps after each instruction',
      alone: true,
      why: `EFLAGS.TF is set (EFLAGS is ${hex32(cpu.eflags)}): the CPU raises #DB after each instruction, and this one after the instruction before the one shown, which has not run yet (SDM vol. 3, 17.3.1.4).`,
    };
  }
  return {
    claim: 'a breakpoint or a debug trap',
    alone: true,
    why: 'TF is clear, so this is a breakpoint of DR0 to DR3, the T bit of a TSS or INT1; DR6 says which (SDM vol. 3, 17.2.3 and table 17-2).',
  };
}

function invalidTss(stop: StopOf<'exception'>): Refusal {
  return (stop.cpu.eflags & FLAG_NT) !== 0
    ? {
        claim: 'NT is set, and there is no task to return to',
        why: `EFLAGS.NT is set (EFLAGS is ${hex32(stop.cpu.eflags)}), so IRET returns to the task that the link of the current TSS names; the CPU found no such task there: #TS (SDM vol. 2, IRET; vol. 3, 6.15, interrupt 10).`,
      }
    : {
        claim: 'the task state segment cannot be used',
        why: 'The CPU took a stack or a task from a TSS that does not hold a valid one: #TS (SDM vol. 3, 6.15, interrupt 10).',
      };
}

/** Bits of CR4 that the model does not have. */
const reservedCr4 = (cpuModel: string): number => ~((findCpuModel(cpuModel) ?? CPU_MODELS[0])?.cr4 ?? 0);

/**
 * Nothing where the exception says all there is, or the operands do not show the reason.
 *
 * @param cpuModel its name
 */
export function refusalOf(stop: StopOf<'exception'>, cpuModel: string): Refusal | undefined {
  const instruction = decode(stop);
  switch (stop.exception?.vector) {
    case VECTOR.divide:
      return {
        claim: 'the divisor is 0, or the quotient does not fit',
        why: 'DIV and IDIV raise #DE for a divisor of 0 and for a quotient that is too large for its register, AAM for an operand of 0 (SDM vol. 3, 6.15, interrupt 0).',
      };
    case VECTOR.debug:
      return debugException(stop, instruction);
    case VECTOR.bound:
      return {
        claim: 'the index is outside its bounds',
        why: 'BOUND raises #BR when the index is below the first or above the second of the two bounds in memory (SDM vol. 2, BOUND).',
      };
    case VECTOR.invalidTss:
      return invalidTss(stop);
    case VECTOR.generalProtection: {
      if (!instruction) return undefined;
      return instruction.systemRegister === undefined
        ? BY_MNEMONIC[instruction.mnemonic]?.(stop, instruction)
        : toControlRegister(stop, instruction, reservedCr4(cpuModel));
    }
    default:
      return undefined;
  }
}
