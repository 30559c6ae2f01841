/** Decoding, in one place: iced-x86 behind plain data. A block is decoded once, when it is first seen. */
import type { GeneralRegister } from './cpu-state.ts';
import { iced } from './iced.ts';
import { silentRuleOf } from './observe/silent-opcodes.ts';
import type { SegmentName } from './segmentation.ts';
import {
  type IcedInstruction,
  prefixOf,
  SEGMENT_BY_REGISTER,
  type Sensitivity,
  sensitivityOf,
  TOO_LONG,
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

/** An instruction that a silent rule names, by its offset in the block. */
export interface SilentInstruction {
  readonly offset: number;
  readonly rule: string;
}

/** Most blocks have none. */
const NO_SILENT: readonly SilentInstruction[] = [];

export interface DecodedBlock {
  /** Bytes decoded; the block ends just before `start + size`. */
  readonly size: number;
  /** Offset of every instruction, ascending. */
  readonly offsets: readonly number[];
  readonly sensitive: readonly SensitiveInstruction[];
  /** Instructions that outside ring 0 do or show something else without a fault; ascending. */
  readonly silent: readonly SilentInstruction[];
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
  let silent: SilentInstruction[] | undefined;
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
          sensitive.push({
            offset: size,
            length: scratch.length,
            sensitivity: invalidity(bytes.subarray(size), bits),
          });
        }
        fallsThrough = false;
        break;
      }
      const length = scratch.length;
      const sensitivity = sensitivityOf(scratch);
      if (sensitivity) sensitive.push({ offset: size, length, sensitivity });
      const prefix = prefixOf(scratch);
      if (prefix && sensitivity !== prefix) sensitive.push({ offset: size, length, sensitivity: prefix });
      const rule = silentRuleOf(scratch);
      if (rule) {
        silent ??= [];
        silent.push({ offset: size, rule });
      }
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
  return { size, offsets, sensitive, silent: silent ?? NO_SILENT, endsInRepeat, fallsThrough };
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
  /** A push or pop rather than an operand: with a 16-bit stack segment it goes by SP. */
  readonly implicit: boolean;
}

export interface NearBranch {
  /** Linear; `undefined` for RET, and for JMP and CALL through a register or memory. See {@link branchOffset}. */
  readonly target: number | undefined;
  /** EIP is cut to 16 bits. */
  readonly narrow: boolean;
  /** For a conditional jump: iced's code of the condition, and whether ECX decides as well. */
  readonly condition: string | undefined;
}

/** One instruction, decoded fully. Plain data. */
export interface DecodedInstruction {
  readonly length: number;
  readonly valid: boolean;
  /** Lower case, without size suffix: `lgdt`, `mov`. */
  readonly mnemonic: string;
  readonly sensitivity: Sensitivity | undefined;
  /** Id of the silent rule that names it. */
  readonly silent: string | undefined;
  readonly operandSize: 16 | 32;
  readonly memory: readonly MemoryUse[];
  readonly immediate: number;
  /** The control or debug register's number of MOV CRn/DRn. */
  readonly systemRegister: number | undefined;
  /** The general register that a MOV CRn, RDRAND, MOV Sreg ... names. */
  readonly generalRegister: GeneralRegister | undefined;
  /** The general register that is the second operand: the source of LAR, MOV Sreg ... */
  readonly sourceRegister: GeneralRegister | undefined;
  /** The segment register that MOV, PUSH or POP names. */
  readonly segmentRegister: SegmentName | undefined;
  /** Selector and offset of a far transfer with immediate operand. */
  readonly farPointer: { readonly selector: number; readonly offset: number } | undefined;
  /** False when the instruction can go anywhere but to the next one. */
  readonly fallsThrough: boolean;
  readonly repeated: boolean;
  /** REPE and REPNE: it goes on while ZF is this; absent when ECX alone counts. */
  readonly repeatsWhileZero: boolean | undefined;
  /** Of a string instruction, or of any other's memory operand. */
  readonly addressSize: 16 | 32;
  /** Where a near branch goes. Conditional: only if it is taken. */
  readonly branch: NearBranch | undefined;
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
    const bitOffset = bitOffsetOf(instruction, registerValue);
    const hasOperand = instruction.op0Kind === OpKind.Memory || instruction.op1Kind === OpKind.Memory;
    let addressSize: 16 | 32 = 32;
    const memory = info.usedMemory().map((use): MemoryUse => {
      const offset =
        Number(BigInt.asUintN(32, use.displacement)) +
        registerValue(use.base) +
        registerValue(use.index) * use.scale;
      const access = use.access;
      const mask = use.addressSize === iced.CodeSize.Code16 ? 0xffff : 0xffffffff;
      if (mask === 0xffff) addressSize = 16;
      const isOperand =
        hasOperand && use.base === instruction.memoryBase && use.index === instruction.memoryIndex;
      const isStack = use.segment === Register.SS && instruction.isStackInstruction;
      const result = {
        segment: SEGMENT_BY_REGISTER[use.segment] ?? 'ds',
        offset: ((offset + (isOperand ? bitOffset : 0)) & mask) >>> 0,
        // Of a repeated string instruction: one element.
        size:
          MemorySizeExt.size(use.memorySize) || (repeated ? MemorySizeExt.size(instruction.memorySize) : 0),
        read: access !== OpAccess.Write && access !== OpAccess.CondWrite && access !== OpAccess.NoMemAccess,
        write: access !== OpAccess.Read && access !== OpAccess.CondRead && access !== OpAccess.NoMemAccess,
        implicit: isStack && !isOperand,
      };
      use.free();
      return result;
    });
    const code = instruction.code;
    // INVLPG accesses nothing, but what it is about is the address.
    if (code === Code.Invlpg_m) {
      const { memoryBase, memoryIndex, memoryIndexScale, memoryDisplacement, memorySegment } = instruction;
      const narrow =
        instruction.memoryDisplSize === 2 ||
        [memoryBase, memoryIndex].some(register => register >= Register.AX && register <= Register.DI);
      const sum =
        Number(BigInt.asUintN(32, memoryDisplacement)) +
        registerValue(memoryBase) +
        registerValue(memoryIndex) * memoryIndexScale;
      const segment = SEGMENT_BY_REGISTER[memorySegment] ?? 'ds';
      memory.push({
        segment,
        offset: (sum & (narrow ? 0xffff : 0xffffffff)) >>> 0,
        size: 0,
        read: false,
        write: false,
        implicit: false,
      });
    }
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
          ? invalidity(bytes, bits)
          : undefined
        : sensitivityOf(instruction),
      silent: instruction.isInvalid ? undefined : silentRuleOf(instruction),
      operandSize: operandSizeOf(code),
      memory,
      immediate: hasImmediate(instruction)
        ? Number(BigInt.asUintN(32, instruction.immediate(immediateOperand(instruction))))
        : 0,
      systemRegister,
      generalRegister: general,
      sourceRegister:
        instruction.op1Kind === OpKind.Register
          ? GENERAL_BY_REGISTER[instruction.op1Register]?.register
          : undefined,
      segmentRegister: [instruction.op0Kind, instruction.op1Kind]
        .map((kind, i) =>
          kind === OpKind.Register ? SEGMENT_BY_REGISTER[instruction.opRegister(i)] : undefined,
        )
        .find(register => register !== undefined),
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
      repeatsWhileZero:
        repeated && /^(Cmps|Scas)/.test(Code[code] ?? '') ? !instruction.hasRepnePrefix : undefined,
      addressSize,
      branch: instruction.isInvalid ? undefined : branchOf(instruction),
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

/** SDM vol. 2, 2.1.1. */
const PREFIXES = new Set([0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x66, 0x67]);
const LONGEST = 15;

/** Why bytes are no instruction: without its repeated prefixes one that is too long is one. */
function invalidity(bytes: Uint8Array, bits: CodeBits): Sensitivity {
  const first = bytes.findIndex(byte => !PREFIXES.has(byte));
  if (first >= LONGEST || (first < 0 && bytes.length >= LONGEST)) return TOO_LONG;
  if (first <= 1) return UNDEFINED;
  const prefixes = [...new Set(bytes.subarray(0, first))];
  const short = Uint8Array.from([...prefixes, ...bytes.subarray(first, first + LONGEST)]);
  const decoder = new Decoder(bits, short, DecoderOptions.None);
  const instruction = decoder.decode();
  const length = instruction.length - prefixes.length + first;
  const isTooLong = !instruction.isInvalid && length > LONGEST;
  instruction.free();
  decoder.free();
  return isTooLong ? TOO_LONG : UNDEFINED;
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

function branchOf(instruction: IcedInstruction): NearBranch | undefined {
  const kind = instruction.op0Kind;
  const flow = instruction.flowControl;
  if (kind === OpKind.NearBranch16 || kind === OpKind.NearBranch32) {
    const target = kind === OpKind.NearBranch16 ? instruction.nearBranch16 : instruction.nearBranch32;
    const condition =
      flow === FlowControl.ConditionalBranch
        ? (iced.Mnemonic[instruction.mnemonic] ?? '').toLowerCase()
        : undefined;
    return { target: target >>> 0, narrow: kind === OpKind.NearBranch16, condition };
  }
  const isIndirect =
    flow === FlowControl.Return || flow === FlowControl.IndirectBranch || flow === FlowControl.IndirectCall;
  if (!isIndirect) return undefined;
  const isFar = /^(Jmp_m16|Call_m16|Retf|Iret|Sys|Jmp_ptr|Call_ptr)/.test(Code[instruction.code] ?? '');
  return isFar ? undefined : { target: undefined, narrow: false, condition: undefined };
}

/** The offset in a code segment that starts at `base`. */
export const branchOffset = ({ target, narrow }: NearBranch, base: number): number | undefined =>
  target === undefined ? undefined : narrow ? (target - base) & 0xffff : (target - base) >>> 0;

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
  Code.Pushfw,
  Code.Retnw,
  Code.Retnw_imm16,
  Code.Enterw_imm16_imm8,
  Code.Smsw_rm16,
  Code.Lar_r16_rm16,
  Code.Lsl_r16_rm16,
]);
const operandSizeOf = (code: number): 16 | 32 => (CODES_16.has(code) ? 16 : 32);

function portSizeOf(codeName: string): 1 | 2 | 4 {
  if (/^(In_AL|Out_(imm8|DX)_AL|Insb|Outsb)/.test(codeName)) return 1;
  if (/^(In_AX|Out_(imm8|DX)_AX|Insw|Outsw)/.test(codeName)) return 2;
  return 4;
}

/** MMX and SSE instructions, whose #UD by CR0.EM comes before #NM. */
export function extensionOf(bytes: Uint8Array, bits: CodeBits): 'mmx' | 'sse' | undefined {
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  const instruction = decoder.decode();
  const names = [...instruction.cpuidFeatures()].map(feature => iced.CpuidFeature[feature] ?? '');
  instruction.free();
  decoder.free();
  if (names.some(name => name.startsWith('SSE'))) return 'sse';
  return names.includes('MMX') ? 'mmx' : undefined;
}
