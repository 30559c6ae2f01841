/** Where in a bzImage the compressed kernel proper is. */
import { hex, u32 } from '../bytes.ts';
import type { Payload, PayloadFormat, Warning } from '../kernel-image.ts';
import type { SetupHeader } from '../setup-header.ts';
import { detectPayloadFormat } from './format.ts';
import { decodedSizeOf } from './size-word.ts';

const WORD = 4;

/**
 * By payload_offset and payload_length (boot protocol 2.08). Where the header has none, by magic: the linker script that
 * wrapped the compressed kernel up before 2.6.30 (arch/i386/boot/compressed/vmlinux.scr) put its length in front of it.
 *
 * @param code the protected-mode code, of which the payload is a part
 * @param fileOffset of `code`
 */
export function locatePayload(
  code: Uint8Array,
  setup: SetupHeader,
  fileOffset: number,
  warnings: Warning[],
): Payload | undefined {
  const field = (wanted: string): number =>
    Number(setup.fields.find(({ name }) => name === wanted)?.value ?? 0);
  const offset = field('payload_offset');
  const length = field('payload_length');
  if (length === 0) return findByMagic(code, fileOffset);
  if (offset + length > code.length) {
    warnings.push({
      code: 'payload-outside-file',
      message: `payload_offset at offset 0x248 and payload_length put the payload at file offsets ${hex(fileOffset + offset)} to ${hex(fileOffset + offset + length)}, and the file ends at ${hex(fileOffset + code.length)}; it is not read`,
    });
    return undefined;
  }
  return describe(code, offset, length, fileOffset, 'header');
}

function describe(
  code: Uint8Array,
  offset: number,
  length: number,
  fileOffset: number,
  found: Payload['found'],
): Payload {
  const bytes = code.subarray(offset, offset + length);
  const format = detectPayloadFormat(bytes);
  const decodedSize = decodedSizeOf(bytes, format);
  return {
    offset: fileOffset + offset,
    length,
    format,
    found,
    ...(decodedSize !== undefined && { decodedSize }),
  };
}

/** More of each format's start than tells it from another: two bytes occur in code by chance. */
const SIGNATURES: readonly (readonly [PayloadFormat, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b, 0x08]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['lzma', [0x5d, 0x00, 0x00]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['lzo', [0x89, 0x4c, 0x5a, 0x4f, 0x00]],
  ['lz4', [0x02, 0x21, 0x4c, 0x18]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['elf', [0x7f, 0x45, 0x4c, 0x46]],
];
/** Shorter than any kernel: what is found is no payload. */
const SHORTEST = 64;

/** The first place where a signature follows a length that stays inside the file. */
function findByMagic(code: Uint8Array, fileOffset: number): Payload | undefined {
  let best: { offset: number; length: number } | undefined;
  for (const [, signature] of SIGNATURES) {
    const [first = 0] = signature;
    const limit = best?.offset ?? code.length;
    for (let at = code.indexOf(first, WORD); at >= 0 && at < limit; at = code.indexOf(first, at + 1)) {
      if (!signature.every((byte, index) => code[at + index] === byte)) continue;
      const length = u32(code, at - WORD);
      if (length < SHORTEST || length > code.length - at) continue;
      best = { offset: at, length };
      break;
    }
  }
  return best && describe(code, best.offset, best.length, fileOffset, 'magic');
}
