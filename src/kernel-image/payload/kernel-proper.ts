/**
 * The kernel proper of a bzImage: an ELF file, and after it, when the kernel is relocatable, the list of the words to
 * change when it is loaded elsewhere (Linux 6.1 arch/x86/boot/compressed/Makefile, vmlinux.bin.all; misc.c).
 */
import { hex, u16, u32 } from '../bytes.ts';
import { isElf } from '../elf-check.ts';
import * as elf from '../elf-constants.ts';
import { readElfContents } from '../elf-contents.ts';
import {
  type BzImage,
  type ElfImage,
  KernelImageError,
  type Relocations,
  type Warning,
} from '../kernel-image.ts';
import { sha256 } from '../sha256.ts';

const WORD = 4;
/** e_shoff, e_shentsize, e_shnum in Elf32_Ehdr; sh_type, sh_offset, sh_size in Elf32_Shdr (gABI ch. 4). */
const E_SHOFF = 0x20;
const E_SHENTSIZE = 0x2e;
const E_SHNUM = 0x30;
const SH_TYPE = 4;
const SH_OFFSET = 16;
const SH_SIZE = 20;
/** p_offset and p_filesz in Elf32_Phdr. */
const P_OFFSET = 4;
const P_FILESZ = 16;

/**
 * Throws when the kernel proper of a bzImage cannot be one of 32 bits; cheaper than finding out by decoding it.
 *
 * @throws {KernelImageError} `no-payload`, `elf64`
 */
export function checkPayload(image: BzImage): NonNullable<BzImage['payload']> {
  const { name, payload } = image;
  if (payload === undefined) {
    throw new KernelImageError(
      'no-payload',
      `${name}: no compressed kernel was found in this bzImage; expected one at payload_offset (boot protocol 2.08) or, after its length, one that starts with the magic of a known format`,
    );
  }
  if (image.is64Bit) {
    throw new KernelImageError(
      'elf64',
      `${name}: the kernel proper in this bzImage has 64 bits; expected 32, because a 64-bit kernel proper has no 32-bit entry (the bzImage itself has one)`,
    );
  }
  return payload;
}

/**
 * @param image what it came out of
 * @param decoded all that the payload decodes to; the segments are views of it
 * @param known its SHA-256, when that need not be computed
 * @returns size and SHA-256 are those of all decoded bytes, relocation list included
 * @throws {KernelImageError} `payload-not-elf`, and those of an ELF file
 */
export function readKernelProper(image: BzImage, decoded: Uint8Array, known?: string): ElfImage {
  const name = `${image.name} (kernel proper)`;
  const { payload } = image;
  if (!isElf(decoded)) {
    throw new KernelImageError(
      'payload-not-elf',
      `${image.name}: the payload decodes to ${hex(decoded.length)} bytes that are no ELF file; expected one, as every kernel since boot protocol 2.08 (Linux 2.6.26) has`,
    );
  }
  const end = elfEnd(decoded);
  const warnings: Warning[] = [...image.warnings];
  const contents = readElfContents(decoded.subarray(0, end), name);
  const relocations = image.setup.relocatable
    ? readRelocations(decoded, end, Math.min(...contents.segments.map(segment => segment.physical)), warnings)
    : undefined;
  return {
    name,
    size: decoded.length,
    sha256: known ?? sha256(decoded),
    ...contents,
    // A System.map that was given with the bzImage is one of the kernel proper.
    ...(image.symbols.length > 0 && { symbols: image.symbols, symbolSource: 'System.map' }),
    warnings: [...warnings, ...contents.warnings],
    ...(relocations && { relocations }),
    container: {
      setup: image.setup,
      size: image.size,
      sha256: image.sha256,
      payload: payload?.format ?? 'unknown',
    },
  };
}

/** The end of the last thing that the ELF tables name: what is after it is the relocation list. */
function elfEnd(bytes: Uint8Array): number {
  let end = elf.EHDR_SIZE;
  const programs = u32(bytes, elf.E_PHOFF);
  for (let index = 0; index < u16(bytes, elf.E_PHNUM); index++) {
    const at = programs + index * elf.PHDR_SIZE;
    end = Math.max(end, at + elf.PHDR_SIZE, u32(bytes, at + P_OFFSET) + u32(bytes, at + P_FILESZ));
  }
  const sections = u32(bytes, E_SHOFF);
  const sectionSize = u16(bytes, E_SHENTSIZE);
  const count = sections === 0 ? 0 : u16(bytes, E_SHNUM);
  for (let index = 0; index < count; index++) {
    const at = sections + index * sectionSize;
    const isEmpty = u32(bytes, at + SH_TYPE) === elf.SHT_NOBITS || u32(bytes, at + SH_SIZE) === 0;
    end = Math.max(
      end,
      at + sectionSize,
      isEmpty ? 0 : u32(bytes, at + SH_OFFSET) + u32(bytes, at + SH_SIZE),
    );
  }
  return Math.min(end, bytes.length);
}

/** The decompressor goes backwards from the last word to the first that is 0. A 32-bit kernel has one such list. */
function readRelocations(
  bytes: Uint8Array,
  elfEnd: number,
  linkedAt: number,
  warnings: Warning[],
): Relocations | undefined {
  let start = bytes.length;
  do start -= WORD;
  while (start >= elfEnd && u32(bytes, start) !== 0);
  if (start < elfEnd) {
    warnings.push({
      code: 'relocation-list',
      message: `the kernel is relocatable, and no relocation list follows the ELF file that ends at offset ${hex(elfEnd)} of the ${hex(bytes.length)} bytes that the payload decodes to; it can only be loaded at ${hex(linkedAt)}`,
    });
    return undefined;
  }
  const list = bytes.slice(start + WORD);
  const view = new DataView(list.buffer);
  const words = new Uint32Array(list.length / WORD);
  for (let index = 0; index < words.length; index++) words[index] = view.getUint32(index * WORD, true);
  return { words, linkedAt };
}
