import { describe, expect, it } from 'vitest';
import { noteTypeName, readKernelImage } from '../../src/kernel-image/index.ts';
import {
  ascii,
  buildElf,
  bytesOf,
  le32,
  note,
  PT_NOTE,
  SHT_NOTE,
  SHT_PROGBITS,
} from '../support/elf-builder.ts';

const text = { physical: 0x100000, contents: Uint8Array.of(0xf4) };

function readNotes(area: Uint8Array) {
  const image = readKernelImage(buildElf({ segments: [text, { type: PT_NOTE, contents: area }] }), {
    name: 'k',
  });
  return { notes: image.notes, codes: image.warnings.map(warning => warning.code) };
}

// 52 + 2 * 32 bytes of headers, and the text padded to 4.
const AREA = 120;

describe('notes', () => {
  it('are read from PT_NOTE, with name and description padded to 4 bytes', () => {
    const { notes, codes } = readNotes(
      bytesOf(
        note('Xen', 6, ascii('linux\0')),
        note('GNU', 3, Uint8Array.of(0xab, 0xcd)),
        note('Linux', 0x100, ascii('')),
      ),
    );
    expect(notes).toEqual([
      { owner: 'Xen', type: 6, description: ascii('linux\0'), offset: AREA },
      { owner: 'GNU', type: 3, description: Uint8Array.of(0xab, 0xcd), offset: AREA + 12 + 4 + 8 },
      { owner: 'Linux', type: 0x100, description: new Uint8Array(0), offset: AREA + 24 + 12 + 4 + 4 },
    ]);
    expect(codes).toEqual([]);
  });

  it('may have a name without its NUL', () => {
    const { notes } = readNotes(bytesOf(le32(3, 0, 1), ascii('Xen'), [0]));
    expect(notes.map(({ owner }) => owner)).toEqual(['Xen']);
  });

  it('may be followed by zero padding', () => {
    const { notes, codes } = readNotes(bytesOf(note('Xen', 1, le32(0)), new Uint8Array(8)));
    expect(notes).toHaveLength(1);
    expect(codes).toEqual([]);
  });

  it('are read from note sections when there is no PT_NOTE', () => {
    const image = readKernelImage(
      buildElf({
        segments: [text],
        sections: [
          { name: '.notes', type: SHT_NOTE, contents: note('Xen', 3, le32(0xc0000000)) },
          { name: '.note.Xen', type: SHT_PROGBITS, contents: note('Xen', 1, le32(0xc0100000)) },
          { name: '.notebook', type: SHT_PROGBITS, contents: note('Xen', 2, le32(0)) },
          { name: '.note.GNU-stack', type: SHT_PROGBITS, contents: ascii('not a note') },
        ],
      }),
      { name: 'k' },
    );
    expect(image.notes.map(({ type }) => type)).toEqual([3, 1]);
    expect(image.warnings).toEqual([]);
  });

  it('are read from sections too when the PT_NOTE has none of Xen, each once', () => {
    const buildId = note('GNU', 3, Uint8Array.of(1));
    const segments = [text, { type: PT_NOTE, contents: buildId }];
    const image = readKernelImage(
      buildElf({
        segments,
        sections: [
          { name: '.note.gnu.build-id', type: SHT_NOTE, offset: AREA, size: buildId.length },
          { name: '.note.Xen', type: SHT_NOTE, contents: note('Xen', 1, le32(0)) },
        ],
      }),
      { name: 'k' },
    );
    expect(image.notes.map(({ owner }) => owner)).toEqual(['GNU', 'Xen']);
  });
});

describe('malformed notes are warnings', () => {
  it('keeps the notes before a name that runs past the end', () => {
    const { notes, codes } = readNotes(
      bytesOf(note('Xen', 1, le32(0)), le32(0xffff_fff0, 4, 2), ascii('Xen\0')),
    );
    expect(notes.map(({ type }) => type)).toEqual([1]);
    expect(codes).toEqual(['note-malformed']);
  });

  it("keeps the bytes that are there of a description that runs past the end, as GRUB's PAE_MODE does", () => {
    const { notes, codes } = readNotes(bytesOf(le32(4, 12, 9), ascii('Xen\0yes\0')));
    expect(notes).toEqual([{ owner: 'Xen', type: 9, description: ascii('yes\0'), offset: AREA }]);
    expect(codes).toEqual(['note-malformed']);
  });

  it('says where a cut header is', () => {
    const image = readKernelImage(
      buildElf({
        segments: [text, { type: PT_NOTE, contents: bytesOf(note('Xen', 1, le32(0)), [4, 0, 0, 0]) }],
      }),
      { name: 'k' },
    );
    expect(image.warnings).toEqual([
      {
        code: 'note-malformed',
        message: 'PT_NOTE at offset 0x78: the note at offset 0x8c has 4 of the 12 bytes of its header',
      },
    ]);
  });

  it('does not take a zero-filled area for thousands of notes', () => {
    const { notes, codes } = readNotes(new Uint8Array(0x10000));
    expect(notes).toHaveLength(1024);
    expect(codes).toEqual(['note-malformed']);
  });
});

describe('the name of a note type', () => {
  it.each([
    ['Xen', 18, 'XEN_ELFNOTE_PHYS32_ENTRY'],
    ['Xen', 0x1000001, 'XEN_ELFNOTE_CRASH_INFO'],
    ['Xen', 0x2000003, 'XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION'],
    ['GNU', 3, 'NT_GNU_BUILD_ID'],
    ['Linux', 0x100, 'LINUX_ELFNOTE_BUILD_SALT'],
    ['Xen', 99, 'type 0x63'],
    ['FreeBSD', 1, 'type 0x1'],
  ])('of %s %i is %s', (owner, type, name) => {
    expect(noteTypeName({ owner, type })).toBe(name);
  });
});
