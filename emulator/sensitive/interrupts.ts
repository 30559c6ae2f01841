/** INT n and the other ways to call what stands under the kernel, and where the CPU delivers an exception. */

import { type CpuState, linearEip } from '../cpu-state.ts';
import type { Platform, ServiceEntry } from '../entry-state.ts';
import { FLAG_OF } from '../flags.ts';
import { pagingIsOn, walk } from '../paging.ts';
import type { Cause, Delivery, HypercallVia } from '../stop.ts';
import { DOUBLE_FAULT, GENERAL_PROTECTION, PAGE_FAULT, SEGMENT_NOT_PRESENT } from '../vectors.ts';
import { deliver } from './delivery.ts';
import { verdictOf } from './refuse.ts';
import {
  answered,
  generalProtection,
  INVALID_OPCODE,
  littleEndian,
  RUN,
  type Situation,
  stop,
  type Verdict,
} from './verdict.ts';
import { virtualInterrupt } from './vm86.ts';

const GATE_SIZE = 8;
const GATE_PRESENT = 0x8000;
/** Task, 16-bit and 32-bit interrupt and trap gates: SDM vol. 3, 6.11. */
const GATE_TYPES: ReadonlySet<number> = new Set([0x5, 0x6, 0x7, 0xe, 0xf]);
/** A second fault on the way to the handler of one of these is #DF: SDM vol. 3, table 6-5. */
const NOT_BENIGN: ReadonlySet<number> = new Set([0, 10, 11, 12, 13, 14]);
/** Error code of a fault on IDT entry n: SDM vol. 3, 6.13. */
const idtError = (vector: number): number => (vector << 3) | 2;

type Read = (linear: number, size: number) => Uint8Array;
type GateProblem = Extract<Delivery, { to: 'shutdown' }>['reason'];
type Gate = { readonly selector: number; readonly offset: number; readonly dpl: number };

/** What the CPU raises when it cannot use a gate: SDM vol. 3, 6.15, interrupts 11, 13 and 14. */
const GATE_FAULT: Readonly<Record<GateProblem, number>> = {
  'idt-limit': GENERAL_PROTECTION,
  'gate-type': GENERAL_PROTECTION,
  'gate-not-present': SEGMENT_NOT_PRESENT,
  'gate-unreadable': PAGE_FAULT,
};

function readGate(vector: number, cpu: CpuState, read: Read): Gate | GateProblem {
  if (vector * GATE_SIZE + GATE_SIZE - 1 > cpu.idtr.limit) return 'idt-limit';
  const bytes = read((cpu.idtr.base + vector * GATE_SIZE) >>> 0, GATE_SIZE);
  const low = littleEndian(bytes.subarray(0, 4));
  const high = littleEndian(bytes.subarray(4, 8));
  if (bytes.length < GATE_SIZE || low === undefined || high === undefined) return 'gate-unreadable';
  if (!GATE_TYPES.has((high >>> 8) & 0x1f)) return 'gate-type';
  if ((high & GATE_PRESENT) === 0) return 'gate-not-present';
  return {
    selector: low >>> 16,
    offset: ((high & 0xffff0000) | (low & 0xffff)) >>> 0,
    dpl: (high >>> 13) & 3,
  };
}

/** Where the CPU takes an exception: SDM vol. 3, 6.15 (#DF) and table 6-5. */
export function deliveryOf(vector: number, cpu: CpuState, platform: Platform, read: Read): Delivery {
  if (platform.hypervisor !== 'none') return { to: 'hypervisor' };
  const wanted = readGate(vector, cpu, read);
  if (typeof wanted !== 'string') return toGate(wanted);
  // A benign exception whose gate is bad becomes the gate's own fault; anything else is a double fault at once.
  const second = NOT_BENIGN.has(vector) ? 'bad' : readGate(GATE_FAULT[wanted], cpu, read);
  if (typeof second !== 'string') return toGate(second);
  const doubleFault = readGate(DOUBLE_FAULT, cpu, read);
  return typeof doubleFault === 'string' ? { to: 'shutdown', reason: wanted } : toGate(doubleFault);
}

const toGate = ({ selector, offset }: Gate): Delivery => ({ to: 'gate', selector, offset });

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
  // Of a guest that owns ring 0, in VMX non-root operation, it is a VM exit: SDM vol. 3, 25.1.2.
  const isFault = (via === 'vmcall' || via === 'vmmcall') && s.platform.hypervisor !== 'none';
  return stop(cause, isFault ? { vector: INVALID_OPCODE } : undefined);
}

/** The entry of a ROM that EIP is at, wherever the ROM is mapped. */
function serviceEntry({ cpu, platform, readPhysical }: Situation): ServiceEntry | undefined {
  if (!platform.serviceEntries) return undefined;
  const linear = linearEip(cpu);
  const physical = pagingIsOn(cpu.control)
    ? readPhysical && walk(linear, cpu.control, readPhysical).physical
    : linear;
  return platform.serviceEntries.find(({ address }) => address === physical);
}

function serviceCall({ cpu }: Situation, entry: ServiceEntry): Verdict {
  return stop({
    kind: 'hypercall',
    via: 'rom',
    number: entry.number,
    arguments: entry.arguments.map(register => ({ register, value: cpu.registers[register] })),
  });
}

const HYPERCALL_PAGE_SIZE = 4096;

function isOnHypercallPage({ cpu, platform }: Situation): boolean {
  const page = platform.hypercallPage;
  return page !== undefined && cpu.eip >= page && cpu.eip < page + HYPERCALL_PAGE_SIZE;
}

/** The far CALL of a hypercall page in ring 0. */
export function callsHypervisor(s: Situation): boolean {
  const { farPointer, mnemonic } = s.instruction;
  const entry = s.platform.hypercallEntry;
  if (!entry || !farPointer || mnemonic !== 'call' || !isOnHypercallPage(s)) return false;
  return farPointer.selector === entry.selector && farPointer.offset === entry.offset;
}

const VECTOR_BY_MNEMONIC: Readonly<Record<string, number>> = { int3: 3, into: 4, int1: 1 };

export function softwareInterrupt(s: Situation): Verdict {
  const { mnemonic, immediate } = s.instruction;
  const vector = VECTOR_BY_MNEMONIC[mnemonic] ?? immediate & 0xff;
  if (mnemonic === 'into' && (s.cpu.eflags & FLAG_OF) === 0) return RUN;
  if (s.state.vm86 && mnemonic === 'int') {
    const verdict = verdictOf(() => {
      const effect = virtualInterrupt(s, vector);
      return effect ? answered(effect) : RUN;
    });
    if (verdict.type !== 'run') return verdict;
  }
  const service = serviceEntry(s);
  if (service) return serviceCall(s, service);
  if (s.platform.hypercallVectors.includes(vector)) {
    return hypercall(s, isOnHypercallPage(s) ? 'hypercall-page' : 'int', vector);
  }
  if (s.platform.hypervisor !== 'none') {
    const open = mnemonic === 'int1' || s.platform.openVectors?.includes(vector);
    return stop(
      { kind: 'software-interrupt', vector },
      open ? { vector } : generalProtection(idtError(vector)),
    );
  }
  const isException = mnemonic === 'int1';
  const verdict = verdictOf(() => {
    deliver(s, { vector, software: !isException, returnEip: (s.cpu.eip + s.instruction.length) >>> 0 });
    return stop({ kind: 'software-interrupt', vector }, { vector });
  });
  const first = verdict.type === 'stop' ? verdict.exception : undefined;
  // The handler's stack or the table is where no memory is.
  if (!first) return verdict;
  const delivery = deliveryOf(first.vector, s.cpu, s.platform, s.read);
  if (delivery.to === 'shutdown') return stop({ kind: 'shutdown', first, reason: delivery.reason }, first);
  if (first.vector === PAGE_FAULT || verdict.type !== 'stop') return verdict;
  return { ...verdict, cause: { kind: 'software-interrupt', vector } };
}
