/** Bytes that are no instruction. */
import { iced } from './iced.ts';
import { type Sensitivity, TOO_LONG, UNDEFINED } from './sensitivity.ts';
import type { CodeBits } from './sizes.ts';

const { Decoder, DecoderOptions } = iced;

/** SDM vol. 2, 2.1.1. */
const PREFIXES = new Set([0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x66, 0x67]);
const LONGEST = 15;

/** Why bytes are no instruction: without its repeated prefixes one that is too long is one. */
export function invalidity(bytes: Uint8Array, bits: CodeBits): Sensitivity {
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
