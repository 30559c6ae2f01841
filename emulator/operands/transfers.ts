/** Ports, software interrupts, fast calls and INVLPG. */
import { MSR_SYSENTER_CS, MSR_SYSENTER_EIP, MSR_SYSENTER_ESP } from '../msrs.ts';
import { pagingIsOn, walk } from '../paging.ts';
import { littleEndian, type Situation } from '../sensitive/verdict.ts';
import { dwordAt, readAll, readOperand, unreadable, wordAt } from './memory.ts';
import { portName } from './ports.ts';
import type { FastCallOperand, Gate, GateKind, InterruptOperand, PageOperand, PortOperand } from './types.ts';

export function port(s: Situation): PortOperand {
  const { instruction, cpu } = s;
  const { mnemonic, portSize: size } = instruction;
  const number = instruction.immediatePort ? instruction.immediate & 0xff : cpu.registers.edx & 0xffff;
  const name = portName(number);
  const direction = mnemonic.startsWith('out') ? 'out' : 'in';
  const common = { type: 'port', direction, number, size, ...(name !== undefined && { name }) } as const;
  if (mnemonic === 'in') return common;
  if (mnemonic === 'out') return { ...common, value: lowBytes(cpu.registers.eax, size) };
  const [use] = instruction.memory;
  if (!use) return common;
  const { memory, bytes } = readOperand(s, use, size);
  const value = direction === 'out' && bytes ? littleEndian(bytes) : undefined;
  return {
    ...common,
    memory,
    ...(value !== undefined && { value }),
    ...(instruction.repeated && { count: cpu.registers.ecx }),
  };
}

const lowBytes = (value: number, size: 1 | 2 | 4): number =>
  size === 4 ? value : value & (size === 2 ? 0xffff : 0xff);

const VECTOR_BY_MNEMONIC: Readonly<Record<string, number>> = { int3: 3, into: 4, int1: 1 };
const GATE_SIZE = 8;
const GATE_PRESENT = 0x8000;
/** Bits 12:8 of a gate's high dword, S bit included: SDM vol. 3, 6.11, figure 6-2. */
const GATE_KINDS: Readonly<Record<number, GateKind>> = {
  5: 'task gate',
  6: '16-bit interrupt gate',
  7: '16-bit trap gate',
  14: '32-bit interrupt gate',
  15: '32-bit trap gate',
};

export function interrupt(s: Situation): InterruptOperand {
  const { mnemonic, immediate } = s.instruction;
  const vector = VECTOR_BY_MNEMONIC[mnemonic] ?? immediate & 0xff;
  const common = { type: 'interrupt', vector } as const;
  if (s.platform.hypervisor !== 'none') return { ...common, noGate: 'hypervisor' };
  const { base, limit } = s.cpu.idtr;
  if (vector * GATE_SIZE + GATE_SIZE - 1 > limit) return { ...common, noGate: 'limit' };
  const linear = (base + vector * GATE_SIZE) >>> 0;
  const reason = unreadable(s, linear, GATE_SIZE);
  return reason ? { ...common, noGate: reason } : { ...common, gate: gate(readAll(s, linear, GATE_SIZE)) };
}

function gate(bytes: Uint8Array): Gate {
  const low = dwordAt(bytes, 0);
  const high = dwordAt(bytes, 4);
  return {
    kind: GATE_KINDS[(high >>> 8) & 0x1f] ?? 'no gate',
    selector: wordAt(bytes, 2),
    offset: ((high & 0xffff0000) | (low & 0xffff)) >>> 0,
    dpl: (high >>> 13) & 3,
    present: (high & GATE_PRESENT) !== 0,
  };
}

/** Selectors follow from IA32_SYSENTER_CS: SDM vol. 2, SYSENTER and SYSEXIT, "Operation". */
export function fastCall(s: Situation): FastCallOperand {
  const read = (index: number): number => Number(s.msrs.read(index) & 0xffffffffn);
  const sysenterCs = read(MSR_SYSENTER_CS);
  const enters = s.instruction.mnemonic === 'sysenter';
  const first = sysenterCs & 0xfffc;
  return {
    type: 'fast-call',
    instruction: enters ? 'sysenter' : 'sysexit',
    sysenterCs,
    cs: enters ? first : ((first + 16) & 0xffff) | 3,
    ss: enters ? (first + 8) & 0xffff : ((first + 24) & 0xffff) | 3,
    eip: enters ? read(MSR_SYSENTER_EIP) : s.cpu.registers.edx,
    esp: enters ? read(MSR_SYSENTER_ESP) : s.cpu.registers.ecx,
  };
}

export function invlpg(s: Situation): PageOperand | undefined {
  const [use] = s.instruction.memory;
  if (!use) return undefined;
  const { descriptor } = s.cpu.segments[use.segment];
  const linear = ((descriptor?.base ?? 0) + use.offset) >>> 0;
  const common = { type: 'page', linear } as const;
  // INVLPG checks no limit, but a null segment has no address at all.
  if (!descriptor) return { ...common, unmapped: 'null-segment' };
  if (!pagingIsOn(s.cpu.control)) return { ...common, unmapped: 'paging-off' };
  if (!s.readPhysical) return common;
  const { physical, pageSize, writable, user } = walk(linear, s.cpu.control, s.readPhysical);
  if (physical === undefined) return { ...common, unmapped: 'page-not-present' };
  return { ...common, mapping: { physical, pageSize, writable, user } };
}
