/** The stub's hand-over to the kernel proper, as something that a run can stop at. */
import type { CodePattern } from '../emulator/run-options.ts';
import { findEntry, toVirtual } from './kernel-image/entry.ts';
import { type BzImage, type ElfImage, KernelImageError } from './kernel-image/kernel-image.ts';

/** So many bytes from the entry on say which kernel it is; a Linux startup_32 has more before its first call. */
const PATTERN_SIZE = 256;
const WORD = 4;

/** What follows the kernel proper in memory is zero or not known; so many bytes of it are no stub's by chance. */
const BEHIND = 16;

/**
 * The code at the kernel proper's entry: a run with it as `untilCode` stops at the first instruction of the kernel proper,
 * wherever the stub has put it. Words that the stub relocates are not compared.
 *
 * @param image the bzImage around it: what begins the same in its stub is told from the kernel proper by what follows
 *
 * @throws {KernelImageError} `no-entry-code` when the file has no bytes there
 */
export function payloadEntryCode(kernel: ElfImage, image?: BzImage): CodePattern {
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
  const pattern = { bytes, mask };
  const except = image ? sameInStub(image, pattern, found.segment.contents.subarray(offset)) : [];
  return { ...pattern, ...(except.length > 0 && { except }) };
}

/** Code of the stub that has the pattern, each to the first byte that the kernel proper does not have there. */
function sameInStub(image: BzImage, { bytes, mask }: CodePattern, kernel: Uint8Array): Uint8Array[] {
  const code = image.segments[0]?.contents ?? new Uint8Array(0);
  const start = image.payload ? image.payload.offset - image.protectedModeOffset : code.length;
  const end = image.payload ? start + image.payload.length : code.length;
  const found: Uint8Array[] = [];
  for (const part of [code.subarray(0, start), code.subarray(end)]) {
    for (let at = 0; at + bytes.length <= part.length; at++) {
      if (!bytes.every((byte, i) => (((part[at + i] ?? 0) ^ byte) & (mask[i] ?? 0)) === 0)) continue;
      let size = bytes.length;
      while (at + size < part.length && part[at + size] === (kernel[size] ?? 0)) size++;
      size += size < kernel.length ? 1 : BEHIND;
      if (at + size <= part.length) found.push(part.slice(at, at + size));
    }
  }
  return found;
}
