/**
 * What a kernel tells a Xen domain builder: xen/include/public/elfnote.h, and as Xen 4.14 reads it,
 * xen/common/libelf/libelf-dominfo.c.
 */
import { byteText, hex, printable, u16, u32, u64 } from './bytes.ts';
import type { KernelImage, Note, Warning } from './kernel-image.ts';

export const XEN_OWNER = 'Xen';

const PAGE_SIZE = 0x1000;
const U32_MAX = 0xffff_ffffn;

/** The mask and the value that an L1 entry has under it when its MFN is valid. */
export interface L1MfnValid {
  readonly mask: bigint;
  readonly value: bigint;
}

/** The fields that the image has; addresses are virtual unless their name says otherwise. */
export interface XenGuest {
  readonly source: 'notes' | '__xen_guest';
  readonly entry?: number;
  readonly hypercallPage?: number;
  readonly virtBase?: number;
  /** For the legacy string this is VIRT_BASE when it gives none; for notes Xen takes 0. */
  readonly paddrOffset?: number;
  readonly xenVersion?: string;
  readonly guestOs?: string;
  readonly guestVersion?: string;
  readonly loader?: string;
  /** `yes`, `no`, `bimodal`, `yes[extended-cr3]` or a list of these. */
  readonly paeMode?: string;
  /** Names separated by `|`; `!` marks one that the kernel cannot do without. */
  readonly features?: string;
  readonly bsdSymtab?: boolean;
  readonly hvStartLow?: number;
  readonly l1MfnValid?: readonly L1MfnValid[];
  readonly suspendCancel?: number;
  /** 64-bit guests only. */
  readonly initP2m?: number;
  readonly modStartPfn?: number;
  /** One bit for each XENFEAT_*. */
  readonly supportedFeatures?: number;
  /** Physical: the PVH entry. */
  readonly phys32Entry?: number;
  /** NAME=VALUE pairs of XEN_ELFNOTE_INFO, in file order. */
  readonly info?: readonly string[];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type StringField = 'xenVersion' | 'guestOs' | 'guestVersion' | 'loader' | 'paeMode' | 'features';
type NumberField =
  | 'entry'
  | 'hypercallPage'
  | 'virtBase'
  | 'paddrOffset'
  | 'hvStartLow'
  | 'suspendCancel'
  | 'initP2m'
  | 'modStartPfn'
  | 'supportedFeatures'
  | 'phys32Entry';

const NUMBER_NOTES: Readonly<Record<number, NumberField>> = {
  1: 'entry',
  2: 'hypercallPage',
  3: 'virtBase',
  4: 'paddrOffset',
  12: 'hvStartLow',
  14: 'suspendCancel',
  15: 'initP2m',
  16: 'modStartPfn',
  17: 'supportedFeatures',
  18: 'phys32Entry',
};

const STRING_NOTES: Readonly<Record<number, StringField>> = {
  5: 'xenVersion',
  6: 'guestOs',
  7: 'guestVersion',
  8: 'loader',
  9: 'paeMode',
  10: 'features',
};

const NOTE_INFO = 0;
const NOTE_BSD_SYMTAB = 11;
const NOTE_L1_MFN_VALID = 13;

/**
 * @param notes of any owner; those of others are passed over. Of two notes of one type the later one counts, as in Xen.
 * @param warnings receives one entry for each note whose description has a size that its type does not allow.
 * @returns undefined when no note is Xen's.
 */
export function decodeXenNotes(notes: readonly Note[], warnings: Warning[] = []): XenGuest | undefined {
  const own = notes.filter(note => note.owner === XEN_OWNER);
  if (own.length === 0) return undefined;
  const guest: Mutable<XenGuest> = { source: 'notes' };
  for (const note of own) {
    const numberField = NUMBER_NOTES[note.type];
    const stringField = STRING_NOTES[note.type];
    if (numberField !== undefined) {
      const value = noteNumber(note.description);
      if (value === undefined) {
        warnings.push({
          code: 'xen-note-malformed',
          message: `Xen note type ${note.type} at offset ${hex(note.offset)} has ${note.description.length} bytes, which is no 32-bit number; it is passed over`,
        });
      } else guest[numberField] = value;
    } else if (stringField !== undefined) {
      guest[stringField] = noteString(note.description);
    } else if (note.type === NOTE_INFO) {
      guest.info = [...(guest.info ?? []), noteString(note.description)];
    } else if (note.type === NOTE_BSD_SYMTAB) {
      guest.bsdSymtab = noteString(note.description) === 'yes';
    } else if (note.type === NOTE_L1_MFN_VALID) {
      guest.l1MfnValid = maskValuePairs(note.description);
    }
  }
  return guest;
}

/** 1, 2, 4 or 8 bytes, little-endian; a value of more than 32 bits has no meaning to a 32-bit guest. */
function noteNumber(description: Uint8Array): number | undefined {
  switch (description.length) {
    case 1:
      return description[0];
    case 2:
      return u16(description, 0);
    case 4:
      return u32(description, 0);
    case 8: {
      const value = u64(description, 0);
      return value <= U32_MAX ? Number(value) : undefined;
    }
    default:
      return undefined;
  }
}

function noteString(description: Uint8Array): string {
  const nul = description.indexOf(0);
  return printable(byteText(nul < 0 ? description : description.subarray(0, nul)));
}

/** Pairs of longs (8 bytes), or of quads (16 bytes) in a PAE guest. */
function maskValuePairs(description: Uint8Array): L1MfnValid[] {
  const pairs: L1MfnValid[] = [];
  if (description.length % 16 === 0) {
    for (let at = 0; at < description.length; at += 16) {
      pairs.push({ mask: u64(description, at), value: u64(description, at + 8) });
    }
  } else if (description.length === 8) {
    pairs.push({ mask: BigInt(u32(description, 0)), value: BigInt(u32(description, 4)) });
  }
  return pairs;
}

const LEGACY_STRINGS: Readonly<Record<string, StringField>> = {
  LOADER: 'loader',
  GUEST_OS: 'guestOs',
  GUEST_VER: 'guestVersion',
  XEN_VER: 'xenVersion',
  PAE: 'paeMode',
  FEATURES: 'features',
};

const LEGACY_NUMBERS: Readonly<Record<string, NumberField>> = {
  VIRT_BASE: 'virtBase',
  VIRT_ENTRY: 'entry',
  ELF_PADDR_OFFSET: 'paddrOffset',
};

/**
 * The old-style `KEY=VALUE,KEY=VALUE` string of section `__xen_guest`. HYPERCALL_PAGE is a page number there:
 * the address is VIRT_BASE + 4096 * n. ELF_PADDR_OFFSET, when absent, is VIRT_BASE.
 */
export function decodeXenGuestString(text: string, warnings: Warning[] = []): XenGuest {
  const guest: Mutable<XenGuest> = { source: '__xen_guest' };
  let hypercallPageNumber: number | undefined;
  for (const pair of text.split(',')) {
    const [key = '', ...rest] = pair.split('=');
    const value = rest.join('=').trim();
    const name = key.trim();
    const stringField = Object.hasOwn(LEGACY_STRINGS, name) ? LEGACY_STRINGS[name] : undefined;
    const numberField = Object.hasOwn(LEGACY_NUMBERS, name) ? LEGACY_NUMBERS[name] : undefined;
    if (stringField !== undefined) guest[stringField] = printable(value);
    else if (name === 'BSD_SYMTAB') guest.bsdSymtab = true;
    else if (numberField !== undefined || name === 'HYPERCALL_PAGE') {
      const number = parseNumber(value);
      if (number === undefined) {
        warnings.push({
          code: 'xen-note-malformed',
          message: `${name} in section __xen_guest is "${printable(value)}", which is no 32-bit number; it is passed over`,
        });
      } else if (numberField !== undefined) guest[numberField] = number;
      else hypercallPageNumber = number;
    }
  }
  const virtBase = guest.virtBase ?? 0;
  guest.paddrOffset ??= virtBase;
  if (hypercallPageNumber !== undefined) {
    guest.hypercallPage = (virtBase + hypercallPageNumber * PAGE_SIZE) % 0x1_0000_0000;
  }
  return guest;
}

/** As strtoull with base 0 reads it: hexadecimal with 0x, octal with another 0, else decimal. */
function parseNumber(text: string): number | undefined {
  if (!/^(0x[0-9a-f]{1,16}|0[0-7]{0,22}|[1-9][0-9]{0,19})$/i.test(text)) return undefined;
  const value = BigInt(/^0[0-7]/.test(text) ? `0o${text.slice(1)}` : text);
  return value <= U32_MAX ? Number(value) : undefined;
}

/** What the image says to Xen: its notes, else its `__xen_guest` string; undefined when it has neither. */
export function readXenGuest(image: KernelImage): XenGuest | undefined {
  if (image.format !== 'elf') return undefined;
  const fromNotes = decodeXenNotes(image.notes);
  if (fromNotes !== undefined) return fromNotes;
  return image.xenGuest === undefined ? undefined : decodeXenGuestString(image.xenGuest);
}
