import { describe, expect, it } from 'vitest';
import { parseSystemMap, readKernelImage } from '../../src/kernel-image/index.ts';
import { buildElf, le32, patched } from '../support/elf-builder.ts';

const segments = [{ physical: 0x100000, contents: new Uint8Array(0x100) }];

describe('.symtab', () => {
  it('gives functions, objects and labels, by address, the most telling name first', () => {
    const image = readKernelImage(
      buildElf({
        segments,
        symbols: [
          { name: 'message', address: 0x100080, size: 12, type: 1 },
          { name: '_text', address: 0x100000 },
          { name: 'local_label', address: 0x100010, binding: 0 },
          { name: 'global_label', address: 0x100010 },
          { name: 'main', address: 0x100010, size: 0x20, type: 2 },
        ],
      }),
      { name: 'k' },
    );
    expect(image.symbols).toEqual([
      { name: '_text', address: 0x100000, size: 0, kind: 'other' },
      { name: 'main', address: 0x100010, size: 0x20, kind: 'function' },
      { name: 'global_label', address: 0x100010, size: 0, kind: 'other' },
      { name: 'local_label', address: 0x100010, size: 0, kind: 'other' },
      { name: 'message', address: 0x100080, size: 12, kind: 'object' },
    ]);
    expect(image.warnings).toEqual([]);
  });

  it('leaves out what names no address of the kernel', () => {
    const image = readKernelImage(
      buildElf({
        segments,
        symbols: [
          { name: 'undefined', address: 0, section: 0 },
          { name: 'SHN_ABS', address: 0x100000, section: 0xfff1 },
          { name: 'SHN_COMMON', address: 4, section: 0xfff2 },
          { name: '.text', address: 0x100000, type: 3, binding: 0 },
          { name: 'head.S', address: 0, type: 4, binding: 0 },
          { name: '.Lloop', address: 0x100000, binding: 0 },
          { name: '', address: 0x100000 },
        ],
      }),
      { name: 'k' },
    );
    expect(image.symbols).toEqual([]);
  });

  it('cuts a name at 512 bytes and shows it as printable text', () => {
    const image = readKernelImage(
      buildElf({ segments, symbols: [{ name: `\u001b${'x'.repeat(600)}`, address: 0x100000 }] }),
      { name: 'k' },
    );
    expect(image.symbols[0]?.name).toBe(`\ufffd${'x'.repeat(511)}`);
  });

  describe('that points nowhere is a warning:', () => {
    const file = buildElf({ segments, symbols: [{ name: 'main', address: 0x100000 }] });
    // Sections: NULL, .symtab, .strtab, .shstrtab; header fields by Elf32_Shdr.
    const table = file.length - 4 * 40;
    const symtab = table + 40;
    const strtab = table + 80;
    const cases: readonly (readonly [what: string, file: Uint8Array, code: string])[] = [
      ['outside the file', patched(file, symtab + 16, le32(0xffff_0000)), 'symbol-table-unreadable'],
      ['a size past the end', patched(file, symtab + 20, le32(0xffff_fff0)), 'symbol-table-unreadable'],
      ['sh_entsize 0', patched(file, symtab + 36, le32(0)), 'symbol-table-unreadable'],
      ['sh_link to no section', patched(file, symtab + 24, le32(77)), 'symbol-table-unreadable'],
      ['sh_link to no string table', patched(file, symtab + 24, le32(0)), 'symbol-table-unreadable'],
      ['names outside the file', patched(file, strtab + 16, le32(0xffff_0000)), 'symbol-table-unreadable'],
      ['names outside the string table', patched(file, strtab + 20, le32(1)), 'symbol-name-outside-table'],
    ];
    it.each(cases)('%s', (_what, bytes, code) => {
      const image = readKernelImage(bytes, { name: 'k' });
      expect(image.symbols).toEqual([]);
      expect(image.warnings.map(warning => warning.code)).toEqual([code]);
    });
  });
});

describe('a System.map', () => {
  it('gives names by nm type letter', () => {
    const { symbols, warnings } = parseSystemMap(
      'c1001000 t helper\nc1000000 T _text\nc1000000 T startup_32\r\nc1400000 D jiffies\nc1500000 b bss_thing\nc1000800 W weak\n',
    );
    expect(symbols).toEqual([
      { name: '_text', address: 0xc1000000, size: 0, kind: 'function' },
      { name: 'startup_32', address: 0xc1000000, size: 0, kind: 'function' },
      { name: 'weak', address: 0xc1000800, size: 0, kind: 'function' },
      { name: 'helper', address: 0xc1001000, size: 0, kind: 'function' },
      { name: 'jiffies', address: 0xc1400000, size: 0, kind: 'object' },
      { name: 'bss_thing', address: 0xc1500000, size: 0, kind: 'object' },
    ]);
    expect(warnings).toEqual([]);
  });

  it('leaves out absolute symbols, which name numbers', () => {
    expect(parseSystemMap('00100000 A phys_startup_32\nc0100000 T startup_32').symbols).toHaveLength(1);
  });

  it('may be /proc/kallsyms', () => {
    const { symbols, warnings } = parseSystemMap('f8001000 t ext4_init\t[ext4]\n');
    expect(symbols.map(({ name }) => name)).toEqual(['ext4_init']);
    expect(warnings).toEqual([]);
  });

  it("that is Debian's one line is a warning", () => {
    const { symbols, warnings } = parseSystemMap(
      'ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n',
    );
    expect(symbols).toEqual([]);
    expect(warnings.map(({ code }) => code)).toEqual(['system-map-stub']);
  });

  it.each([
    ['', 'system-map-empty'],
    ['00100000 A phys_startup_32\n', 'system-map-empty'],
    ['ffffffff81000000 T _text\n', 'system-map-64-bit'],
    ['# a comment\n', 'system-map-malformed'],
  ])('%j gives no names and the warning %s', (text, code) => {
    const { symbols, warnings } = parseSystemMap(text);
    expect(symbols).toEqual([]);
    expect(warnings.map(warning => warning.code)).toEqual([code]);
  });

  it('says how many lines it passed over, and which is the first', () => {
    expect(parseSystemMap('c1000000 T a\nwhat\nc1000001 T b\nelse\n').warnings).toEqual([
      {
        code: 'system-map-malformed',
        message:
          '2 lines of the System.map, the first of them line 2, are not "address type name"; they are passed over',
      },
    ]);
  });

  it('stands for the symbols of the file when it has any', () => {
    const file = buildElf({ segments, symbols: [{ name: 'own', address: 0x100000 }] });
    const withMap = readKernelImage(file, { name: 'k', systemMap: '00100000 T mapped\n' });
    expect(withMap.symbols.map(({ name }) => name)).toEqual(['mapped']);
    const withStub = readKernelImage(file, { name: 'k', systemMap: '' });
    expect(withStub.symbols.map(({ name }) => name)).toEqual(['own']);
    expect(withStub.warnings.map(({ code }) => code)).toEqual(['system-map-empty']);
  });
});
