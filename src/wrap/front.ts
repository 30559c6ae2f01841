/**
 * The ELF header at the start of a bzImage, as Eric Biederman proposed it in 2006 (linux-kernel, 2006-08-01, "[PATCH 11/33]
 * i386 boot: Add an ELF header to bzImage"): e_ident is also code that a machine which boots from the sector runs through.
 */
import * as elf from '../kernel-image/elf-constants.ts';
import { FRONT_MAGIC } from '../kernel-image/front-elf.ts';
import type { Note } from '../kernel-image/kernel-image.ts';
import { FRONT_PROGRAM_HEADERS } from './layout.ts';

const EV_CURRENT = 1;
const ELFOSABI_STANDALONE = 255;
/** jmp to offset 71, for who did not take the jg that 0x7f 0x45 is. */
const JMP_NORMALIZE: readonly number[] = [0xeb, 0x3d];
const IDENT_PADDING = 8;

export interface FrontElf {
  readonly munged: boolean;
  readonly relocatable: boolean;
  /** The 32-bit entry: physical. */
  readonly entry: number;
  readonly code: {
    readonly offset: number;
    readonly fileSize: number;
    readonly memorySize: number;
  };
  readonly align: number;
  /** File offset and size of the notes; absent: there is no PT_NOTE. */
  readonly notes?: { readonly offset: number; readonly size: number };
}

/** Writes ELF header and program headers into the boot sector. */
export function writeFrontElf(image: Uint8Array, front: FrontElf): void {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const { code, entry, notes } = front;
  image.set(front.munged ? FRONT_MAGIC.munged : FRONT_MAGIC.elf);
  image.set([elf.ELFCLASS32, elf.ELFDATA2LSB, EV_CURRENT, ELFOSABI_STANDALONE], elf.EI_CLASS);
  image.set(JMP_NORMALIZE, IDENT_PADDING);
  view.setUint16(elf.E_TYPE, front.relocatable ? elf.ET_DYN : elf.ET_EXEC, true);
  view.setUint16(elf.E_MACHINE, elf.EM_386, true);
  view.setUint32(0x14, EV_CURRENT, true); // e_version
  view.setUint32(elf.E_ENTRY, entry, true);
  view.setUint32(elf.E_PHOFF, FRONT_PROGRAM_HEADERS, true);
  view.setUint16(0x28, elf.EHDR_SIZE, true); // e_ehsize
  view.setUint16(elf.E_PHENTSIZE, elf.PHDR_SIZE, true);
  view.setUint16(elf.E_PHNUM, notes ? 2 : 1, true);
  view.setUint16(0x2e, elf.SHDR_SIZE, true); // e_shentsize: there are none
  const header = (index: number, fields: readonly number[]): void =>
    fields.forEach((field, at) => {
      view.setUint32(FRONT_PROGRAM_HEADERS + index * elf.PHDR_SIZE + at * 4, field, true);
    });
  const flags = elf.PF_R | elf.PF_W | elf.PF_X;
  header(0, [elf.PT_LOAD, code.offset, entry, entry, code.fileSize, code.memorySize, flags, front.align]);
  if (notes) header(1, [elf.PT_NOTE, notes.offset, 0, 0, notes.size, 0, elf.PF_R, 4]);
}

/** gABI ch. 5, "Note Section". */
export function encodeNotes(notes: readonly Note[]): Uint8Array {
  const align4 = (size: number): number => (size + 3) & ~3;
  const size = notes.reduce(
    (sum, { owner, description }) => sum + 12 + align4(owner.length + 1) + align4(description.length),
    0,
  );
  const area = new Uint8Array(size);
  const view = new DataView(area.buffer);
  let at = 0;
  for (const { owner, type, description } of notes) {
    view.setUint32(at, owner.length + 1, true);
    view.setUint32(at + 4, description.length, true);
    view.setUint32(at + 8, type, true);
    area.set(
      Array.from(owner, character => character.charCodeAt(0)),
      at + 12,
    );
    const start = at + 12 + align4(owner.length + 1);
    area.set(description, start);
    at = start + align4(description.length);
  }
  return area;
}
