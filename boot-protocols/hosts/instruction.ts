/** The instruction of a Stop, decoded, and its operands: what every host begins with. */
import { codeBits } from '../../emulator/code-bits.ts';
import type { GeneralRegister } from '../../emulator/cpu-state.ts';
import { type DecodedInstruction, decodeInstruction } from '../../emulator/decode/instruction.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { AnswerContext } from './answer.ts';

/** The instruction of a Stop; `undefined` where its bytes cannot be read or are no instruction. */
export function decode({ instruction, cpu }: Stop): DecodedInstruction | undefined {
  if (!instruction) return undefined;
  const decoded = decodeInstruction(instruction.bytes, instruction.address, codeBits(cpu), cpu.registers);
  return decoded.valid ? decoded : undefined;
}

export const nextEip = (stop: Stop): number => (stop.cpu.eip + (stop.instruction?.bytes.length ?? 0)) >>> 0;

/** Little-endian; `undefined` where memory ends. */
export function readWord(read: AnswerContext['read'], linear: number, size: 2 | 4): number | undefined {
  const bytes = read(linear >>> 0, size);
  if (bytes.length < size) return undefined;
  return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
}

export function wordBytes(value: number, size: 2 | 4): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value >>> 0, true);
  return bytes.slice(0, size);
}

/** Linear address of an offset on the stack, `offset` bytes above the stack pointer. */
export function stackAddress({ cpu }: Stop, offset: number): number {
  const stack = cpu.segments.ss.descriptor;
  const mask = stack?.big === false ? 0xffff : 0xffffffff;
  return ((stack?.base ?? 0) + (((cpu.registers.esp + offset) & mask) >>> 0)) >>> 0;
}

/** ESP moved by `bytes`; a 16-bit stack keeps the upper half. */
export function movedStack({ cpu }: Stop, bytes: number): number {
  const { esp } = cpu.registers;
  if (cpu.segments.ss.descriptor?.big !== false) return (esp + bytes) >>> 0;
  return ((esp & 0xffff0000) | ((esp + bytes) & 0xffff)) >>> 0;
}

/** Linear address of the operand in memory. */
export function operandAddress(stop: Stop, decoded: DecodedInstruction): number | undefined {
  const use = decoded.memory[0];
  return use && ((stop.cpu.segments[use.segment].descriptor?.base ?? 0) + use.offset) >>> 0;
}

/** A 16-bit operand in a register or in memory: of LMSW, LLDT, LTR. */
export function operand16(
  stop: Stop,
  decoded: DecodedInstruction,
  read: AnswerContext['read'],
): number | undefined {
  const { generalRegister, memory } = decoded;
  if (memory.length > 0) return readWord(read, operandAddress(stop, decoded) ?? 0, 2);
  return generalRegister === undefined ? undefined : stop.cpu.registers[generalRegister] & 0xffff;
}

/** A register with its low `size` bytes replaced. */
export function mergeLow(old: number, value: number, size: 1 | 2 | 4): number {
  const mask = size === 4 ? 0xffffffff : (1 << (size * 8)) - 1;
  return ((old & ~mask) | (value & mask)) >>> 0;
}

export const registerOf = ({ cpu }: Stop, name: GeneralRegister): number => cpu.registers[name];
