/** ELF notes: gABI ch. 5 "Note Section". In a 32-bit file, name and description are padded to 4 bytes. */
import { byteText, hex, printable, u32 } from './bytes.ts';
import * as elf from './elf-constants.ts';
import type { RawSection } from './elf-sections.ts';
import type { Note, ProgramHeader, Warning } from './kernel-image.ts';
import { XEN_OWNER } from './xen-notes.ts';

/** namesz, descsz, type. */
const NOTE_HEADER_SIZE = 12;
/** Vmlinux has about twenty; a bound keeps a zero-filled area from becoming half a million notes. */
const MAX_NOTES_IN_AREA = 1024;
const MAX_AREAS = 256;

/** Sizes come from the file and reach 2^32-1, so this is arithmetic, not bit operations. */
function align4(value: number): number {
  return Math.ceil(value / 4) * 4;
}

/**
 * Reads one note area. A malformed note ends it with a warning. A note whose description alone runs past the end is kept
 * with the bytes that are there, as Xen does: GRUB's i386-xen images end in one (descsz 12, and "yes" and its NUL in the file).
 * @param label of the area, for warnings, e.g. `PT_NOTE at offset 0x1000`.
 */
function readNoteArea(
  bytes: Uint8Array,
  offset: number,
  size: number,
  label: string,
  warnings: Warning[],
): Note[] {
  const notes: Note[] = [];
  const end = Math.min(offset + size, bytes.length);
  const malformed = (at: number, problem: string) =>
    warnings.push({ code: 'note-malformed', message: `${label}: the note at offset ${hex(at)} ${problem}` });
  if (offset + size > bytes.length) {
    warnings.push({
      code: 'notes-outside-file',
      message: `${label}: ${hex(size)} bytes of notes end after the file of ${hex(bytes.length)} bytes`,
    });
  }

  let at = offset;
  while (at < end) {
    if (notes.length === MAX_NOTES_IN_AREA) {
      malformed(at, `is number ${MAX_NOTES_IN_AREA + 1}; it and those after it are not read`);
      break;
    }
    if (end - at < NOTE_HEADER_SIZE) {
      // Padding to the area's own alignment is no note.
      if (bytes.subarray(at, end).some(byte => byte !== 0)) {
        malformed(at, `has ${end - at} of the ${NOTE_HEADER_SIZE} bytes of its header`);
      }
      break;
    }
    const nameSize = u32(bytes, at);
    const descriptionSize = u32(bytes, at + 4);
    const nameStart = at + NOTE_HEADER_SIZE;
    const descriptionStart = nameStart + align4(nameSize);
    if (nameStart + nameSize > end) {
      malformed(at, `has namesz ${hex(nameSize)}, which runs past the end at ${hex(end)}`);
      break;
    }
    const descriptionEnd = descriptionStart + descriptionSize;
    const start = Math.min(descriptionStart, end);
    notes.push({
      owner: ownerName(bytes.subarray(nameStart, nameStart + nameSize)),
      type: u32(bytes, at + 8),
      description: bytes.subarray(start, Math.min(descriptionEnd, end)),
      offset: at,
    });
    if (descriptionEnd > end) {
      malformed(
        at,
        `has descsz ${hex(descriptionSize)}, of which ${hex(end - start)} bytes are there; it ends at ${hex(end)}`,
      );
      break;
    }
    at = descriptionStart + align4(descriptionSize);
  }
  return notes;
}

/** namesz counts a NUL, which some tools leave out. */
function ownerName(name: Uint8Array): string {
  const nul = name.indexOf(0);
  return printable(byteText(nul < 0 ? name : name.subarray(0, nul)));
}

/**
 * The notes of the PT_NOTE segments; when these hold none of Xen's, those of the SHT_NOTE and `.note*` sections too,
 * which is the order in which Xen looks (xen/common/libelf/libelf-dominfo.c).
 */
export function readElfNotes(
  bytes: Uint8Array,
  programHeaders: readonly ProgramHeader[],
  sections: readonly RawSection[],
  warnings: Warning[],
): Note[] {
  const notes = programHeaders
    .filter(header => header.type === elf.PT_NOTE && header.offset !== 0 && header.fileSize > 0)
    .slice(0, MAX_AREAS)
    .flatMap(header =>
      readNoteArea(
        bytes,
        header.offset,
        header.fileSize,
        `PT_NOTE at offset ${hex(header.offset)}`,
        warnings,
      ),
    );
  if (notes.some(note => note.owner === XEN_OWNER)) return notes;

  const seen = new Set(notes.map(note => note.offset));
  const inSections = sections
    .filter(isNoteSection)
    .filter(section => !seen.has(section.offset))
    .slice(0, MAX_AREAS)
    .flatMap(section =>
      readNoteArea(
        bytes,
        section.offset,
        section.size,
        `section ${section.name} at offset ${hex(section.offset)}`,
        warnings,
      ),
    );
  return [...notes, ...inSections.filter(note => !seen.has(note.offset))];
}

function isNoteSection({ name, type, size }: RawSection): boolean {
  if (size === 0 || type === elf.SHT_NOBITS) return false;
  // `.note.GNU-stack` is a flag for the linker and holds no notes.
  return type === elf.SHT_NOTE || (/^\.note(\.|$)/.test(name) && name !== '.note.GNU-stack');
}

const GNU_NOTE_NAMES: Readonly<Record<number, string>> = {
  1: 'NT_GNU_ABI_TAG',
  2: 'NT_GNU_HWCAP',
  3: 'NT_GNU_BUILD_ID',
  4: 'NT_GNU_GOLD_VERSION',
  5: 'NT_GNU_PROPERTY_TYPE_0',
};

/** Linux include/linux/elfnote-lto.h, build-salt.h; type 0 is the vDSO's version note. */
const LINUX_NOTE_NAMES: Readonly<Record<number, string>> = {
  0: 'LINUX_VERSION_CODE',
  256: 'LINUX_ELFNOTE_BUILD_SALT',
  257: 'LINUX_ELFNOTE_LTO_INFO',
};

/** xen/include/public/elfnote.h. */
const XEN_NOTE_NAMES: Readonly<Record<number, string>> = {
  0: 'XEN_ELFNOTE_INFO',
  1: 'XEN_ELFNOTE_ENTRY',
  2: 'XEN_ELFNOTE_HYPERCALL_PAGE',
  3: 'XEN_ELFNOTE_VIRT_BASE',
  4: 'XEN_ELFNOTE_PADDR_OFFSET',
  5: 'XEN_ELFNOTE_XEN_VERSION',
  6: 'XEN_ELFNOTE_GUEST_OS',
  7: 'XEN_ELFNOTE_GUEST_VERSION',
  8: 'XEN_ELFNOTE_LOADER',
  9: 'XEN_ELFNOTE_PAE_MODE',
  10: 'XEN_ELFNOTE_FEATURES',
  11: 'XEN_ELFNOTE_BSD_SYMTAB',
  12: 'XEN_ELFNOTE_HV_START_LOW',
  13: 'XEN_ELFNOTE_L1_MFN_VALID',
  14: 'XEN_ELFNOTE_SUSPEND_CANCEL',
  15: 'XEN_ELFNOTE_INIT_P2M',
  16: 'XEN_ELFNOTE_MOD_START_PFN',
  17: 'XEN_ELFNOTE_SUPPORTED_FEATURES',
  18: 'XEN_ELFNOTE_PHYS32_ENTRY',
  16777217: 'XEN_ELFNOTE_CRASH_INFO', // 0x1000001
  16777218: 'XEN_ELFNOTE_CRASH_REGS',
  33554432: 'XEN_ELFNOTE_DUMPCORE_NONE', // 0x2000000
  33554433: 'XEN_ELFNOTE_DUMPCORE_HEADER',
  33554434: 'XEN_ELFNOTE_DUMPCORE_XEN_VERSION',
  33554435: 'XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION',
};

/** Names of note types by owner. */
export const NOTE_TYPE_NAMES: ReadonlyMap<string, Readonly<Record<number, string>>> = new Map([
  ['GNU', GNU_NOTE_NAMES],
  ['Linux', LINUX_NOTE_NAMES],
  [XEN_OWNER, XEN_NOTE_NAMES],
]);

/** The type's name as its header file spells it, else `type 0x12`. */
export function noteTypeName(note: Pick<Note, 'owner' | 'type'>): string {
  return NOTE_TYPE_NAMES.get(note.owner)?.[note.type] ?? `type ${hex(note.type)}`;
}
