/** CPUID, RDTSC, random numbers and MSRs: answered here, from the CPU model and virtual time, the same everywhere. */

import type { Sensitivity } from '../decode/sensitivity.ts';
import { ARITHMETIC_FLAGS, FLAG_CF } from '../flags.ts';
import { MSR_EFER, MSR_TSC, MSR_TSC_AUX } from '../msrs.ts';
import { findRule } from '../privilege/index.ts';
import { isReservedEfer } from './efer.ts';
import { isRefusedMsr } from './msr-writes.ts';
import {
  answered,
  generalProtection,
  INVALID_OPCODE,
  type ModelSpecificRegisters,
  type Situation,
  stop,
  type Verdict,
} from './verdict.ts';

export type Answered = Extract<Sensitivity, { type: 'answered' }>['what'];

const undefinedOpcode: Verdict = stop({ kind: 'invalid-opcode' }, { vector: INVALID_OPCODE });

/** Of the P6 family, which has no leaf 0AH of CPUID: SDM vol. 2, RDPMC. */
const PERFORMANCE_COUNTERS = 2;

const low = (value: bigint): number => Number(value & 0xffffffffn);
const high = (value: bigint): number => Number((value >> 32n) & 0xffffffffn);

/** The rule that keeps `id` to ring 0 says whether it faults here. */
function guarded(s: Situation, id: string, answer: () => Verdict): Verdict {
  return findRule(id)?.applies(s.state)
    ? stop({ kind: 'privileged-instruction', rule: id }, generalProtection(0))
    : answer();
}

function random(s: Situation): Verdict {
  const { generalRegister, operandSize } = s.instruction;
  if (!s.model.hasRandom || !generalRegister) return undefinedOpcode;
  const value = s.random();
  const old = s.cpu.registers[generalRegister];
  const merged = operandSize === 16 ? ((old & 0xffff0000) | (value & 0xffff)) >>> 0 : value;
  // CF = 1: a value was ready; the other arithmetic flags are cleared. SDM vol. 2, RDRAND.
  return answered({
    registers: { [generalRegister]: merged },
    eflags: ((s.cpu.eflags & ~ARITHMETIC_FLAGS) | FLAG_CF) >>> 0,
  });
}

/** Merges into a register file that `rdmsr` and `wrmsr` see; the TSC is virtual time plus what was written to it. */
export class MsrFile implements ModelSpecificRegisters {
  readonly #values = new Map<number, bigint>();

  read(index: number): bigint {
    return this.#values.get(index) ?? 0n;
  }

  write(index: number, value: bigint): void {
    this.#values.set(index, BigInt.asUintN(64, value));
  }
}

/** Bits 11:0 are the number of the hypercall page among those that there are: Xen 4.14 xen/arch/x86/traps.c, guest_wrmsr_xen. */
const PAGE_NUMBER = 0xfffn;

/** There is one page, number 0. What lies above 4 GiB has no memory behind it here. */
function fillHypercallPage(value: bigint, page: Uint8Array): Verdict {
  if ((value & PAGE_NUMBER) !== 0n) return stop({ kind: 'exception' }, generalProtection(0));
  if (value >= 1n << 32n) return answered({});
  return answered({ writes: [{ linear: low(value), bytes: page, isPhysical: true }] });
}

const ANSWERS: Readonly<Record<Answered, (s: Situation) => Verdict>> = {
  cpuid(s) {
    const { eax, ebx, ecx, edx } = s.model.cpuid(s.cpu.registers.eax, s.cpu.registers.ecx);
    return answered({ registers: { eax, ebx, ecx, edx } });
  },
  rdtsc: s =>
    guarded(s, 'rdtsc', () => {
      const tsc = s.tsc() + s.msrs.read(MSR_TSC);
      return answered({ registers: { eax: low(tsc), edx: high(tsc) } });
    }),
  rdtscp: s =>
    s.model.hasRdtscp
      ? guarded(s, 'rdtsc', () => {
          const tsc = s.tsc() + s.msrs.read(MSR_TSC);
          return answered({
            registers: { eax: low(tsc), edx: high(tsc), ecx: low(s.msrs.read(MSR_TSC_AUX)) },
          });
        })
      : undefinedOpcode,
  rdrand: random,
  rdseed: random,
  rdmsr: s =>
    guarded(s, 'rdmsr', () => {
      const index = s.cpu.registers.ecx;
      const value = index === MSR_TSC ? s.tsc() + s.msrs.read(MSR_TSC) : s.msrs.read(index);
      return answered({ registers: { eax: low(value), edx: high(value) } });
    }),
  wrmsr: s =>
    guarded(s, 'wrmsr', () => {
      const { eax, ecx, edx } = s.cpu.registers;
      const value = (BigInt(edx) << 32n) | BigInt(eax);
      const { hypercallMsr } = s.platform;
      if (hypercallMsr?.index === ecx) return fillHypercallPage(value, hypercallMsr.page);
      const isRefused = ecx === MSR_EFER ? isReservedEfer(value, s.model) : isRefusedMsr(ecx, value);
      if (isRefused) return stop({ kind: 'exception' }, generalProtection(0));
      if (ecx === MSR_EFER) return answered({ control: { efer: low(value) } });
      s.msrs.write(ecx, ecx === MSR_TSC ? value - s.tsc() : value);
      return answered({});
    }),
  rdpmc: s =>
    guarded(s, 'rdpmc', () =>
      s.cpu.registers.ecx < PERFORMANCE_COUNTERS
        ? answered({ registers: { eax: 0, edx: 0 } })
        : stop({ kind: 'exception' }, generalProtection(0)),
    ),
  // CR4.OSXSAVE cannot be set on these models: #UD.
  xgetbv: () => undefinedOpcode,
};

/** Whether the model has the instruction; RDTSCP and random numbers look themselves. */
function exists({ model }: Situation, what: Answered): boolean {
  switch (what) {
    case 'rdtsc':
      return model.hasTsc;
    case 'rdmsr':
    case 'wrmsr':
      return model.hasMsrs;
    case 'rdpmc':
      return model.hasRdpmc;
    default:
      return true;
  }
}

export const answer = (s: Situation, what: Answered): Verdict =>
  exists(s, what) ? ANSWERS[what](s) : undefinedOpcode;
