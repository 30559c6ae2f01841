/** A block, decoded once, when it is first seen: what in it has to be looked at before it runs. */
import { iced } from './iced.ts';
import { isRepeated, prefixOf, type Sensitivity, sensitivityOf } from './sensitivity.ts';
import { guardedRuleOf, silentRuleOf } from './silent.ts';
import type { CodeBits } from './sizes.ts';
import { invalidity } from './validity.ts';

const { Decoder, DecoderError, DecoderOptions, FlowControl, Instruction } = iced;

/** An instruction that has to be looked at, by its offset in the block. */
export interface SensitiveInstruction {
  readonly offset: number;
  readonly length: number;
  readonly sensitivity: Sensitivity;
}

/** An instruction that a rule names, by its offset in the block. */
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
  /** Instructions that a privileged or IOPL-sensitive rule names; ascending. */
  readonly guarded: readonly SilentInstruction[];
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
  let guarded: SilentInstruction[] | undefined;
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
      const guard = guardedRuleOf(scratch);
      if (guard) {
        guarded ??= [];
        guarded.push({ offset: size, rule: guard });
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
  return {
    size,
    offsets,
    sensitive,
    silent: silent ?? NO_SILENT,
    guarded: guarded ?? NO_SILENT,
    endsInRepeat,
    fallsThrough,
  };
}
