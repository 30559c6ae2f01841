/**
 * How the launcher of Linux 2.6.23 finds where to start: Documentation/lguest/lguest.c, map_elf and entry_point. The
 * guest's drivers/lguest/lguest_asm.S has the string in front of its first instruction.
 */
import type { ElfImage } from '../../src/kernel-image/kernel-image.ts';
import { ProtocolError } from '../protocol.ts';
import { hex } from '../regions.ts';

const MAGIC = new TextEncoder().encode('GenuineLguest');

export interface GenuineEntry {
  /** The first byte behind the string, as a physical address. */
  readonly physical: number;
  /** What is added to a physical address for the virtual one: p_vaddr − p_paddr. */
  readonly pageOffset: number;
}

/** Where the byte behind the string is; -1: the string is nowhere. */
export function behindMagic(bytes: Uint8Array): number {
  const [first] = MAGIC;
  if (first === undefined) return -1;
  for (let at = bytes.indexOf(first); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (MAGIC.every((byte, index) => bytes[at + index] === byte)) return at + MAGIC.length;
  }
  return -1;
}

/**
 * @throws {ProtocolError} `page-offset` when the segments are not all the same way up, `no-lguest-entry` when the
 * string is nowhere
 */
export function findGenuineEntry(image: ElfImage): GenuineEntry {
  const segments = [...image.segments].sort((a, b) => a.physical - b.physical);
  const offsets = new Set(segments.map(({ virtual, physical }) => (virtual - physical) >>> 0));
  const [pageOffset = 0, ...others] = offsets;
  if (pageOffset === 0 || others.length > 0) {
    throw new ProtocolError(
      'page-offset',
      `${image.name}: p_vaddr - p_paddr is ${[...offsets].map(hex).join(' and ')}; the lguest launcher of Linux 2.6.23 maps guest memory at one such offset, which is not 0`,
    );
  }
  for (const { physical, contents } of segments) {
    const at = behindMagic(contents);
    if (at >= 0) return { physical: physical + at, pageOffset };
  }
  throw noMagic(image.name);
}

export const noMagic = (name: string): ProtocolError =>
  new ProtocolError(
    'no-lguest-entry',
    `${name} has no "GenuineLguest" in it, behind which the lguest launcher of Linux 2.6.23 enters a kernel`,
  );
