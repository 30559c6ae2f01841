import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Kallsyms, readKallsyms, readKernelImage } from '../../src/kernel-image/index.ts';
import type { KernelSymbol, Segment } from '../../src/kernel-image/kernel-image.ts';
import { buildElf, bytesOf, le32 } from '../support/elf-builder.ts';
import {
  type BuiltKallsyms,
  buildKallsyms,
  KALLSYMS_LAYOUTS,
  type KallsymsEntry,
  type KallsymsLayout,
} from '../support/kallsyms-builder.ts';

const VIRTUAL = 0xc1000000;
const PHYSICAL = 0x1000000;
const TEXT_SIZE = 0x100000;

/** What a kernel has besides: code, and a table of 256 ascending halfwords that is no token index (fs/nls has several). */
const CODE = new Uint8Array(0x400).fill(0x90);
const CHARACTER_SET = bytesOf(...Array.from({ length: 256 }, (_, code) => [code, 0]));
const TABLES_AT = CODE.length + CHARACTER_SET.length;

const SYLLABLES = [
  'sys_',
  'do_',
  'vfs',
  '_read',
  'tcp_',
  'v4',
  '__',
  'irq',
  '_init',
  'page',
  'fault',
  '_to',
  '9p',
];

/** Names as kernels have them, all different, the first at the start of the text. */
function someSymbols(count: number): KallsymsEntry[] {
  return Array.from({ length: count }, (_, index) => {
    const words = [index * 7, index * 3 + 1, index >> 2].map(word => SYLLABLES[word % SYLLABLES.length]);
    const type = ['T', 't', 'T', 'W', 'D', 'b', 'r'][index % 7] ?? 'T';
    return { name: `${words.join('')}${index}`, type, address: VIRTUAL + index * 0x24 };
  });
}

const KINDS: Readonly<Record<string, KernelSymbol['kind']>> = {
  T: 'function',
  t: 'function',
  W: 'function',
  D: 'object',
  b: 'object',
  r: 'object',
};

const asRead = ({ name, type, address }: KallsymsEntry): KernelSymbol => ({
  name,
  address,
  size: 0,
  kind: KINDS[type] ?? 'other',
});

function build(entries: readonly KallsymsEntry[], layout: KallsymsLayout): BuiltKallsyms {
  return buildKallsyms(entries, layout, VIRTUAL + TABLES_AT);
}

function segmentOf(tables: Uint8Array): Segment {
  const contents = bytesOf(CODE, CHARACTER_SET, tables, le32(0x90909090, 0x90909090));
  return {
    name: 'LOAD 0',
    physical: PHYSICAL,
    virtual: VIRTUAL,
    contents,
    memorySize: Math.max(TEXT_SIZE, contents.length),
    fileOffset: 0x1000,
    readable: true,
    writable: false,
    executable: true,
  };
}

const read = (tables: Uint8Array): Kallsyms | undefined => readKallsyms({ segments: [segmentOf(tables)] });

const layouts = Object.entries(KALLSYMS_LAYOUTS);

describe.each(layouts)('kallsyms as of %s', (_version, layout: KallsymsLayout) => {
  it.each([1, 255, 256, 257, 600])('gives all of %i symbols', count => {
    const entries = someSymbols(count);
    expect(read(build(entries, layout).bytes)).toEqual({ symbols: entries.map(asRead), warnings: [] });
  });

  it('gives a name of more than 127 tokens', () => {
    // Characters in an order that no token shortens much.
    let state = 1;
    const name = Array.from({ length: 250 }, () => {
      state = (state * 48271) % 0x7fffffff;
      return String.fromCharCode(0x41 + (state % 58)).replace(/[[\]\\^`]/, '_');
    }).join('');
    const entries = someSymbols(600).map((entry, index) => (index === 300 ? { ...entry, name } : entry));
    const built = build(entries, layout);
    expect(built.longest).toBeGreaterThan(127);
    expect(read(built.bytes)?.symbols).toEqual(entries.map(asRead));
  });

  it('gives nothing, and says so, when the names and markers do not agree', () => {
    const { bytes, at } = build(someSymbols(600), layout);
    bytes[at.markers + 4] = (bytes[at.markers + 4] ?? 0) ^ 1;
    expect(read(bytes)).toEqual({
      symbols: [],
      warnings: [
        {
          code: 'kallsyms-unreadable',
          message: `the kallsyms token table at virtual 0x${(VIRTUAL + TABLES_AT + at.tokens).toString(16)} has no names and markers before it that agree with each other; names are not shown`,
        },
      ],
    });
  });

  it('gives nothing, and says so, when the addresses do not ascend', () => {
    const { bytes, at } = build(someSymbols(600), layout);
    bytes.set(le32(0xffffffff, 0x12345678, 0x87654321), at.addresses + 0x100);
    expect(read(bytes)).toEqual({
      symbols: [],
      warnings: [
        {
          code: 'kallsyms-unreadable',
          message: `the kallsyms token table at virtual 0x${(VIRTUAL + TABLES_AT + at.tokens).toString(16)} has 600 names before it, but no ascending addresses inside the image beside them; names are not shown`,
        },
      ],
    });
  });

  it('never fails on damaged tables, and gives ascending addresses if any', () => {
    const { bytes, at } = build(someSymbols(300), layout);
    const offset = fc.oneof(
      fc.nat(bytes.length - 1),
      ...Object.values(at).map(start => fc.integer({ min: Math.max(0, start - 4), max: start + 8 })),
    );
    const value = fc.constantFrom(0, 1, 0x7f, 0x80, 0xff, 0x41);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(offset, value), { minLength: 1, maxLength: 6 }),
        fc.option(fc.nat(bytes.length), { freq: 5, nil: bytes.length }),
        (edits, length) => {
          const copy = bytes.slice();
          for (const [where, byte] of edits) copy[where] = byte;
          const addresses = read(copy.subarray(0, length))?.symbols.map(symbol => symbol.address) ?? [];
          expect(addresses).toEqual([...addresses].sort((a, b) => a - b));
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe('kallsyms', () => {
  const percpu = ['4.6 with absolute per-CPU symbols', '6.4 with absolute per-CPU symbols'] as const;

  it.each(percpu)('of %s leaves out absolute symbols and keeps what is below the text', version => {
    const entries: KallsymsEntry[] = [
      { name: '__per_cpu_start', type: 'A', address: 0 },
      { name: 'cpu_number', type: 'A', address: 0x1234 },
      ...someSymbols(20),
    ];
    const { bytes } = build(entries, KALLSYMS_LAYOUTS[version]);
    expect(read(bytes)?.symbols).toEqual(entries.slice(2).map(asRead));
  });

  it('of 2.6 has absolute symbols on both sides of the image; they are left out', () => {
    const entries: KallsymsEntry[] = [
      { name: 'VDSO32_PRELINK', type: 'A', address: 0 },
      ...someSymbols(20),
      { name: '__kernel_vsyscall', type: 'A', address: 0xffffe400 },
    ];
    expect(read(build(entries, KALLSYMS_LAYOUTS['2.6.10']).bytes)?.symbols).toEqual(
      entries.slice(1, -1).map(asRead),
    );
  });

  it('puts the name that says most first where several are at one address', () => {
    const entries: KallsymsEntry[] = [
      { name: '_sdata', type: 'd', address: VIRTUAL },
      { name: 'local', type: 't', address: VIRTUAL },
      { name: 'startup_32', type: 'T', address: VIRTUAL },
      ...someSymbols(20).slice(1),
    ];
    const names = read(build(entries, KALLSYMS_LAYOUTS['6.1']).bytes)?.symbols.map(symbol => symbol.name);
    expect(names?.slice(0, 3)).toEqual(['startup_32', 'local', '_sdata']);
  });

  it('is found in any segment, at any offset in the file', () => {
    const entries = someSymbols(300);
    const data = segmentOf(build(entries, KALLSYMS_LAYOUTS['6.4']).bytes);
    const odd = bytesOf([0xcc], data.contents);
    const text: Segment = {
      ...data,
      name: 'LOAD 1',
      virtual: VIRTUAL - 0x1000,
      contents: CODE,
      memorySize: 0x1000,
    };
    const found = readKallsyms({ segments: [text, { ...data, contents: odd.subarray(1) }] });
    expect(found?.symbols).toEqual(entries.map(asRead));
  });

  it('is not there in a kernel without it', () => {
    expect(read(new Uint8Array(0x1000))).toBeUndefined();
    expect(read(CODE)).toBeUndefined();
    expect(readKallsyms({ segments: [] })).toBeUndefined();
  });

  it('never fails on noise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4096 }), bytes => {
        expect(read(bytes)).toBeUndefined();
      }),
      { numRuns: 200 },
    );
  });
});

describe('the symbols of an ELF file', () => {
  const entries = someSymbols(300);
  const { contents } = segmentOf(build(entries, KALLSYMS_LAYOUTS['6.1']).bytes);
  const segments = [{ physical: PHYSICAL, virtual: VIRTUAL, contents, memorySize: TEXT_SIZE }];
  const entry = PHYSICAL;

  it('are those of kallsyms when it is stripped', () => {
    const image = readKernelImage(buildElf({ segments, entry }), { name: 'k' });
    expect(image.symbols).toEqual(entries.map(asRead));
    expect(image.symbolSource).toBe('kallsyms');
  });

  it('are those of its symbol table when it has one', () => {
    const symbols = [{ name: 'own', address: VIRTUAL, type: 2 }];
    const image = readKernelImage(buildElf({ segments, entry, symbols }), { name: 'k' });
    expect(image.symbols.map(symbol => symbol.name)).toEqual(['own']);
    expect(image.symbolSource).toBe('symbol table');
  });

  it('are those of a System.map when one is given', () => {
    const systemMap = 'c1000000 T from_map\n';
    const image = readKernelImage(buildElf({ segments, entry }), { name: 'k', systemMap });
    expect(image.symbols.map(symbol => symbol.name)).toEqual(['from_map']);
    expect(image.symbolSource).toBe('System.map');
  });

  it('are none when there is nothing to take them from', () => {
    const image = readKernelImage(buildElf(), { name: 'k' });
    expect(image.symbols).toEqual([]);
    expect(image.symbolSource).toBeUndefined();
    expect(image.warnings).toEqual([]);
  });
});
