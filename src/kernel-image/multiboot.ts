/** The Multiboot header of an ELF file: Multiboot Specification 0.6.96, 3.1. */
import { u32 } from './bytes.ts';
import type { MultibootHeader } from './kernel-image.ts';

const MAGIC = 0x1badb002;
/** The header lies completely within the first 8192 bytes of the file, at a multiple of 4. */
const SEARCH = 8192;
const ALIGNMENT = 4;
/** magic, flags, checksum. */
const REQUIRED_SIZE = 12;
/** With the five address fields. */
const ADDRESSES_SIZE = 32;
/** Bit 16: the address fields are valid. */
const HAS_ADDRESSES = 1 << 16;

/** @returns undefined where the file has no header */
export function readMultibootHeader(bytes: Uint8Array): MultibootHeader | undefined {
  const end = Math.min(bytes.length, SEARCH);
  for (let offset = 0; offset + REQUIRED_SIZE <= end; offset += ALIGNMENT) {
    if (u32(bytes, offset) !== MAGIC) continue;
    const flags = u32(bytes, offset + 4);
    if ((MAGIC + flags + u32(bytes, offset + 8)) % 2 ** 32 !== 0) continue;
    const hasAddresses = (flags & HAS_ADDRESSES) !== 0 && offset + ADDRESSES_SIZE <= bytes.length;
    return { offset, flags, ...(hasAddresses && { addresses: readAddresses(bytes, offset) }) };
  }
  return undefined;
}

function readAddresses(bytes: Uint8Array, offset: number): NonNullable<MultibootHeader['addresses']> {
  const header = u32(bytes, offset + 12);
  const load = u32(bytes, offset + 16);
  const loadEnd = u32(bytes, offset + 20);
  const bssEnd = u32(bytes, offset + 24);
  // The file offset of what goes to load_addr.
  const from = offset - (header - load);
  const to = loadEnd === 0 ? bytes.length : from + (loadEnd - load);
  const isInFile = from >= 0 && to >= from && to <= bytes.length;
  return {
    load,
    bssEnd,
    entry: u32(bytes, offset + 28),
    ...(isInFile && { contents: bytes.subarray(from, to) }),
  };
}
