/** Privileged instructions on the virtual CPU, exactly as in ring 0 of a bare one. One function a rule. */
import {
  CR0_EM,
  CR0_ET,
  CR0_MP,
  CR0_PE,
  CR0_PG,
  CR0_TS,
  CR4_DE,
  EFER_LME,
} from '../../../emulator/control-bits.ts';
import { findCpuModel } from '../../../emulator/cpu-models/index.ts';
import type { TableRegister } from '../../../emulator/cpu-state.ts';
import type { DecodedInstruction } from '../../../emulator/decode/instruction.ts';
import type { Effect } from '../../../emulator/effect.ts';
import { FLAG_AC } from '../../../emulator/flags.ts';
import { MSR_EFER } from '../../../emulator/msrs.ts';
import { encodeDescriptor, isNullSelector, type SegmentRegister } from '../../../emulator/segmentation.ts';
import { CR0_CD, CR0_NW } from '../../../emulator/sensitive/control-registers.ts';
import { isReservedEfer } from '../../../emulator/sensitive/efer.ts';
import type { RuleId, Stop } from '../../../emulator/stop.ts';
import { GENERAL_PROTECTION, INVALID_OPCODE, SEGMENT_NOT_PRESENT } from '../../../emulator/vectors.ts';
import { type Answer, type AnswerContext, emulated, ended, unanswered } from '../answer.ts';
import { mergeLow, operand16, operandAddress, readWord, wordBytes } from '../instruction.ts';
import { deliver } from './delivery.ts';
import { descriptorAddress, lookUp } from './ring.ts';

export type Emulate = (stop: Stop, decoded: DecodedInstruction, context: AnswerContext) => Answer;

/** PE MP EM TS ET NE WP AM NW CD PG: SDM vol. 3, figure 2-7. */
const CR0_KNOWN = 0xe005003f;
/** Bits that LMSW loads; it cannot clear PE. SDM vol. 2, LMSW. */
const MSW = CR0_PE | CR0_MP | CR0_EM | CR0_TS;

const GP0 = { vector: GENERAL_PROTECTION, errorCode: 0 } as const;
const UD = { vector: INVALID_OPCODE } as const;
const TSS_AVAILABLE: readonly number[] = [0x1, 0x9];
const TYPE_LDT = 0x2;
const BUSY = 2;

const hex = (value: number): string => `0x${(value >>> 0).toString(16).padStart(8, '0')}`;
const low = (value: bigint): number => Number(BigInt.asUintN(32, value));
const high = (value: bigint): number => Number(BigInt.asUintN(32, value >> 32n));

const refuse = (stop: Stop, context: AnswerContext, why: string): Answer =>
  deliver(stop, context, GP0, `${why}: #GP(0) on a bare CPU too.`);

/** LGDT and LIDT: SDM vol. 2, LGDT/LIDT. With 16-bit operands the base has 24 bits. */
function pseudoDescriptor(
  stop: Stop,
  decoded: DecodedInstruction,
  { read }: AnswerContext,
): TableRegister | undefined {
  const address = operandAddress(stop, decoded);
  if (address === undefined) return undefined;
  const limit = readWord(read, address, 2);
  const base = readWord(read, address + 2, 4);
  if (limit === undefined || base === undefined) return undefined;
  return { limit, base: decoded.operandSize === 16 ? base & 0xffffff : base };
}

const loadTable =
  (register: 'gdtr' | 'idtr', what: string): Emulate =>
  (stop, decoded, context) => {
    const table = pseudoDescriptor(stop, decoded, context);
    if (!table) return unanswered('Its operand cannot be read.');
    return emulated(
      `${register.toUpperCase()} gets ${hex(table.base)}, limit 0x${table.limit.toString(16)}: ${what}.`,
      { [register]: table },
    );
  };

/** CR0 with a new value, as MOV and LMSW set it. */
function writeCr0(stop: Stop, context: AnswerContext, asked: number): Answer {
  const value = ((asked & CR0_KNOWN) | CR0_ET) >>> 0;
  if ((value & CR0_PG) !== 0 && (value & CR0_PE) === 0) return refuse(stop, context, 'PG without PE');
  if ((value & CR0_NW) !== 0 && (value & CR0_CD) === 0) return refuse(stop, context, 'NW without CD');
  const { control } = stop.cpu;
  const turnsOn = (value & CR0_PG) !== 0 && (control.cr0 & CR0_PG) === 0;
  if (turnsOn && (control.efer & EFER_LME) !== 0)
    return unanswered('It activates long mode, and startup32 runs 32-bit code only.');
  return emulated(`CR0 becomes ${hex(value)}.`, { control: { cr0: value } });
}

const moveToControl: Emulate = (stop, decoded, context) => {
  const { systemRegister, generalRegister } = decoded;
  if (generalRegister === undefined || systemRegister === undefined) return deliver(stop, context, UD);
  const value = stop.cpu.registers[generalRegister];
  switch (systemRegister) {
    case 0:
      return writeCr0(stop, context, value);
    case 2:
      return emulated(`CR2 becomes ${hex(value)}.`, { control: { cr2: value } });
    case 3:
      return emulated(`CR3 becomes ${hex(value)}.`, { control: { cr3: value } });
    case 4:
      return (value & ~(findCpuModel(context.entry.platform.cpuModel)?.cr4 ?? 0)) === 0
        ? emulated(`CR4 becomes ${hex(value)}.`, { control: { cr4: value } })
        : refuse(stop, context, 'A reserved bit of CR4');
    default:
      return deliver(stop, context, UD);
  }
};

export const moveFromControl: Emulate = (stop, decoded, context) => {
  const { systemRegister, generalRegister } = decoded;
  const { cr0, cr2, cr3, cr4 } = stop.cpu.control;
  const values: Readonly<Record<number, number>> = { 0: cr0, 2: cr2, 3: cr3, 4: cr4 };
  const value = systemRegister === undefined ? undefined : values[systemRegister];
  if (generalRegister === undefined || value === undefined) return deliver(stop, context, UD);
  return emulated(`The kernel reads CR${systemRegister} = ${hex(value)}.`, {
    registers: { [generalRegister]: value },
  });
};

/** DR4 and DR5 are DR6 and DR7 while CR4.DE is 0: SDM vol. 3, 17.2.2. */
const debugIndex = (register: number): number => (register === 4 || register === 5 ? register + 2 : register);

const noDebugRegister = (stop: Stop, register: number): boolean =>
  (register === 4 || register === 5) && (stop.cpu.control.cr4 & CR4_DE) !== 0;

export const moveToDebug: Emulate = (stop, decoded, context) => {
  const { systemRegister, generalRegister } = decoded;
  if (generalRegister === undefined || systemRegister === undefined || noDebugRegister(stop, systemRegister))
    return deliver(stop, context, UD);
  const index = debugIndex(systemRegister);
  const debug = context.virtual.debug.with(index, stop.cpu.registers[generalRegister]);
  return emulated(`DR${index} is kept in the virtual CPU.`, {}, { ...context.virtual, debug });
};

export const moveFromDebug: Emulate = (stop, decoded, context) => {
  const { systemRegister, generalRegister } = decoded;
  if (generalRegister === undefined || systemRegister === undefined || noDebugRegister(stop, systemRegister))
    return deliver(stop, context, UD);
  const index = debugIndex(systemRegister);
  const value = context.virtual.debug[index] ?? 0;
  return emulated(`The kernel reads DR${index} = ${hex(value)}.`, {
    registers: { [generalRegister]: value },
  });
};

const NULL_SYSTEM: SegmentRegister = { selector: 0, descriptor: undefined };

/** LLDT and LTR: SDM vol. 2. */
const loadSystem =
  (register: 'ldtr' | 'tr'): Emulate =>
  (stop, decoded, context) => {
    const selector = operand16(stop, decoded, context.read);
    if (selector === undefined) return unanswered('Its operand cannot be read.');
    const name = register.toUpperCase();
    if (isNullSelector(selector)) {
      return register === 'ldtr'
        ? emulated('LDTR gets the null selector: there is no LDT.', { ldtr: { ...NULL_SYSTEM, selector } })
        : refuse(stop, context, 'A null selector for TR');
    }
    const descriptor = lookUp(stop, context.read, selector);
    const address = descriptorAddress(stop, selector);
    const wanted = register === 'ldtr' ? [TYPE_LDT] : TSS_AVAILABLE;
    const error = { vector: GENERAL_PROTECTION, errorCode: selector & 0xfffc };
    if (!descriptor || address === undefined || descriptor.codeOrData || !wanted.includes(descriptor.type))
      return deliver(stop, context, error, 'On a bare CPU it faults too.');
    if (!descriptor.present)
      return deliver(
        stop,
        context,
        { ...error, vector: SEGMENT_NOT_PRESENT },
        'On a bare CPU it faults too.',
      );
    if (register === 'ldtr')
      return emulated(`${name} gets selector 0x${selector.toString(16)}.`, {
        ldtr: { selector, descriptor },
      });
    const busy = { ...descriptor, type: descriptor.type | BUSY };
    const access = (encodeDescriptor(busy).high >>> 8) & 0xff;
    return emulated(`${name} gets selector 0x${selector.toString(16)}, and its TSS is marked busy.`, {
      tr: { selector, descriptor: busy },
      writes: [{ linear: (address + 5) >>> 0, bytes: Uint8Array.of(access) }],
    });
  };

export const readMsr: Emulate = (stop, _decoded, { readMsr: read }) => {
  const index = stop.cpu.registers.ecx;
  const value = read(index);
  return emulated(`The kernel reads MSR ${hex(index)}.`, {
    registers: { eax: low(value), edx: high(value) },
  });
};

const writeMsr: Emulate = (stop, _decoded, context) => {
  const { eax, ecx, edx } = stop.cpu.registers;
  const value = (BigInt(edx) << 32n) | BigInt(eax);
  const sentence = `MSR ${hex(ecx)} becomes 0x${value.toString(16).padStart(16, '0')}.`;
  if (ecx !== MSR_EFER) return emulated(sentence, { msrs: [{ index: ecx, value }] });
  const model = findCpuModel(context.entry.platform.cpuModel);
  if (model && isReservedEfer(value, model)) return refuse(stop, context, 'A reserved bit of EFER');
  return emulated(sentence, { control: { efer: eax } });
};

export const timeStamp: Emulate = (_stop, _decoded, context) => {
  const tsc = context.readMsr(0x10);
  return emulated('The kernel reads the time-stamp counter.', {
    registers: { eax: low(tsc), edx: high(tsc) },
  });
};

const without =
  (sentence: string, effect: Effect = {}): Emulate =>
  () =>
    emulated(sentence, effect);

/** SGDT and SIDT: SDM vol. 2; with either operand size all 32 bits of the base, as every CPU since the 80386 does. */
const storeTable =
  (register: 'gdtr' | 'idtr'): Emulate =>
  (stop, decoded) => {
    const address = operandAddress(stop, decoded);
    if (address === undefined) return unanswered('Its operand cannot be written.');
    const { base, limit } = stop.cpu[register];
    const bytes = Uint8Array.of(...wordBytes(limit, 2), ...wordBytes(base, 4));
    return emulated(
      `The kernel reads ${register.toUpperCase()} = ${hex(base)}, limit 0x${limit.toString(16)}.`,
      { writes: [{ linear: address, bytes }] },
    );
  };

/** SLDT, STR and SMSW: a word in memory, or a register of the operand's size. */
const storeWord =
  (name: string, read: (stop: Stop) => number): Emulate =>
  (stop, decoded) => {
    const value = read(stop);
    const sentence = (shown: number): string => `The kernel reads ${name} = ${hex(shown)}.`;
    const address = operandAddress(stop, decoded);
    if (address !== undefined)
      return emulated(sentence(value & 0xffff), {
        writes: [{ linear: address, bytes: wordBytes(value & 0xffff, 2) }],
      });
    const { generalRegister, operandSize } = decoded;
    if (generalRegister === undefined) return unanswered('Its operand cannot be written.');
    const size = operandSize === 16 ? 2 : 4;
    return emulated(sentence(size === 2 ? value & 0xffff : value), {
      registers: { [generalRegister]: mergeLow(stop.cpu.registers[generalRegister], value, size) },
    });
  };

const undefinedHere: Emulate = (stop, _decoded, context) =>
  deliver(stop, context, UD, 'The CPU model does not have it.');

export const PRIVILEGED: Readonly<Record<RuleId, Emulate>> = {
  lgdt: loadTable(
    'gdtr',
    "the table stays the kernel's, and what is loaded from it gets the DPL of its ring",
  ),
  lidt: loadTable('idtr', 'exceptions of the kernel go there'),
  lldt: loadSystem('ldtr'),
  ltr: loadSystem('tr'),
  'mov-to-cr': moveToControl,
  'mov-from-cr': moveFromControl,
  lmsw(stop, decoded, context) {
    const value = operand16(stop, decoded, context.read);
    if (value === undefined) return unanswered('Its operand cannot be read.');
    const { cr0 } = stop.cpu.control;
    return writeCr0(stop, context, (cr0 & ~(MSW & ~CR0_PE)) | (value & MSW));
  },
  clts: (stop, _decoded, context) => writeCr0(stop, context, stop.cpu.control.cr0 & ~CR0_TS),
  'mov-to-dr': moveToDebug,
  'mov-from-dr': moveFromDebug,
  'mov-test-register': undefinedHere,
  invd: without('The caches are not modelled: nothing is to be done.'),
  wbinvd: without('The caches are not modelled: nothing is to be done.'),
  invlpg: stop =>
    emulated("The CPU forgets what it knew of the kernel's page tables.", {
      control: { cr3: stop.cpu.control.cr3 },
    }),
  hlt: (_stop, _decoded, { virtual }) =>
    ended(
      virtual.interrupts
        ? 'The kernel waits for an interrupt, and no device here raises one.'
        : 'The kernel halts with virtual interrupts off: it has stopped for good.',
    ),
  rdmsr: readMsr,
  wrmsr: writeMsr,
  xsetbv: undefinedHere,
  rdpmc: without('Performance counters read 0.', { registers: { eax: 0, edx: 0 } }),
  rdtsc: timeStamp,
  rsm: undefinedHere,
  monitor: without('MWAIT after it ends at once.'),
  mwait: without('It ends at once, which is allowed at any time.'),
  clac: ({ cpu }) => emulated('AC becomes 0.', { eflags: (cpu.eflags & ~FLAG_AC) >>> 0 }),
  stac: ({ cpu }) => emulated('AC becomes 1.', { eflags: (cpu.eflags | FLAG_AC) >>> 0 }),
  sgdt: storeTable('gdtr'),
  sidt: storeTable('idtr'),
  sldt: storeWord('LDTR', ({ cpu }) => cpu.ldtr.selector),
  str: storeWord('TR', ({ cpu }) => cpu.tr.selector),
  smsw: storeWord('CR0', ({ cpu }) => cpu.control.cr0),
};
