/**
 * What the instruction at EIP was about to do. A pure function of the situation: it reads memory and registers and
 * changes nothing; what cannot be read is said in the data.
 */
import { FLAG_IF } from '../flags.ts';
import type { SegmentName } from '../segmentation.ts';
import type { Situation } from '../sensitive/verdict.ts';
import {
  clts,
  debugRegister,
  lmsw,
  moveFromControl,
  moveToControl,
  msr,
  rdpmc,
  rdtsc,
  xsetbv,
} from './registers.ts';
import { segmentOperand } from './segments.ts';
import { tableOperand } from './tables.ts';
import { fastCall, interrupt, invlpg, port } from './transfers.ts';
import type { Operand } from './types.ts';

export type * from './types.ts';

type OperandOf = (s: Situation) => Operand | undefined;

const load =
  (register: SegmentName | 'ldtr' | 'tr'): OperandOf =>
  s =>
    segmentOperand(s, register);

const interruptFlag: OperandOf = s => ({
  type: 'halt',
  interruptsEnabled: (s.cpu.eflags & FLAG_IF) !== 0,
});

/** By mnemonic. MOV and POP are told apart by what they load. */
const BY_MNEMONIC: Readonly<Record<string, OperandOf>> = {
  lgdt: s => tableOperand(s, 'gdtr'),
  lidt: s => tableOperand(s, 'idtr'),
  lldt: load('ldtr'),
  ltr: load('tr'),
  lmsw,
  clts,
  invlpg,
  hlt: interruptFlag,
  rdmsr: s => msr(s, 'read'),
  wrmsr: s => msr(s, 'write'),
  xsetbv,
  rdpmc,
  rdtsc,
  rdtscp: rdtsc,
  in: port,
  out: port,
  insb: port,
  insw: port,
  insd: port,
  outsb: port,
  outsw: port,
  outsd: port,
  int: interrupt,
  int3: interrupt,
  into: interrupt,
  int1: interrupt,
  sysenter: fastCall,
  sysexit: fastCall,
  les: load('es'),
  lds: load('ds'),
  lss: load('ss'),
  lfs: load('fs'),
  lgs: load('gs'),
  retf: load('cs'),
  iretd: load('cs'),
  iret: load('cs'),
};

/** Forms of MOV with a system register: SDM vol. 2, MOV—Move to/from Control Registers and Debug Registers. */
const SYSTEM_MOVES: Readonly<Record<number, OperandOf>> = {
  32: moveFromControl,
  33: s => debugRegister(s, 'read'),
  34: moveToControl,
  35: s => debugRegister(s, 'write'),
};

export function operandOf(s: Situation): Operand | undefined {
  const { mnemonic, sensitivity, systemRegister, farPointer } = s.instruction;
  if (mnemonic === 'mov' && systemRegister !== undefined) {
    const opcode = s.bytes.subarray(0, s.instruction.length).at(-2) ?? 0;
    return SYSTEM_MOVES[opcode]?.(s);
  }
  if (sensitivity?.type === 'segment-load') return segmentOperand(s, sensitivity.register);
  if (farPointer || sensitivity?.type === 'far-transfer') return segmentOperand(s, 'cs');
  return BY_MNEMONIC[mnemonic]?.(s);
}
