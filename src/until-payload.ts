/** The stub's hand-over to the kernel proper, as something that a run can stop at. */
import type { CodePattern } from '../emulator/run-options.ts';
import { findEntry, toVirtual } from './kernel-image/entry.ts';
import { type ElfImage, KernelImageError } from './kernel-image/kernel-image.ts';

/** So many bytes from the entry on say which kernel it is; a Linux startup_32 has more before its first call. */
const PATTERN_SIZE = 256;
const WORD = 4;

/**
 * The code at the kernel proper's entry: a run with it as `untilCode` stops at the first instruction of the kernel proper,
 * wherever the stub has put it. Words that the stub relocates are not compared.
 *
 * @throws {KernelImageError} `no-entry-code` when the file has no bytes there
 */
export function payloadEntryCode(kernel: ElfImage): CodePattern {
  const found = findEntry(kernel);
  const offset = found ? found.physical - found.segment.physical : 0;
  const bytes = found?.segment.contents.slice(offset, offset + PATTERN_SIZE) ?? new Uint8Array(0);
  if (!found || bytes.length === 0) {
    throw new KernelImageError(
      'no-entry-code',
      `${kernel.name}: the kernel proper has no bytes at its entry 0x${kernel.entry.toString(16).padStart(8, '0')}`,
    );
  }
  const mask = new Uint8Array(bytes.length).fill(0xff);
  const start = toVirtual(found.segment, found.physical);
  for (const word of kernel.relocations?.words ?? []) {
    const at = (word - start) | 0;
    if (at > -WORD && at < bytes.length) mask.fill(0, Math.max(at, 0), at + WORD);
  }
  return { bytes, mask };
}
