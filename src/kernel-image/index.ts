/** KernelImage: what a kernel file says about itself. */
import { hex, hexBytes } from './bytes.ts';
import { readBzImage } from './bzimage.ts';
import { readElf } from './elf.ts';
import { isElf } from './elf-check.ts';
import { type KernelImage, KernelImageError, type Warning } from './kernel-image.ts';
import { detectPayloadFormat } from './payload.ts';
import { hasBootFlag, hasSetupHeader } from './read-setup-header.ts';
import { sha256 } from './sha256.ts';
import { parseSystemMap } from './symbols.ts';
import { decodeXenGuestString, decodeXenNotes } from './xen-notes.ts';

export { physicalEntry } from './entry.ts';
export type * from './kernel-image.ts';
export { KernelImageError } from './kernel-image.ts';
export { NOTE_TYPE_NAMES, noteTypeName } from './notes.ts';
export { detectPayloadFormat } from './payload.ts';
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
  const common = () => ({ name, size: file.length, sha256: sha256(file) });
  if (isElf(file)) {
    const image = readElf(file, name);
    const xenWarnings: Warning[] = [];
    if (decodeXenNotes(image.notes, xenWarnings) === undefined && image.xenGuest !== undefined) {
      decodeXenGuestString(image.xenGuest, xenWarnings);
    }
    const { symbols, warnings } = withSystemMap(image.symbols, options.systemMap);
    return { ...common(), ...image, symbols, warnings: [...image.warnings, ...xenWarnings, ...warnings] };
  }
  if (hasSetupHeader(file)) {
    const image = readBzImage(file, name);
    const { symbols, warnings } = withSystemMap([], options.systemMap);
    return { ...common(), ...image, symbols, warnings: [...image.warnings, ...warnings] };
  }
  throw notAKernel(file, name);
}

function withSystemMap(
  own: KernelImage['symbols'],
  text: string | undefined,
): Pick<KernelImage, 'symbols' | 'warnings'> {
  if (text === undefined) return { symbols: own, warnings: [] };
  const map = parseSystemMap(text);
  return { symbols: map.symbols.length > 0 ? map.symbols : own, warnings: map.warnings };
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
