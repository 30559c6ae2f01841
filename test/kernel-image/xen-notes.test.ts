import { describe, expect, it } from 'vitest';
import {
  decodeXenGuestString,
  decodeXenNotes,
  readKernelImage,
  readXenGuest,
} from '../../src/kernel-image/index.ts';
import type { Note, Warning } from '../../src/kernel-image/kernel-image.ts';
import { ascii, buildElf, le32, note, PT_NOTE, SHT_PROGBITS } from '../support/elf-builder.ts';

const xen = (type: number, description: Uint8Array): Note => ({ owner: 'Xen', type, description, offset: 0 });

describe('Xen notes', () => {
  it("decode to the fields of Linux 4.13's, arch/x86/xen/xen-head.S", () => {
    const guest = decodeXenNotes([
      xen(6, ascii('linux\0')),
      xen(7, ascii('2.6\0')),
      xen(5, ascii('xen-3.0\0')),
      xen(3, le32(0xc0000000)),
      xen(16, le32(1)),
      xen(1, le32(0xc1d5a2d0)),
      xen(2, le32(0xc1001000)),
      xen(10, ascii('!writable_page_tables|pae_pgdir_above_4gb\0')),
      xen(17, le32(0x801)),
      xen(9, ascii('yes\0')),
      xen(8, ascii('generic\0')),
      xen(13, le32(1, 0, 1, 0)),
      xen(14, le32(1)),
      xen(12, le32(0xf5800000)),
      xen(4, le32(0)),
    ]);
    expect(guest).toEqual({
      source: 'notes',
      guestOs: 'linux',
      guestVersion: '2.6',
      xenVersion: 'xen-3.0',
      virtBase: 0xc0000000,
      modStartPfn: 1,
      entry: 0xc1d5a2d0,
      hypercallPage: 0xc1001000,
      features: '!writable_page_tables|pae_pgdir_above_4gb',
      supportedFeatures: 0x801,
      paeMode: 'yes',
      loader: 'generic',
      l1MfnValid: [{ mask: 1n, value: 1n }],
      suspendCancel: 1,
      hvStartLow: 0xf5800000,
      paddrOffset: 0,
    });
  });

  it('name the PVH entry', () => {
    expect(decodeXenNotes([xen(18, le32(0x100000))])).toEqual({ source: 'notes', phys32Entry: 0x100000 });
  });

  it('hold strings with and without a NUL, BSD_SYMTAB as yes or no, and INFO pairs', () => {
    expect(
      decodeXenNotes([
        xen(8, ascii('generic')),
        xen(11, ascii('yes\0')),
        xen(0, ascii('A=1\0')),
        xen(0, ascii('B=2')),
      ]),
    ).toEqual({ source: 'notes', loader: 'generic', bsdSymtab: true, info: ['A=1', 'B=2'] });
    expect(decodeXenNotes([xen(11, ascii('no\0'))])).toEqual({ source: 'notes', bsdSymtab: false });
  });

  it('hold numbers of 4 or 8 bytes, and L1_MFN_VALID as two longs without PAE', () => {
    expect(decodeXenNotes([xen(3, le32(0xc0000000, 0)), xen(13, le32(1, 1))])).toEqual({
      source: 'notes',
      virtBase: 0xc0000000,
      l1MfnValid: [{ mask: 1n, value: 1n }],
    });
  });

  it('that hold no number where one belongs are passed over with a warning', () => {
    const warnings: Warning[] = [];
    expect(decodeXenNotes([xen(1, ascii('abc')), xen(3, le32(0, 1)), xen(4, le32(0))], warnings)).toEqual({
      source: 'notes',
      paddrOffset: 0,
    });
    expect(warnings.map(({ code }) => code)).toEqual(['xen-note-malformed', 'xen-note-malformed']);
  });

  it('of other owners do not count', () => {
    expect(decodeXenNotes([{ owner: 'GNU', type: 1, description: le32(0), offset: 0 }])).toBeUndefined();
    expect(decodeXenNotes([])).toBeUndefined();
  });
});

describe('the __xen_guest string', () => {
  it('gives HYPERCALL_PAGE as a page number above VIRT_BASE', () => {
    const guest = decodeXenGuestString(
      'GUEST_OS=linux,GUEST_VER=2.6,XEN_VER=xen-3.0,VIRT_BASE=0xC0000000,ELF_PADDR_OFFSET=0xC0000000,VIRT_ENTRY=0xC0100000,HYPERCALL_PAGE=0x102,FEATURES=writable_page_tables|auto_translated_physmap,PAE=yes[extended-cr3],LOADER=generic',
    );
    expect(guest).toEqual({
      source: '__xen_guest',
      guestOs: 'linux',
      guestVersion: '2.6',
      xenVersion: 'xen-3.0',
      virtBase: 0xc0000000,
      paddrOffset: 0xc0000000,
      entry: 0xc0100000,
      hypercallPage: 0xc0102000,
      features: 'writable_page_tables|auto_translated_physmap',
      paeMode: 'yes[extended-cr3]',
      loader: 'generic',
    });
  });

  it('takes VIRT_BASE for an absent ELF_PADDR_OFFSET, and 0 for an absent VIRT_BASE', () => {
    expect(decodeXenGuestString('VIRT_BASE=0xC0000000')).toMatchObject({ paddrOffset: 0xc0000000 });
    expect(decodeXenGuestString('HYPERCALL_PAGE=2,BSD_SYMTAB')).toEqual({
      source: '__xen_guest',
      paddrOffset: 0,
      hypercallPage: 0x2000,
      bsdSymtab: true,
    });
  });

  it('has numbers as C writes them (strtoull with base 0)', () => {
    expect(decodeXenGuestString('VIRT_BASE=3221225472')).toMatchObject({ virtBase: 0xc0000000 });
    expect(decodeXenGuestString('VIRT_BASE=030000000000')).toMatchObject({ virtBase: 0xc0000000 });
    expect(decodeXenGuestString('VIRT_BASE=0')).toMatchObject({ virtBase: 0 });
  });

  it('passes over keys that it does not know and numbers that are none', () => {
    const warnings: Warning[] = [];
    expect(decodeXenGuestString('toString=1,VIRT_BASE=top,,=', warnings)).toEqual({
      source: '__xen_guest',
      paddrOffset: 0,
    });
    expect(warnings.map(({ code }) => code)).toEqual(['xen-note-malformed']);
  });
});

describe('what an image says to Xen', () => {
  const text = { physical: 0x100000, contents: Uint8Array.of(0xf4) };
  const sections = [{ name: '__xen_guest', type: SHT_PROGBITS, contents: ascii('LOADER=generic\0') }];

  it('is its notes before its __xen_guest section', () => {
    const segments = [text, { type: PT_NOTE, contents: note('Xen', 8, ascii('linux\0')) }];
    const image = readKernelImage(buildElf({ segments, sections }), { name: 'k' });
    expect(readXenGuest(image)).toEqual({ source: 'notes', loader: 'linux' });
  });

  it('is its __xen_guest section when it has no notes', () => {
    const image = readKernelImage(buildElf({ segments: [text], sections }), { name: 'k' });
    expect(readXenGuest(image)).toEqual({ source: '__xen_guest', loader: 'generic', paddrOffset: 0 });
  });

  it('is nothing when it has neither', () => {
    expect(readXenGuest(readKernelImage(buildElf(), { name: 'k' }))).toBeUndefined();
  });
});
