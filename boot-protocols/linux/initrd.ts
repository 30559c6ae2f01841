/** Where the initrd goes: boot.rst, "ramdisk_image" and "initrd_addr_max". */
import type { MemoryRegion } from '../../emulator/entry-state.ts';
import { ProtocolError } from '../protocol.ts';
import { findHigh, hex, type Range, writtenRegion } from '../regions.ts';

/** initrd_addr_max before protocol 2.03, and for a bare vmlinux (boot.rst). */
export const INITRD_ADDR_MAX_DEFAULT = 0x37ffffff;

export const initrdRegion = (contents: Uint8Array, start: number): MemoryRegion =>
  writtenRegion('initrd', start, 'boot-data', contents);

/**
 * The highest page-aligned place below min(initrd_addr_max, the end of RAM) that nothing else has.
 *
 * @param addrMax the last byte that the initrd may have
 * @throws {ProtocolError} `initrd-too-big`
 */
export function placeInitrd(
  contents: Uint8Array,
  from: number,
  memory: number,
  addrMax: number,
  taken: readonly Range[],
): MemoryRegion {
  const below = Math.min(memory, addrMax + 1);
  const start = findHigh(contents.length, from, below, taken);
  if (start === undefined) {
    throw new ProtocolError(
      'initrd-too-big',
      `the initrd is ${contents.length} bytes long; there is no such room between ${hex(from)} and ${hex(below)} beside the kernel`,
    );
  }
  return initrdRegion(contents, start);
}
