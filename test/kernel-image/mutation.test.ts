import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createSymbolizer,
  parseSystemMap,
  physicalEntry,
  readKernelImage,
  readXenGuest,
} from '../../src/kernel-image/index.ts';
import { KernelImageError } from '../../src/kernel-image/kernel-image.ts';
import { buildBzImage } from '../support/bzimage-builder.ts';
import { ascii, buildElf, bytesOf, le32, note, PT_NOTE, SHT_PROGBITS } from '../support/elf-builder.ts';

const FOUR_GIB = 0x1_0000_0000;

const elf = buildElf({
  segments: [
    { physical: 0x100000, virtual: 0xc0100000, contents: new Uint8Array(64), memorySize: 0x2000 },
    {
      type: PT_NOTE,
      contents: bytesOf(note('Xen', 1, le32(0xc0100000)), note('Xen', 8, ascii('generic\0'))),
    },
  ],
  sections: [
    { name: '__xen_guest', type: SHT_PROGBITS, contents: ascii('VIRT_BASE=0xC0000000,HYPERCALL_PAGE=2') },
  ],
  symbols: [
    { name: 'main', address: 0xc0100010, size: 8, type: 2 },
    { name: 'label', address: 0xc0100020 },
  ],
});

const bzImage = buildBzImage({
  kernelVersion: '6.1',
  code: new Uint8Array(64).fill(0x90),
  fields: [
    [0x234, 1, 1],
    [0x248, 4, 16],
    [0x24c, 4, 16],
    [0x258, 8, 0x1000000],
    [0x260, 4, 0x100000],
  ],
});

const IMAGES = new URL('../../images/', import.meta.url).pathname;

/** The built images of the repository. */
function ownImages(): readonly (readonly [string, Uint8Array])[] {
  return readdirSync(IMAGES, { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .flatMap(entry => readdirSync(join(IMAGES, entry.name)).map(file => join(entry.name, file)))
    .filter(file => /\.(elf|bin)$/.test(file))
    .sort()
    .map(file => [file, new Uint8Array(readFileSync(join(IMAGES, file)))] as const);
}

/** Reads a file that may be anything: the result keeps its promises, or the error is typed and has one line. */
function readAnything(bytes: Uint8Array): void {
  try {
    const image = readKernelImage(bytes, { name: 'k' });
    expect(image.segments.length).toBeGreaterThan(0);
    for (const segment of image.segments) {
      expect(segment.contents.length).toBeLessThanOrEqual(segment.memorySize);
      expect(segment.physical + segment.memorySize).toBeLessThanOrEqual(FOUR_GIB);
    }
    const entry = physicalEntry(image);
    expect(
      image.segments.some(({ physical, memorySize }) => entry >= physical && entry < physical + memorySize),
    ).toBe(true);
    const names = createSymbolizer(image);
    // A damaged table may say that startup_32 is elsewhere; then the entry has no name.
    const elsewhere = image.symbols.some(symbol => symbol.name === 'startup_32');
    expect(elsewhere || names.symbolAt(entry, 'physical') !== undefined).toBe(true);
    expect(names.locate('startup_32')).toBeDefined();
    readXenGuest(image);
  } catch (error) {
    if (!(error instanceof KernelImageError)) throw error;
    expect(error.code).toMatch(/^[a-z0-9-]+$/);
    expect(error.message).toMatch(/^k: .*; expected [^\n]*$/);
  }
}

interface Damage {
  readonly edits: readonly (readonly [offset: number, bytes: readonly number[]])[];
  readonly length: number;
}

/** Where the tables of a file are, damage does most; bytes that are extreme do more than random ones. */
function damage(size: number): fc.Arbitrary<Damage> {
  const tables = Math.min(size, 0x300);
  const offset = fc.oneof(
    fc.nat(tables - 1),
    fc.nat(size - 1),
    fc.integer({ min: Math.max(0, size - 0x300), max: size - 1 }),
  );
  const bytes = fc.oneof(
    fc.constantFrom(
      [0],
      [0xff],
      [0, 0, 0, 0],
      [0xff, 0xff, 0xff, 0xff],
      [0, 0, 0, 0x80],
      [1, 0, 0, 0],
      [0xff, 0xff],
    ),
    fc.array(fc.nat(255), { minLength: 1, maxLength: 4 }),
  );
  return fc.record({
    edits: fc.array(fc.tuple(offset, bytes), { minLength: 1, maxLength: 6 }),
    length: fc.oneof({ weight: 3, arbitrary: fc.constant(size) }, fc.nat(size)),
  });
}

function readDamaged(original: Uint8Array, numRuns: number): void {
  fc.assert(
    fc.property(damage(original.length), ({ edits, length }) => {
      const copy = original.slice();
      for (const [at, bytes] of edits) copy.set(bytes.slice(0, copy.length - at), at);
      readAnything(copy.subarray(0, length));
    }),
    { numRuns },
  );
}

describe('a damaged file is read, or refused with a typed error:', () => {
  it.each([
    ['ELF', elf],
    ['bzImage', bzImage],
  ])('%s', (_format, original) => {
    readAnything(original);
    readDamaged(original, 2000);
  });

  it.each([
    ['ELF', elf],
    ['bzImage', bzImage],
  ])('%s, cut at every length', (_format, original) => {
    for (let length = 0; length <= original.length; length++) readAnything(original.subarray(0, length));
  });

  it('noise after a magic number', () => {
    const noise = fc.uint8Array({ maxLength: 1024 });
    fc.assert(
      fc.property(noise, bytes => {
        readAnything(bytes);
        readAnything(bytesOf([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1], bytes));
        readAnything(bytesOf(bzImage.subarray(0, 0x206), bytes));
      }),
      { numRuns: 500 },
    );
  });

  it('every image of this repository', () => {
    const images = ownImages();
    expect(images.length, 'no images/*/*.elf or *.bin: npm run images builds them').toBeGreaterThan(0);
    for (const [name, original] of images) {
      expect(() => readKernelImage(original, { name })).not.toThrow();
      readDamaged(original, 300);
    }
  });

  it('any text as a System.map', () => {
    const line = fc.oneof(
      fc.string(),
      fc
        .tuple(fc.nat(0xffff_ffff), fc.constantFrom('T', 't', 'D', 'A', '?'), fc.string())
        .map(([address, letter, name]) => `${address.toString(16).padStart(8, '0')} ${letter} ${name}`),
    );
    fc.assert(
      fc.property(fc.array(line), lines => {
        const { symbols } = parseSystemMap(lines.join('\n'));
        const addresses = symbols.map(symbol => symbol.address);
        expect(addresses).toEqual([...addresses].sort((a, b) => a - b));
      }),
    );
  });
});
