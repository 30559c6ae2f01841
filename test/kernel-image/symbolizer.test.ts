import { describe, expect, it } from 'vitest';
import { createSymbolizer, readKernelImage } from '../../src/kernel-image/index.ts';
import { buildBzImage } from '../support/bzimage-builder.ts';
import { buildElf, type ElfSpec } from '../support/elf-builder.ts';

const symbolizer = (spec: ElfSpec) => createSymbolizer(readKernelImage(buildElf(spec), { name: 'k' }));

const linux: ElfSpec = {
  segments: [
    { physical: 0x1000000, virtual: 0xc1000000, contents: new Uint8Array(16), memorySize: 0x40000 },
    { physical: 0x1040000, virtual: 0xc1040000, contents: new Uint8Array(16), memorySize: 0x1000 },
  ],
  entry: 0x1000000,
  symbols: [
    { name: '_text', address: 0xc1000000 },
    { name: 'startup_32', address: 0xc1000000 },
    { name: 'sized', address: 0xc1000100, size: 0x10, type: 2 },
    { name: 'label', address: 0xc1001000 },
  ],
};

describe('a vmlinux before and after paging', () => {
  const names = symbolizer(linux);

  it.each([
    [0xc1000001, 'startup_32', 1],
    [0x1000001, 'startup_32', 1],
    [0xc100010f, 'sized', 0xf],
    [0x100010f, 'sized', 0xf],
    [0xc1001004, 'label', 4],
    [0xc1010fff, 'label', 0xffff],
  ])('%i is %s+%i', (address, name, offset) => {
    expect(names.symbolAt(address)).toEqual({ name, offset });
  });

  it.each([
    ['past the size of the last symbol', 0xc1000110],
    ['64 KiB past a label', 0xc1011000],
    ['in another segment than the label', 0xc1040000],
    ['below every segment', 0xfff],
    ['just past the last segment', 0xc1041000],
  ])('has no name %s', (_where, address) => {
    expect(names.symbolAt(address)).toBeUndefined();
  });

  it('tells the address space by the address, unless told', () => {
    expect(names.symbolAt(0x1000001, 'virtual')).toBeUndefined();
    expect(names.symbolAt(0xc1000001, 'physical')).toBeUndefined();
    expect(names.symbolAt(0x1000001, 'physical')).toEqual({ name: 'startup_32', offset: 1 });
  });

  it('locates a name in both address spaces', () => {
    expect(names.locate('label')).toEqual({ name: 'label', virtual: 0xc1001000, physical: 0x1001000 });
    expect(names.locate('startup_32')).toEqual({
      name: 'startup_32',
      virtual: 0xc1000000,
      physical: 0x1000000,
    });
    expect(names.locate('no_such')).toBeUndefined();
  });
});

describe('the 32-bit entry', () => {
  const segments = [
    { physical: 0x100000, virtual: 0xc0100000, contents: new Uint8Array(16), memorySize: 0x4000 },
  ];

  it('is startup_32 in a stripped file, for a page', () => {
    const names = symbolizer({ segments, entry: 0x100010 });
    expect(names.symbolAt(0x100011)).toEqual({ name: 'startup_32', offset: 1 });
    expect(names.symbolAt(0xc0100011)).toEqual({ name: 'startup_32', offset: 1 });
    expect(names.symbolAt(0x10100f)).toEqual({ name: 'startup_32', offset: 0xfff });
    expect(names.symbolAt(0x101010)).toBeUndefined();
    expect(names.symbolAt(0x10000f)).toBeUndefined();
    expect(names.locate('startup_32')).toEqual({
      name: 'startup_32',
      virtual: 0xc0100010,
      physical: 0x100010,
    });
  });

  it('is startup_32 between symbols that do not name it', () => {
    const symbols = [
      { name: 'before', address: 0xc0100000 },
      { name: 'after', address: 0xc0100020 },
    ];
    const names = symbolizer({ segments, entry: 0x100010, symbols });
    expect(names.symbolAt(0x100011)).toEqual({ name: 'startup_32', offset: 1 });
    expect(names.symbolAt(0x100021)).toEqual({ name: 'after', offset: 1 });
  });

  it("keeps the name that the file's own symbols give it, and is found as startup_32 all the same", () => {
    const names = symbolizer({
      segments,
      entry: 0x100010,
      symbols: [{ name: '_start', address: 0xc0100010 }],
    });
    expect(names.symbolAt(0x100011)).toEqual({ name: '_start', offset: 1 });
    expect(names.locate('startup_32')).toEqual({
      name: 'startup_32',
      virtual: 0xc0100010,
      physical: 0x100010,
    });
  });
});

describe('a bzImage', () => {
  const file = buildBzImage({
    version: 0x020a,
    fields: [
      [0x234, 1, 1],
      [0x258, 8, 0x1000000],
      [0x260, 4, 0x800000],
    ],
  });

  it('names its protected-mode entry, at its load address', () => {
    const names = createSymbolizer(readKernelImage(file, { name: 'k' }));
    expect(names.symbolAt(0x1000001)).toEqual({ name: 'startup_32', offset: 1 });
    expect(names.symbolAt(0x1001000)).toBeUndefined();
    expect(names.locate('startup_32')).toEqual({
      name: 'startup_32',
      virtual: 0x1000000,
      physical: 0x1000000,
    });
  });

  it('names it where it was loaded instead', () => {
    const names = createSymbolizer(readKernelImage(file, { name: 'k' }), { entry: 0x2000000 });
    expect(names.symbolAt(0x2000001)).toEqual({ name: 'startup_32', offset: 1 });
    expect(names.symbolAt(0x1000001)).toBeUndefined();
  });

  it('takes the link addresses of the kernel proper from a System.map', () => {
    const names = createSymbolizer(
      readKernelImage(file, {
        name: 'k',
        systemMap: 'c1000000 T startup_32\nc1000400 T i386_start_kernel\n',
      }),
    );
    expect(names.symbolAt(0xc1000402)).toEqual({ name: 'i386_start_kernel', offset: 2 });
    expect(names.symbolAt(0xc1000402, 'physical')).toBeUndefined();
    expect(names.symbolAt(0x1000000)).toEqual({ name: 'startup_32', offset: 0 });
    expect(names.locate('i386_start_kernel')).toEqual({ name: 'i386_start_kernel', virtual: 0xc1000400 });
  });
});
