/** Decoding, in one place: iced-x86 behind plain data. A block is decoded once, when it is first seen. */
import type { GeneralRegister } from './cpu-state.ts';
import { iced } from './iced.ts';
import type { SegmentName } from './segmentation.ts';
import {
  type IcedInstruction,
  prefixOf,
  SEGMENT_BY_REGISTER,
  type Sensitivity,
  sensitivityOf,
  UNDEFINED,
} from './sensitivity.ts';

const {
  Code,
  Decoder,
  DecoderError,
  DecoderOptions,
  FlowControl,
  Instruction,
  InstructionInfoFactory,
  MemorySizeExt,
  OpAccess,
  OpKind,
  Register,
} = iced;

const GENERAL_BY_REGISTER: Readonly<
  Record<number, { register: GeneralRegister; mask: number; shift: number }>
> = {
  ...Object.fromEntries(
    (['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'] as const).flatMap((register, i) => [
      [Register.EAX + i, { register, mask: 0xffffffff, shift: 0 }],
      [Register.AX + i, { register, mask: 0xffff, shift: 0 }],
    ]),
  ),
  ...Object.fromEntries(
    (['eax', 'ecx', 'edx', 'ebx'] as const).flatMap((register, i) => [
      [Register.AL + i, { register, mask: 0xff, shift: 0 }],
      [Register.AH + i, { register, mask: 0xff, shift: 8 }],
    ]),
  ),
};

export type CodeBits = 16 | 32;

/** An instruction that has to be looked at, by its offset in the block. */
export interface SensitiveInstruction {
  readonly offset: number;
  readonly length: number;
  readonly sensitivity: Sensitivity;
}

export interface DecodedBlock {
  /** Bytes decoded; the block ends just before `start + size`. */
  readonly size: number;
  /** Offset of every instruction, ascending. */
  readonly offsets: readonly number[];
  readonly sensitive: readonly SensitiveInstruction[];
  /** The last instruction is a repeated string instruction, which the engines run as a loop of blocks. */
  readonly endsInRepeat: boolean;
  /** The last instruction can go on to the next one without a branch. */
  readonly fallsThrough: boolean;
}

const scratch = new Instruction();

/**
 * Decodes straight-line code up to and including the first control transfer.
 *
 * @param bytes from the block's start; decoding stops before an instruction that does not fit
 * @param bits of the code segment
 * @param limit bytes; no instruction that starts there or later belongs to the block
 */
export function decodeBlock(bytes: Uint8Array, bits: CodeBits, limit = bytes.length): DecodedBlock {
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  const offsets: number[] = [];
  const sensitive: SensitiveInstruction[] = [];
  let size = 0;
  let endsInRepeat = false;
  let fallsThrough = true;
  try {
    while (decoder.canDecode && size < limit) {
      decoder.decodeOut(scratch);
      if (scratch.isInvalid) {
        offsets.push(size);
        // Cut short by the end of memory: left to the CPU, which faults on the fetch.
        if (decoder.lastError === DecoderError.InvalidInstruction) {
          sensitive.push({ offset: size, length: scratch.length, sensitivity: UNDEFINED });
        }
        fallsThrough = false;
        break;
      }
      const length = scratch.length;
      const sensitivity = sensitivityOf(scratch);
      if (sensitivity) sensitive.push({ offset: size, length, sensitivity });
      const prefix = prefixOf(scratch);
      if (prefix && sensitivity !== prefix) sensitive.push({ offset: size, length, sensitivity: prefix });
      offsets.push(size);
      size += length;
      const flow = scratch.flowControl;
      endsInRepeat = flow === FlowControl.Next && isRepeated(scratch);
      if (flow !== FlowControl.Next) {
        fallsThrough = flow === FlowControl.Exception;
        break;
      }
    }
  } finally {
    decoder.free();
  }
  return { size, offsets, sensitive, endsInRepeat, fallsThrough };
}

function isRepeated(instruction: IcedInstruction): boolean {
  return instruction.isStringInstruction && (instruction.hasRepPrefix || instruction.hasRepnePrefix);
}

/** One operand in memory, with its effective address (offset in the segment) computed. */
export interface MemoryUse {
  readonly segment: SegmentName;
  /** Offset in the segment, 0 to 2^32 - 1. */
  readonly offset: number;
  /** Bytes; 0 for an address that is not accessed. */
  readonly size: number;
  readonly read: boolean;
  readonly write: boolean;
}

/** One instruction, decoded fully. Plain data. */
export interface DecodedInstruction {
  readonly length: number;
  readonly valid: boolean;
  /** Lower case, without size suffix: `lgdt`, `mov`. */
  readonly mnemonic: string;
  readonly sensitivity: Sensitivity | undefined;
  readonly operandSize: 16 | 32;
  readonly memory: readonly MemoryUse[];
  readonly immediate: number;
  /** The control or debug register's number of MOV CRn/DRn. */
  readonly systemRegister: number | undefined;
  /** The general register that a MOV CRn, RDRAND, MOV Sreg ... names. */
  readonly generalRegister: GeneralRegister | undefined;
  /** Selector and offset of a far transfer with immediate operand. */
  readonly farPointer: { readonly selector: number; readonly offset: number } | undefined;
  /** False when the instruction can go anywhere but to the next one. */
  readonly fallsThrough: boolean;
  readonly repeated: boolean;
  /** IN and OUT with an immediate port. */
  readonly immediatePort: boolean;
  /** Bytes that IN, OUT, INS, OUTS transfer. */
  readonly portSize: 1 | 2 | 4;
}

/**
 * Decodes the instruction at the start of `bytes`.
 *
 * @param registers current values, for effective addresses
 */
export function decodeInstruction(
  bytes: Uint8Array,
  address: number,
  bits: CodeBits,
  registers: Readonly<Record<GeneralRegister, number>>,
): DecodedInstruction {
  const decoder = new Decoder(bits, bytes.subarray(0, 15), DecoderOptions.None);
  decoder.ip = BigInt(address);
  const instruction = decoder.decode();
  const factory = new InstructionInfoFactory();
  const info = factory.info(instruction);
  try {
    const registerValue = (register: number): number => {
      const known = GENERAL_BY_REGISTER[register];
      return known ? (registers[known.register] >>> known.shift) & known.mask : 0;
    };
    const repeated = isRepeated(instruction);
    const memory = info.usedMemory().map((use): MemoryUse => {
      const offset =
        Number(BigInt.asUintN(32, use.displacement)) +
        registerValue(use.base) +
        registerValue(use.index) * use.scale;
      const access = use.access;
      const mask = use.addressSize === iced.CodeSize.Code16 ? 0xffff : 0xffffffff;
      const result = {
        segment: SEGMENT_BY_REGISTER[use.segment] ?? 'ds',
        offset: (offset & mask) >>> 0,
        // Of a repeated string instruction: one element.
        size:
          MemorySizeExt.size(use.memorySize) || (repeated ? MemorySizeExt.size(instruction.memorySize) : 0),
        read: access !== OpAccess.Write && access !== OpAccess.CondWrite && access !== OpAccess.NoMemAccess,
        write: access !== OpAccess.Read && access !== OpAccess.CondRead && access !== OpAccess.NoMemAccess,
      };
      use.free();
      return result;
    });
    const code = instruction.code;
    const systemOperand =
      code === Code.Mov_cr_r32 || code === Code.Mov_dr_r32
        ? instruction.op0Register
        : code === Code.Mov_r32_cr || code === Code.Mov_r32_dr
          ? instruction.op1Register
          : undefined;
    const systemRegister =
      systemOperand === undefined
        ? undefined
        : systemOperand >= Register.DR0 && systemOperand <= Register.DR0 + 15
          ? systemOperand - Register.DR0
          : systemOperand - Register.CR0;
    const general = [instruction.op0Kind, instruction.op1Kind]
      .map((kind, i) => (kind === OpKind.Register ? instruction.opRegister(i) : undefined))
      .map(register => (register === undefined ? undefined : GENERAL_BY_REGISTER[register]?.register))
      .find(register => register !== undefined);
    const far = instruction.op0Kind === OpKind.FarBranch16 || instruction.op0Kind === OpKind.FarBranch32;
    return {
      length: instruction.length,
      valid: !instruction.isInvalid,
      mnemonic: (iced.Mnemonic[instruction.mnemonic] ?? 'invalid').toLowerCase(),
      sensitivity: instruction.isInvalid
        ? decoder.lastError === DecoderError.InvalidInstruction
          ? UNDEFINED
          : undefined
        : sensitivityOf(instruction),
      operandSize: operandSizeOf(code),
      memory,
      immediate: hasImmediate(instruction)
        ? Number(BigInt.asUintN(32, instruction.immediate(immediateOperand(instruction))))
        : 0,
      systemRegister,
      generalRegister: general,
      farPointer: far
        ? {
            selector: instruction.farBranchSelector,
            offset:
              instruction.op0Kind === OpKind.FarBranch32
                ? instruction.farBranch32 >>> 0
                : instruction.farBranch16,
          }
        : undefined,
      fallsThrough: instruction.flowControl === FlowControl.Next,
      repeated,
      immediatePort: hasImmediate(instruction),
      portSize: portSizeOf(Code[code] ?? ''),
    };
  } finally {
    info.free();
    factory.free();
    instruction.free();
    decoder.free();
  }
}

const IMMEDIATE_KINDS = new Set<number>([
  OpKind.Immediate8,
  OpKind.Immediate16,
  OpKind.Immediate32,
  OpKind.Immediate8to16,
  OpKind.Immediate8to32,
]);

function immediateOperand(instruction: IcedInstruction): number {
  for (let i = 0; i < instruction.opCount; i++) if (IMMEDIATE_KINDS.has(instruction.opKind(i))) return i;
  return -1;
}

const hasImmediate = (instruction: IcedInstruction): boolean => immediateOperand(instruction) >= 0;

const CODES_16 = new Set<number>([
  Code.Popfw,
  Code.Iretw,
  Code.Retfw,
  Code.Retfw_imm16,
  Code.Jmp_ptr1616,
  Code.Jmp_m1616,
  Code.Call_ptr1616,
  Code.Call_m1616,
  Code.Popw_ES,
  Code.Popw_SS,
  Code.Popw_DS,
  Code.Popw_FS,
  Code.Popw_GS,
  Code.Les_r16_m1616,
  Code.Lds_r16_m1616,
  Code.Lss_r16_m1616,
  Code.Lfs_r16_m1616,
  Code.Lgs_r16_m1616,
  Code.Rdrand_r16,
  Code.Rdseed_r16,
  Code.Lgdt_m1632_16,
  Code.Lidt_m1632_16,
]);
const operandSizeOf = (code: number): 16 | 32 => (CODES_16.has(code) ? 16 : 32);

function portSizeOf(codeName: string): 1 | 2 | 4 {
  if (/^(In_AL|Out_(imm8|DX)_AL|Insb|Outsb)/.test(codeName)) return 1;
  if (/^(In_AX|Out_(imm8|DX)_AX|Insw|Outsw)/.test(codeName)) return 2;
  return 4;
}
