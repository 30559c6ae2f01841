/** The memory that an instruction uses: effective addresses from the values of registers. */
import type { SegmentName } from '../segmentation.ts';
import { iced } from './iced.ts';
import { type IcedInstruction, isRepeated, SEGMENT_BY_REGISTER } from './sensitivity.ts';

const { Code, CodeSize, MemorySizeExt, OpAccess, OpKind, Register } = iced;

type UsedMemory = ReturnType<InstanceType<typeof iced.InstructionInfo>['usedMemory']>[number];

/** The value of a register by iced's number; 0 for none. */
export type RegisterValue = (register: number) => number;

/** One operand in memory, with its effective address (offset in the segment) computed. */
export interface MemoryUse {
  readonly segment: SegmentName;
  /** Offset in the segment, 0 to 2^32 - 1. */
  readonly offset: number;
  /** Bytes; 0 for an address that is not accessed. */
  readonly size: number;
  readonly read: boolean;
  readonly write: boolean;
  /** A push or pop rather than an operand: with a 16-bit stack segment it goes by SP. */
  readonly implicit: boolean;
}

/** Frees `used`. */
export function memoryUses(
  instruction: IcedInstruction,
  used: readonly UsedMemory[],
  registerValue: RegisterValue,
): { readonly memory: readonly MemoryUse[]; readonly addressSize: 16 | 32 } {
  const repeated = isRepeated(instruction);
  const bitOffset = bitOffsetOf(instruction, registerValue);
  const hasOperand = instruction.op0Kind === OpKind.Memory || instruction.op1Kind === OpKind.Memory;
  let addressSize: 16 | 32 = 32;
  const memory = used.map((use): MemoryUse => {
    const offset =
      Number(BigInt.asUintN(32, use.displacement)) +
      registerValue(use.base) +
      registerValue(use.index) * use.scale;
    const access = use.access;
    const mask = use.addressSize === CodeSize.Code16 ? 0xffff : 0xffffffff;
    if (mask === 0xffff) addressSize = 16;
    const isOperand =
      hasOperand && use.base === instruction.memoryBase && use.index === instruction.memoryIndex;
    const isStack = use.segment === Register.SS && instruction.isStackInstruction;
    const result = {
      segment: SEGMENT_BY_REGISTER[use.segment] ?? 'ds',
      offset: ((offset + (isOperand ? bitOffset : 0)) & mask) >>> 0,
      // Of a repeated string instruction: one element.
      size: MemorySizeExt.size(use.memorySize) || (repeated ? MemorySizeExt.size(instruction.memorySize) : 0),
      read: access !== OpAccess.Write && access !== OpAccess.CondWrite && access !== OpAccess.NoMemAccess,
      write: access !== OpAccess.Read && access !== OpAccess.CondRead && access !== OpAccess.NoMemAccess,
      implicit: isStack && !isOperand,
    };
    use.free();
    return result;
  });
  return instruction.code === Code.Invlpg_m
    ? { memory: [...memory, invalidatedAddress(instruction, registerValue)], addressSize }
    : { memory, addressSize };
}

/** INVLPG accesses nothing, but what it is about is the address. */
function invalidatedAddress(instruction: IcedInstruction, registerValue: RegisterValue): MemoryUse {
  const { memoryBase, memoryIndex, memoryIndexScale, memoryDisplacement, memorySegment } = instruction;
  const narrow =
    instruction.memoryDisplSize === 2 ||
    [memoryBase, memoryIndex].some(register => register >= Register.AX && register <= Register.DI);
  const sum =
    Number(BigInt.asUintN(32, memoryDisplacement)) +
    registerValue(memoryBase) +
    registerValue(memoryIndex) * memoryIndexScale;
  return {
    segment: SEGMENT_BY_REGISTER[memorySegment] ?? 'ds',
    offset: (sum & (narrow ? 0xffff : 0xffffffff)) >>> 0,
    size: 0,
    read: false,
    write: false,
    implicit: false,
  };
}

const BIT_STRINGS = new Set<number>([
  Code.Bt_rm16_r16,
  Code.Bts_rm16_r16,
  Code.Btr_rm16_r16,
  Code.Btc_rm16_r16,
]);
const BIT_STRINGS_32 = new Set<number>([
  Code.Bt_rm32_r32,
  Code.Bts_rm32_r32,
  Code.Btr_rm32_r32,
  Code.Btc_rm32_r32,
]);

/** BT and the like go as far from their operand as the register says: SDM vol. 2, 3.1.1.9. */
function bitOffsetOf(instruction: IcedInstruction, value: (register: number) => number): number {
  if (BIT_STRINGS.has(instruction.code)) return (((value(instruction.op1Register) << 16) >> 16) >> 4) * 2;
  return BIT_STRINGS_32.has(instruction.code) ? (value(instruction.op1Register) >> 5) * 4 : 0;
}
