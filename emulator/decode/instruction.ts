/** One instruction, decoded by iced-x86 into plain data, with its effective addresses. */
import type { GeneralRegister } from '../cpu-state.ts';
import type { SegmentName } from '../segmentation.ts';
import { branchOf, type NearBranch } from './branch.ts';
import { iced } from './iced.ts';
import { type MemoryUse, memoryUses, type RegisterValue } from './memory.ts';
import { GENERAL_BY_REGISTER, systemRegisterOf } from './registers.ts';
import {
  type IcedInstruction,
  isRepeated,
  SEGMENT_BY_REGISTER,
  type Sensitivity,
  sensitivityOf,
} from './sensitivity.ts';
import { guardedRuleOf, silentRuleOf } from './silent.ts';
import { type CodeBits, operandSizeOf, portSizeOf } from './sizes.ts';
import { invalidity } from './validity.ts';

const { Code, Decoder, DecoderError, DecoderOptions, FlowControl, InstructionInfoFactory, OpKind } = iced;

/** One instruction, decoded fully. Plain data. */
export interface DecodedInstruction {
  readonly length: number;
  readonly valid: boolean;
  /** Lower case, without size suffix: `lgdt`, `mov`. */
  readonly mnemonic: string;
  readonly sensitivity: Sensitivity | undefined;
  /** Id of the silent rule that names it. */
  readonly silent: string | undefined;
  /** Id of the privileged or IOPL-sensitive rule that names it. */
  readonly guarded: string | undefined;
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
    const registerValue: RegisterValue = register => {
      const known = GENERAL_BY_REGISTER[register];
      return known ? (registers[known.register] >>> known.shift) & known.mask : 0;
    };
    const repeated = isRepeated(instruction);
    const { memory, addressSize } = memoryUses(instruction, info.usedMemory(), registerValue);
    const { code } = instruction;
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
      guarded: instruction.isInvalid ? undefined : guardedRuleOf(instruction),
      operandSize: operandSizeOf(code),
      memory,
      immediate: hasImmediate(instruction)
        ? Number(BigInt.asUintN(32, instruction.immediate(immediateOperand(instruction))))
        : 0,
      systemRegister: systemRegisterOf(instruction),
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
