import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { physicalEntry, readKernelImage } from '../../src/kernel-image/index.ts';
import type { ElfImage } from '../../src/kernel-image/kernel-image.ts';
import { buildElf, PT_NOTE, patched, SHT_PROGBITS } from '../support/elf-builder.ts';

function readElf(bytes: Uint8Array): ElfImage {
  const image = readKernelImage(bytes, { name: 'kernel' });
  if (image.format !== 'elf') throw new Error('not an ElfImage');
  return image;
}

describe('an ELF kernel', () => {
  it('is its PT_LOAD segments, at p_paddr, zero-filled to p_memsz', () => {
    const file = buildElf({
      segments: [
        {
          physical: 0x100000,
          virtual: 0xc0100000,
          contents: Uint8Array.of(0xfc, 0xfa, 0xf4, 0x90),
          flags: 5,
        },
        {
          physical: 0x101000,
          virtual: 0xc0101000,
          contents: Uint8Array.of(1, 2, 3, 4),
          memorySize: 0x2000,
          flags: 6,
        },
      ],
      entry: 0x100000,
    });
    const image = readElf(file);
    // 52 bytes of header and two program headers of 32 bytes come first.
    expect(image.segments).toEqual([
      {
        name: 'LOAD 0',
        physical: 0x100000,
        virtual: 0xc0100000,
        contents: Uint8Array.of(0xfc, 0xfa, 0xf4, 0x90),
        memorySize: 4,
        fileOffset: 116,
        readable: true,
        writable: false,
        executable: true,
      },
      {
        name: 'LOAD 1',
        physical: 0x101000,
        virtual: 0xc0101000,
        contents: Uint8Array.of(1, 2, 3, 4),
        memorySize: 0x2000,
        fileOffset: 120,
        readable: true,
        writable: true,
        executable: false,
      },
    ]);
    expect(image).toMatchObject({
      type: 'ET_EXEC',
      entry: 0x100000,
      sections: [],
      symbols: [],
      notes: [],
      warnings: [],
    });
  });

  it('carries its name, size and SHA-256', () => {
    const file = buildElf();
    const image = readKernelImage(file, { name: 'vmlinux' });
    expect(image.name).toBe('vmlinux');
    expect(image.size).toBe(file.length);
    expect(image.sha256).toBe(createHash('sha256').update(file).digest('hex'));
  });

  it('does not copy the file', () => {
    const file = buildElf();
    expect(readElf(file).segments[0]?.contents.buffer).toBe(file.buffer);
  });

  it('reads a Buffer that starts in the middle of another', () => {
    const file = buildElf();
    const pool = Buffer.concat([Buffer.alloc(7, 0xcc), file]);
    expect(readElf(pool.subarray(7))).toEqual(readElf(file));
  });

  it('keeps every program header, with the raw p_type', () => {
    const image = readElf(
      buildElf({
        segments: [
          { type: 0x6474e551, flags: 6 },
          { physical: 0x100000, contents: Uint8Array.of(0xf4) },
          { type: 0x70000001 },
        ],
      }),
    );
    expect(image.programHeaders.map(({ type, typeName, flags }) => [type, typeName, flags])).toEqual([
      [0x6474e551, 'GNU_STACK', 6],
      [1, 'LOAD', 7],
      [0x70000001, '0x70000001', 7],
    ]);
    expect(image.programHeaders[1]).toMatchObject({
      offset: 52 + 3 * 32,
      virtual: 0x100000,
      physical: 0x100000,
      fileSize: 1,
      memorySize: 1,
      align: 4,
    });
    expect(image.segments.map(segment => segment.name)).toEqual(['LOAD 0']);
  });

  it('counts empty PT_LOADs in the names of the others', () => {
    const image = readElf(
      buildElf({ segments: [{ physical: 0x5000 }, { physical: 0x100000, contents: Uint8Array.of(0xf4) }] }),
    );
    expect(image.segments.map(segment => segment.name)).toEqual(['LOAD 1']);
  });

  it('accepts ET_DYN', () => {
    expect(readElf(patched(buildElf(), 0x10, [3])).type).toBe('ET_DYN');
  });

  it('accepts segments that touch, at addresses up to the last byte below 4 GiB', () => {
    const image = readElf(
      buildElf({
        segments: [
          { physical: 0xffff_f000, contents: Uint8Array.of(0xf4), memorySize: 0x1000 },
          { physical: 0xffff_e000, memorySize: 0x1000 },
        ],
        entry: 0xffff_f000,
      }),
    );
    expect(image.segments).toHaveLength(2);
  });

  it('names its sections when it has section headers', () => {
    const image = readElf(
      buildElf({
        sections: [{ name: '.text', type: SHT_PROGBITS, address: 0x100000, contents: Uint8Array.of(0xf4) }],
      }),
    );
    expect(image.sections.map(({ name, type }) => [name, type])).toEqual([
      ['', 0],
      ['.text', 1],
      ['.shstrtab', 3],
    ]);
    expect(image.sections[1]).toEqual({
      name: '.text',
      type: 1,
      flags: 0,
      address: 0x100000,
      offset: 88,
      size: 1,
    });
    expect(image.warnings).toEqual([]);
  });

  describe('with section headers that cannot be read runs without them:', () => {
    const file = buildElf({ sections: [{ name: '.text', type: SHT_PROGBITS }] });
    const cases: readonly (readonly [what: string, file: Uint8Array, code: string])[] = [
      [
        'a table outside the file',
        patched(file, 0x20, [0xff, 0xff, 0xff, 0x7f]),
        'section-headers-unreadable',
      ],
      ['a cut table', file.subarray(0, -1), 'section-headers-unreadable'],
      ['e_shentsize that is not 40', patched(file, 0x2e, [64]), 'section-headers-unreadable'],
      ['e_shnum 0', patched(file, 0x30, [0, 0]), 'section-headers-unreadable'],
      ['e_shstrndx that names no section', patched(file, 0x32, [9]), 'section-names-unreadable'],
    ];
    it.each(cases)('%s', (_what, bytes, code) => {
      const image = readElf(bytes);
      expect(image.warnings.map(warning => warning.code)).toEqual([code]);
      expect(image.segments).toHaveLength(1);
    });
  });

  it('shows a name from the file as printable text', () => {
    const image = readElf(buildElf({ sections: [{ name: '.te\u001b[2Jxt', type: SHT_PROGBITS }] }));
    expect(image.sections[1]?.name).toBe('.te\ufffd[2Jxt');
  });

  it('warns about a PT_NOTE outside the file', () => {
    const image = readElf(
      buildElf({
        segments: [
          { physical: 0x100000, contents: Uint8Array.of(0xf4) },
          { type: PT_NOTE, offset: 0x4000, fileSize: 0x20 },
        ],
      }),
    );
    expect(image.warnings.map(warning => warning.code)).toEqual(['notes-outside-file']);
  });
});

describe('the physical entry', () => {
  const segments = [{ physical: 0x100000, virtual: 0xc0100000, contents: new Uint8Array(0x40) }];

  it('is e_entry when a segment holds that physically, as in Linux since 2.6.13', () => {
    const image = readElf(buildElf({ segments, entry: 0x100020 }));
    expect(image.entry).toBe(0x100020);
    expect(physicalEntry(image)).toBe(0x100020);
  });

  it('is e_entry less p_vaddr plus p_paddr when a segment holds it virtually', () => {
    const image = readElf(buildElf({ segments, entry: 0xc0100020 }));
    expect(image.entry).toBe(0xc0100020);
    expect(physicalEntry(image)).toBe(0x100020);
  });

  it('may be 0, as in GRUB for Xen', () => {
    const image = readElf(buildElf({ segments: [{ physical: 0, contents: Uint8Array.of(0xf4) }], entry: 0 }));
    expect(physicalEntry(image)).toBe(0);
  });
});
