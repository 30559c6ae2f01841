/** INT n and the other ways to call what stands under the kernel, and where the CPU delivers an exception. */
import type { CpuState } from '../cpu-state.ts';
import type { Platform } from '../entry-state.ts';
import { FLAG_OF } from '../flags.ts';
import type { Cause, Delivery, Exception, HypercallVia } from '../stop.ts';
import {
  generalProtection,
  INVALID_OPCODE,
  littleEndian,
  RUN,
  type Situation,
  stop,
  type Verdict,
} from './verdict.ts';

const GATE_SIZE = 8;
const GATE_PRESENT = 0x8000;
const DOUBLE_FAULT = 8;
const GENERAL_PROTECTION = 13;
/** Error code of a fault on IDT entry n: SDM vol. 3, 6.13. */
const idtError = (vector: number): number => (vector << 3) | 2;

type Read = (linear: number, size: number) => Uint8Array;
type GateProblem = Extract<Delivery, { to: 'shutdown' }>['reason'];
type Gate = { readonly selector: number; readonly offset: number; readonly dpl: number };

function readGate(vector: number, cpu: CpuState, read: Read): Gate | GateProblem {
  if (vector * GATE_SIZE + GATE_SIZE - 1 > cpu.idtr.limit) return 'idt-limit';
  const bytes = read((cpu.idtr.base + vector * GATE_SIZE) >>> 0, GATE_SIZE);
  const low = littleEndian(bytes.subarray(0, 4));
  const high = littleEndian(bytes.subarray(4, 8));
  if (bytes.length < GATE_SIZE || low === undefined || high === undefined) return 'gate-unreadable';
  if ((high & GATE_PRESENT) === 0) return 'gate-not-present';
  return {
    selector: low >>> 16,
    offset: ((high & 0xffff0000) | (low & 0xffff)) >>> 0,
    dpl: (high >>> 13) & 3,
  };
}

/** Where the CPU takes an exception: SDM vol. 3, 6.15 (#DF), table 6-5. */
export function deliveryOf(vector: number, cpu: CpuState, platform: Platform, read: Read): Delivery {
  if (platform.hypervisor !== 'none') return { to: 'hypervisor' };
  let reason: GateProblem = 'idt-limit';
  // A missing gate is itself #GP, a missing #GP gate is #DF, and a missing #DF gate is the end.
  for (const [i, next] of [vector, GENERAL_PROTECTION, DOUBLE_FAULT].entries()) {
    const gate = readGate(next, cpu, read);
    if (typeof gate !== 'string') return { to: 'gate', selector: gate.selector, offset: gate.offset };
    if (i === 0) reason = gate;
  }
  return { to: 'shutdown', reason };
}

/** A hypercall by whatever instruction; the ABI gives the registers. */
export function hypercall(s: Situation, via: HypercallVia, vector?: number): Verdict {
  const registers = s.platform.hypercallArguments ?? (['ebx', 'ecx', 'edx', 'esi'] as const);
  const cause: Cause = {
    kind: 'hypercall',
    via,
    number: s.cpu.registers.eax,
    arguments: registers.map(register => ({ register, value: s.cpu.registers[register] })),
    ...(vector === undefined ? {} : { vector }),
  };
  return stop(cause, via === 'vmcall' || via === 'vmmcall' ? { vector: INVALID_OPCODE } : undefined);
}

const HYPERCALL_PAGE_SIZE = 4096;

const VECTOR_BY_MNEMONIC: Readonly<Record<string, number>> = { int3: 3, into: 4, int1: 1 };

export function softwareInterrupt(s: Situation): Verdict {
  const { mnemonic, immediate } = s.instruction;
  const vector = VECTOR_BY_MNEMONIC[mnemonic] ?? immediate & 0xff;
  if (mnemonic === 'into' && (s.cpu.eflags & FLAG_OF) === 0) return RUN;
  if (s.platform.hypercallVectors.includes(vector)) {
    const page = s.platform.hypercallPage;
    const onPage = page !== undefined && s.cpu.eip >= page && s.cpu.eip < page + HYPERCALL_PAGE_SIZE;
    return hypercall(s, onPage ? 'hypercall-page' : 'int', vector);
  }
  if (s.platform.hypervisor !== 'none') {
    // The hypervisor's own gates for INT n have DPL 0; those of #BP and #OF are open (Xen 4.14 traps.c, lguest core.c).
    const open = vector === 3 || vector === 4;
    return stop(
      { kind: 'software-interrupt', vector },
      open ? { vector } : generalProtection(idtError(vector)),
    );
  }
  const gate = readGate(vector, s.cpu, s.read);
  const first: Exception =
    typeof gate === 'string' || gate.dpl < s.cpu.cpl ? generalProtection(idtError(vector)) : { vector };
  const delivery = deliveryOf(first.vector, s.cpu, s.platform, s.read);
  if (delivery.to === 'shutdown') return stop({ kind: 'shutdown', first, reason: delivery.reason }, first);
  return stop({ kind: 'software-interrupt', vector }, first);
}
