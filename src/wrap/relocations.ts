/** The dynamic relocations of an ET_DYN kernel, as the list that Linux appends to a payload. */

import { type ElfImage, KernelImageError } from '../kernel-image/kernel-image.ts';

const PT_DYNAMIC = 2;
/** gABI ch. 5, "Dynamic Section". */
const DT_NULL = 0;
const DT_RELA = 7;
const DT_REL = 17;
const DT_RELSZ = 18;
const DT_JMPREL = 23;
/** i386 psABI, "Relocation Types": add the displacement to the word. */
const R_386_RELATIVE = 8;
const WORD_SIZE = 4;
const REL_SIZE = 8;
const DYN_SIZE = 8;

/**
 * Virtual addresses of the 32-bit words to add a displacement to, ascending.
 *
 * @throws {KernelImageError} `relocation-kind` when anything but R_386_RELATIVE is asked for; `relocation-outside-file`
 *   when the table or a word of it has no bytes in the file
 */
export function relocationWords(image: ElfImage, file: Uint8Array): readonly number[] {
  const header = image.programHeaders.find(({ type }) => type === PT_DYNAMIC);
  if (header === undefined) return [];
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const entries = new Map<number, number>();
  const end = Math.min(header.offset + header.fileSize, file.length);
  for (let at = header.offset; at + DYN_SIZE <= end; at += DYN_SIZE) {
    const tag = view.getUint32(at, true);
    if (tag === DT_NULL) break;
    entries.set(tag, view.getUint32(at + 4, true));
  }
  for (const tag of [DT_RELA, DT_JMPREL]) {
    if (entries.has(tag)) {
      throw new KernelImageError(
        'relocation-kind',
        `${image.name}: the dynamic section has ${tag === DT_RELA ? 'DT_RELA' : 'DT_JMPREL'}; expected no relocations but R_386_RELATIVE in DT_REL`,
      );
    }
  }
  const table = entries.get(DT_REL);
  const size = entries.get(DT_RELSZ) ?? 0;
  if (table === undefined || size === 0) return [];
  const start = fileOffset(image, table, size);
  const words: number[] = [];
  for (let at = start; at + REL_SIZE <= start + size; at += REL_SIZE) {
    const type = view.getUint32(at + 4, true) & 0xff;
    if (type === 0) continue; // R_386_NONE
    if (type !== R_386_RELATIVE) {
      throw new KernelImageError(
        'relocation-kind',
        `${image.name}: the relocation at offset 0x${at.toString(16)} is of type ${type}; expected ${R_386_RELATIVE} (R_386_RELATIVE), which needs no symbols`,
      );
    }
    const word = view.getUint32(at, true);
    fileOffset(image, word, WORD_SIZE);
    words.push(word);
  }
  return words.sort((a, b) => a - b);
}

/** Where `size` bytes at a virtual address are in the file. */
function fileOffset(image: ElfImage, address: number, size: number): number {
  const segment = image.segments.find(
    ({ virtual, contents }) => address >= virtual && address + size <= virtual + contents.length,
  );
  if (segment === undefined) {
    throw new KernelImageError(
      'relocation-outside-file',
      `${image.name}: relocations name ${size} bytes at 0x${address.toString(16)}, which are in no PT_LOAD segment of the file`,
    );
  }
  return segment.fileOffset + address - segment.virtual;
}
