/** KernelImage: what a kernel file says about itself. */
import { hex, hexBytes } from './bytes.ts';
import { readBzImage } from './bzimage.ts';
import { isElf } from './elf-check.ts';
import { chooseSymbols, readElfContents } from './elf-contents.ts';
import { type KernelImage, KernelImageError } from './kernel-image.ts';
import { detectPayloadFormat } from './payload/format.ts';
import { hasBootFlag, hasSetupHeader } from './read-setup-header.ts';
import { sha256 } from './sha256.ts';

export { physicalEntry } from './entry.ts';
export { type Kallsyms, readKallsyms } from './kallsyms/index.ts';
export type * from './kernel-image.ts';
export { KernelImageError } from './kernel-image.ts';
export { NOTE_TYPE_NAMES, noteTypeName } from './notes.ts';
export {
  DEFAULT_LIMIT as DEFAULT_DECODE_LIMIT,
  type DecodeOptions,
  decodePayload,
} from './payload/decode.ts';
export { detectPayloadFormat } from './payload/format.ts';
export { checkPayload, readKernelProper } from './payload/kernel-proper.ts';
export { relocate } from './payload/relocate.ts';
export { protocolVersion } from './read-setup-header.ts';
export type { SetupHeader, SetupHeaderField } from './setup-header.ts';
export {
  type AddressKind,
  createSymbolizer,
  ENTRY_NAME,
  type SymbolAt,
  type Symbolizer,
  type SymbolizerOptions,
  type SymbolLocation,
} from './symbolizer.ts';
export { parseSystemMap } from './symbols.ts';
export {
  decodeXenGuestString,
  decodeXenNotes,
  type L1MfnValid,
  readXenGuest,
  type XenGuest,
} from './xen-notes.ts';

export interface ReadOptions {
  /** As the user named the file; it starts every error message. */
  readonly name: string;
  /** Text of a System.map; where it holds symbols, they stand for those of the file. */
  readonly systemMap?: string;
  /** Called now and then while the file is hashed, with bytes. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Reads an ELF32 i386 executable or a bzImage.
 * @param bytes the whole file; the segments are views of it and it must not change afterwards.
 * @throws {KernelImageError} with a stable code and one sentence when the file cannot be loaded. Problems that a run can do
 *   without are in `warnings`.
 */
export function readKernelImage(bytes: Uint8Array, options: ReadOptions): KernelImage {
  // A Buffer is a Uint8Array whose subarray and slice differ; plain views keep results comparable.
  const file = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { name } = options;
  const common = () => ({ name, size: file.length, sha256: sha256(file, options.onProgress) });
  // A bzImage may have an ELF header in front, see front-elf.ts.
  const isBzImage = hasSetupHeader(file) && (!isElf(file) || hasBootFlag(file));
  if (isElf(file) && !isBzImage) {
    return { ...common(), ...readElfContents(file, name, options.systemMap) };
  }
  if (isBzImage) {
    const image = readBzImage(file, name);
    const { warnings, ...symbols } = chooseSymbols(options.systemMap);
    return { ...common(), ...image, ...symbols, warnings: [...image.warnings, ...warnings] };
  }
  throw notAKernel(file, name);
}

const EXPECTED = 'expected 7f 45 4c 46 (ELF) at offset 0x0, or "HdrS" at offset 0x202 (bzImage)';

function notAKernel(bytes: Uint8Array, name: string): KernelImageError {
  if (bytes.length === 0) {
    return new KernelImageError('empty-file', `${name}: the file has no bytes; ${EXPECTED}`);
  }
  if (hasBootFlag(bytes)) {
    return new KernelImageError(
      'no-hdrs',
      `${name}: boot_flag 0xaa55 at offset 0x1fe but no HdrS: ${hexBytes(bytes.subarray(0x202, 0x206))} at offset 0x202; expected "HdrS", which every kernel since boot protocol 2.00 (Linux 1.3.73) has`,
    );
  }
  const format = detectPayloadFormat(bytes);
  const compressed =
    format === 'unknown' || format === 'elf' ? '' : ` (${format} data, to be decompressed first?)`;
  return new KernelImageError(
    'not-a-kernel',
    `${name}: ${hexBytes(bytes.subarray(0, 4))} at offset 0x0${compressed}, file of ${hex(bytes.length)} bytes; ${EXPECTED}`,
  );
}
