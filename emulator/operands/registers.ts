/** Control, debug, model-specific and extended control registers, and counters. */
import { CR0_PE, CR0_TS, CR4_DE, CR4_PAE } from '../control-bits.ts';
import { MSR_TSC, msrBits, msrName } from '../msrs.ts';
import type { Situation } from '../sensitive/verdict.ts';
import { type BitNames, CR0_BITS, CR4_BITS, changedBits, debugBits, setBits, XCR0_BITS } from './bits.ts';
import { readOperand, wordAt } from './memory.ts';
import type {
  ControlRegisterName,
  ControlRegisterOperand,
  CounterOperand,
  DebugRegisterOperand,
  ExtendedControlRegisterOperand,
  MsrOperand,
  Quadword,
} from './types.ts';

/** LMSW loads bits 3:0 and can set PE, but not clear it: SDM vol. 2, LMSW. */
const LMSW_BITS = 0xf;
/** CR3: SDM vol. 3, 4.3 (table 4-3) and 4.4.1 (table 4-7). */
const CR3_PWT = 1 << 3;
const CR3_PCD = 1 << 4;
const PD_ADDRESS = 0xfffff000;
const PDPT_ADDRESS = 0xffffffe0;

const CONTROL_BITS: Readonly<Record<number, BitNames>> = { 0: CR0_BITS, 4: CR4_BITS };

function currentControl(s: Situation, number: number): number {
  const { cr0, cr2, cr3, cr4 } = s.cpu.control;
  const known: Readonly<Record<number, number>> = { 0: cr0, 2: cr2, 3: cr3, 4: cr4 };
  return known[number] ?? 0;
}

function pageDirectory(s: Situation, cr3: number): ControlRegisterOperand['pageDirectory'] {
  const pae = (s.cpu.control.cr4 & CR4_PAE) !== 0;
  return {
    level: pae ? 'PDPT' : 'PD',
    physical: (cr3 & (pae ? PDPT_ADDRESS : PD_ADDRESS)) >>> 0,
    writeThrough: (cr3 & CR3_PWT) !== 0,
    cacheDisabled: (cr3 & CR3_PCD) !== 0,
  };
}

function controlWrite(s: Situation, number: number, requested: number): ControlRegisterOperand {
  const current = currentControl(s, number);
  const names = CONTROL_BITS[number];
  const directory = number === 3 ? pageDirectory(s, requested) : undefined;
  return {
    type: 'control-register',
    register: `cr${number}` as ControlRegisterName,
    access: 'write',
    current,
    requested,
    ...(names && { changes: changedBits(current, requested, names) }),
    ...(directory && { pageDirectory: directory }),
  };
}

export function moveToControl(s: Situation): ControlRegisterOperand | undefined {
  const { systemRegister, generalRegister } = s.instruction;
  if (systemRegister === undefined || generalRegister === undefined) return undefined;
  return controlWrite(s, systemRegister, s.cpu.registers[generalRegister]);
}

export function moveFromControl(s: Situation): ControlRegisterOperand | undefined {
  const { systemRegister: number } = s.instruction;
  if (number === undefined) return undefined;
  const current = currentControl(s, number);
  const names = CONTROL_BITS[number];
  const directory = number === 3 ? pageDirectory(s, current) : undefined;
  return {
    type: 'control-register',
    register: `cr${number}` as ControlRegisterName,
    access: 'read',
    current,
    ...(names && { set: setBits(current, names) }),
    ...(directory && { pageDirectory: directory }),
  };
}

export function lmsw(s: Situation): ControlRegisterOperand | undefined {
  const { memory: uses, generalRegister } = s.instruction;
  const { cr0 } = s.cpu.control;
  const loaded = (word: number): number => ((cr0 & ~LMSW_BITS) | (cr0 & CR0_PE) | (word & LMSW_BITS)) >>> 0;
  const [use] = uses;
  if (!use) {
    return generalRegister ? controlWrite(s, 0, loaded(s.cpu.registers[generalRegister])) : undefined;
  }
  const { memory, bytes } = readOperand(s, use, 2);
  return bytes
    ? { ...controlWrite(s, 0, loaded(wordAt(bytes, 0))), memory }
    : { type: 'control-register', register: 'cr0', access: 'write', current: cr0, memory };
}

export const clts = (s: Situation): ControlRegisterOperand =>
  controlWrite(s, 0, (s.cpu.control.cr0 & ~CR0_TS) >>> 0);

/** DR6 and DR7, and, without CR4.DE, DR4 and DR5 as their other names: SDM vol. 3, 17.2.2. */
function currentDebug(s: Situation, number: number): number | undefined {
  const isAlias = number === 4 || number === 5;
  if (number < 4 || (isAlias && (s.cpu.control.cr4 & CR4_DE) !== 0)) return undefined;
  return s.debug?.((number | 2) as 6 | 7);
}

export function debugRegister(s: Situation, access: 'read' | 'write'): DebugRegisterOperand | undefined {
  const { systemRegister: number, generalRegister } = s.instruction;
  if (number === undefined || generalRegister === undefined) return undefined;
  const current = currentDebug(s, number);
  const known = current === undefined ? {} : { current };
  if (access === 'read') {
    const set = current === undefined ? undefined : debugBits(number, current);
    return { type: 'debug-register', number, access, ...known, ...(set && { set }) };
  }
  const requested = s.cpu.registers[generalRegister];
  const set = debugBits(number, requested);
  return { type: 'debug-register', number, access, ...known, requested, ...(set && { set }) };
}

const quadword = (value: bigint): Quadword => ({
  low: Number(value & 0xffffffffn),
  high: Number((value >> 32n) & 0xffffffffn),
});
const edxEax = (s: Situation): Quadword => ({ low: s.cpu.registers.eax, high: s.cpu.registers.edx });

const timeStamp = (s: Situation): bigint => BigInt.asUintN(64, s.tsc() + s.msrs.read(MSR_TSC));

export function msr(s: Situation, access: 'read' | 'write'): MsrOperand {
  const index = s.cpu.registers.ecx;
  const name = msrName(index);
  const current = quadword(index === MSR_TSC ? timeStamp(s) : s.msrs.read(index));
  const common = { type: 'msr', access, index, ...(name !== undefined && { name }), current } as const;
  const bits = msrBits(index);
  if (access === 'read') return bits ? { ...common, set: setNamed(current, bits) } : common;
  const requested = edxEax(s);
  if (!bits) return { ...common, requested };
  const changes = [
    ...changedBits(current.low & bits.flags, requested.low & bits.flags, bits.names),
    ...(bits.flags === 0xffffffff ? changedBits(current.high, requested.high, bits.names, 32) : []),
  ];
  return { ...common, requested, changes };
}

const setNamed = (value: Quadword, bits: { readonly names: BitNames; readonly flags: number }): string[] => [
  ...setBits(value.low & bits.flags, bits.names),
  ...(bits.flags === 0xffffffff ? setBits(value.high, bits.names, 32) : []),
];

export function xsetbv(s: Situation): ExtendedControlRegisterOperand {
  const requested = edxEax(s);
  return {
    type: 'extended-control-register',
    index: s.cpu.registers.ecx,
    requested,
    set: [...setBits(requested.low, XCR0_BITS), ...setBits(requested.high, XCR0_BITS, 32)],
  };
}

export const rdtsc = (s: Situation): CounterOperand => ({
  type: 'counter',
  counter: 'time-stamp',
  value: quadword(timeStamp(s)),
});

/** The performance counters of these CPU models stand still at 0. */
export const rdpmc = (s: Situation): CounterOperand => ({
  type: 'counter',
  counter: 'performance',
  index: s.cpu.registers.ecx,
  value: { low: 0, high: 0 },
});
