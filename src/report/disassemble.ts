/** Disassembly around a stop, as objdump shows it. Decoder and formatters are those of iced-x86. */
import { iced } from '../../emulator/decode/iced.ts';
import type { CodeBits } from '../../emulator/decode/sizes.ts';

const { Decoder, DecoderOptions, Formatter, FormatterSyntax } = iced;

export type Syntax = 'att' | 'intel';

export interface DisassembledLine {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** Column of the first operand, counted from the mnemonic: `objdump -d` pads mnemonics to six and a space. */
const OPERAND_COLUMN = 7;

/** These take a 6-byte operand whose size no register shows; GNU tools print them with `l`, iced without. */
const GNU_LONG_SUFFIX = /^(lgdt|lidt|sgdt|sidt) /;

/** GNU tools put the port register in parentheses. */
const GNU_PORT = /^((?:in|out)\b.*)%dx/;

/** A line for bytes that are no instruction, as objdump prints it. */
export const BAD_INSTRUCTION = '(bad)';

/**
 * @param bytes the code; decoding starts at its first byte.
 * @param address linear address of the first byte.
 * @param limit the most instructions to decode.
 * @param bits of the code segment.
 */
export function disassemble(
  bytes: Uint8Array,
  address: number,
  syntax: Syntax,
  limit = Number.POSITIVE_INFINITY,
  bits: CodeBits = 32,
): DisassembledLine[] {
  const decoder = new Decoder(bits, bytes, DecoderOptions.MovTr);
  const formatter = createFormatter(syntax);
  const lines: DisassembledLine[] = [];
  try {
    decoder.ip = BigInt(address);
    let position = 0;
    while (decoder.canDecode && lines.length < limit) {
      const instruction = decoder.decode();
      const { length, isInvalid } = instruction;
      const text = isInvalid ? BAD_INSTRUCTION : formatted(formatter.format(instruction), syntax);
      instruction.free();
      // Bytes that are cut off are no instruction either: show what there is and stop.
      const taken = isInvalid ? Math.min(1, bytes.length - position) : length;
      lines.push({
        address: (address + position) >>> 0,
        bytes: bytes.slice(position, position + taken),
        text,
      });
      position += taken;
      decoder.position = position;
      decoder.ip = BigInt((address + position) >>> 0);
    }
  } finally {
    formatter.free();
    decoder.free();
  }
  return lines;
}

function createFormatter(syntax: Syntax): InstanceType<typeof Formatter> {
  const formatter = new Formatter(syntax === 'att' ? FormatterSyntax.Gas : FormatterSyntax.Intel);
  formatter.hexPrefix = '0x';
  formatter.hexSuffix = '';
  formatter.uppercaseHex = false;
  formatter.smallHexNumbersInDecimal = false;
  formatter.branchLeadingZeros = false;
  formatter.showBranchSize = false;
  formatter.firstOperandCharIndex = OPERAND_COLUMN;
  return formatter;
}

const formatted = (text: string, syntax: Syntax): string =>
  (syntax === 'att' ? text.replace(GNU_LONG_SUFFIX, '$1l').replace(GNU_PORT, '$1(%dx)') : text).trimEnd();

/** How many lines stand before and after the instruction in a report. */
const LINES_BEFORE = 4;
const LINES_AFTER = 2;

export interface ListingLine extends DisassembledLine {
  /** True for the instruction of the stop. */
  readonly current: boolean;
}

/**
 * The instruction at `address`, a few before it in its block, two after it. When decoding from `start` does not
 * reach `address` (the guest jumped into the middle of an instruction), the listing starts at `address`.
 */
export function listing(
  code: Uint8Array,
  start: number,
  address: number,
  syntax: Syntax,
  bits: CodeBits = 32,
): ListingLine[] {
  const offset = (address - start) >>> 0;
  if (offset > code.length) return [];
  const before = disassemble(code.subarray(0, offset), start, syntax, Number.POSITIVE_INFINITY, bits);
  const last = before.at(-1);
  const aligned = last === undefined || (last.address + last.bytes.length) >>> 0 === address;
  const after = disassemble(code.subarray(offset), address, syntax, 1 + LINES_AFTER, bits);
  const shown = aligned && last?.text !== BAD_INSTRUCTION ? before.slice(-LINES_BEFORE) : [];
  // Where memory ends the last line is cut off; it says nothing about the code.
  const rest = after.filter((line, index) => index === 0 || line.text !== BAD_INSTRUCTION);
  return [
    ...shown.map(line => ({ ...line, current: false })),
    ...rest.map((line, index) => ({ ...line, current: index === 0 })),
  ];
}
