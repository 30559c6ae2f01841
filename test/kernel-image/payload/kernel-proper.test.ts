/** What is in a decoded payload, and moving it: Linux 6.1 arch/x86/boot/compressed/misc.c, handle_relocations. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  KernelImageError,
  readKernelImage,
  readKernelProper,
  relocate,
} from '../../../src/kernel-image/index.ts';
import type { BzImage, ElfImage } from '../../../src/kernel-image/kernel-image.ts';
import { buildBzImage } from '../../support/bzimage-builder.ts';
import { buildElf, bytesOf, le32, note, PT_NOTE, SHT_PROGBITS } from '../../support/elf-builder.ts';

const PAGE_OFFSET = 0xc0000000;
const LINKED_AT = 0x1000000;
const ALIGNMENT = 0x200000;

const u32 = (bytes: Uint8Array | undefined, at: number): number =>
  bytes ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true) : Number.NaN;

function container(
  relocatable: number,
  fields: readonly (readonly [number, 1 | 2 | 4 | 8, number])[] = [],
): BzImage {
  const image = readKernelImage(
    buildBzImage({
      fields: [[0x230, 4, ALIGNMENT], [0x234, 1, relocatable], [0x258, 8, LINKED_AT], ...fields],
    }),
    { name: 'vmlinuz' },
  );
  if (image.format !== 'bzimage') throw new Error('not a bzImage');
  return image;
}

const TEXT = PAGE_OFFSET + LINKED_AT;
const DATA = TEXT + 0x3000;

/** mov 0xc1003004,%eax; a word that is no address; then a data segment with two pointers; a Xen note with an address. */
const text = bytesOf([0xa1], le32(DATA + 4), [0x90, 0x90, 0x90], le32(0x12345678));
const xenNote = note('Xen', 1, le32(TEXT));
const vmlinux = buildElf({
  entry: LINKED_AT,
  segments: [
    { physical: LINKED_AT, virtual: TEXT, contents: bytesOf(text, xenNote) },
    { physical: LINKED_AT + 0x3000, virtual: DATA, contents: le32(TEXT, TEXT + 8), memorySize: 0x1000 },
    { type: PT_NOTE, physical: LINKED_AT + 12, virtual: TEXT + 12, contents: xenNote },
  ],
  sections: [
    { name: '.text', type: SHT_PROGBITS, address: TEXT, contents: text },
    { name: '.comment', type: SHT_PROGBITS, contents: bytesOf([1, 2, 3, 4]) },
  ],
  symbols: [{ name: 'startup_32', address: TEXT, size: 12, type: 2 }],
});
/** The note that PT_NOTE names lies in no segment here, so its address stays; the one below is in the text segment. */
const RELOCATIONS = [TEXT + 1, DATA, DATA + 4];
const decoded = bytesOf(vmlinux, le32(0, ...RELOCATIONS));

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof KernelImageError) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('readKernelProper', () => {
  const image = container(1);
  const kernel = readKernelProper(image, decoded);

  it('is the ELF file, named after its bzImage', () => {
    expect(kernel).toMatchObject({
      format: 'elf',
      name: 'vmlinuz (kernel proper)',
      entry: LINKED_AT,
      size: decoded.length,
      sha256: createHash('sha256').update(decoded).digest('hex'),
      symbolSource: 'symbol table',
      warnings: [],
    });
    expect(kernel.symbols).toEqual([{ name: 'startup_32', address: TEXT, size: 12, kind: 'function' }]);
  });

  it('has the words of the relocation list in the order of the file', () => {
    expect([...(kernel.relocations?.words ?? [])]).toEqual(RELOCATIONS);
    expect(kernel.relocations?.linkedAt).toBe(LINKED_AT);
  });

  it('keeps what is left of the bzImage', () => {
    expect(kernel.container).toEqual({
      setup: image.setup,
      size: image.size,
      sha256: image.sha256,
      payload: 'unknown',
    });
  });

  it('of a kernel that is not relocatable has no list, whatever follows', () => {
    expect(readKernelProper(container(0), decoded)).not.toHaveProperty('relocations');
    expect(readKernelProper(container(0), decoded).warnings).toEqual([]);
  });

  it('warns when a relocatable one has none', () => {
    const bare = readKernelProper(container(1), vmlinux);
    expect(bare).not.toHaveProperty('relocations');
    expect(bare.warnings.map(warning => warning.code)).toEqual(['relocation-list']);
  });

  it('warns when the list does not end', () => {
    const endless = readKernelProper(container(1), bytesOf(vmlinux, le32(...RELOCATIONS)));
    expect(endless.warnings.map(warning => warning.code)).toEqual(['relocation-list']);
  });

  it('takes a list of no words', () => {
    const none = readKernelProper(container(1), bytesOf(vmlinux, le32(0)));
    expect(none.relocations?.words.length).toBe(0);
  });

  it('refuses what is no ELF file', () => {
    expect(refusal(() => readKernelProper(image, new Uint8Array(0x100)))).toBe(
      'payload-not-elf: vmlinuz: the payload decodes to 0x100 bytes that are no ELF file; expected one, as every kernel since boot protocol 2.08 (Linux 2.6.26) has',
    );
  });

  it('refuses a 64-bit kernel, and says why', () => {
    const elf64 = Uint8Array.from(vmlinux);
    elf64[4] = 2;
    elf64[0x12] = 62;
    expect(refusal(() => readKernelProper(image, elf64))).toMatch(/^elf64: vmlinuz \(kernel proper\): /);
  });
});

describe('relocate', () => {
  const kernel = readKernelProper(container(1), decoded);
  const moved = relocate(kernel, 0x3000000);
  const by = 0x2000000;

  it('moves entry, segments, symbols, program headers and sections', () => {
    expect(moved.entry).toBe(0x3000000);
    expect(moved.segments.map(({ physical, virtual }) => [physical, virtual])).toEqual([
      [0x3000000, PAGE_OFFSET + 0x3000000],
      [0x3003000, PAGE_OFFSET + 0x3003000],
    ]);
    expect(moved.symbols).toEqual([{ ...kernel.symbols[0], address: TEXT + by }]);
    expect(moved.programHeaders.map(header => header.physical)).toEqual([0x3000000, 0x3003000, 0x300000c]);
    expect(moved.sections.find(section => section.name === '.text')?.address).toBe(TEXT + by);
    expect(moved.sections.find(section => section.name === '.comment')?.address).toBe(0);
  });

  it('adds the displacement to the words of the list, and to no other', () => {
    const [code, data] = moved.segments.map(segment => segment.contents);
    expect(u32(code, 1)).toBe(DATA + 4 + by);
    expect(u32(code, 8)).toBe(0x12345678);
    expect([u32(data, 0), u32(data, 4)]).toEqual([TEXT + by, TEXT + 8 + by]);
  });

  it('leaves the image that it moves as it is', () => {
    expect(u32(kernel.segments[0]?.contents, 1)).toBe(DATA + 4);
  });

  it('to where it is gives the image itself', () => {
    expect(relocate(kernel, LINKED_AT)).toBe(kernel);
  });

  it('there and back gives the same bytes', () => {
    const back = relocate(moved, LINKED_AT);
    expect(back.segments).toEqual(kernel.segments);
    expect(back.relocations).toEqual(kernel.relocations);
    expect(back.entry).toBe(kernel.entry);
  });

  it('changes notes that lie in a segment', () => {
    const entryWord = TEXT + text.length + 16;
    const inside: ElfImage = {
      ...kernel,
      notes: [
        {
          owner: 'Xen',
          type: 1,
          offset: 0,
          description:
            kernel.segments[0]?.contents.subarray(text.length + 16, text.length + 20) ?? new Uint8Array(0),
        },
      ],
      relocations: { words: Uint32Array.of(entryWord), linkedAt: LINKED_AT },
    };
    expect(u32(inside.notes[0]?.description, 0)).toBe(TEXT);
    expect(u32(relocate(inside, 0x3000000).notes[0]?.description, 0)).toBe(TEXT + by);
  });

  it('refuses an address that is no multiple of kernel_alignment', () => {
    expect(refusal(() => relocate(kernel, 0x3001000))).toBe(
      'load-address-alignment: vmlinuz (kernel proper): the load address is 0x3001000; expected a multiple of kernel_alignment, 0x200000',
    );
  });

  it('refuses a kernel without a list', () => {
    expect(refusal(() => relocate(readKernelProper(container(0), decoded), 0x3000000))).toBe(
      'not-relocatable: vmlinuz (kernel proper): the kernel has no relocation list, so it cannot be loaded at 0x3000000; expected one, as the kernel proper of a relocatable bzImage has',
    );
  });

  it('refuses an end past 4 GiB', () => {
    const tall: ElfImage = {
      ...kernel,
      segments: kernel.segments.map(segment => ({ ...segment, memorySize: 0x400000 })),
    };
    expect(refusal(() => relocate(tall, 0xffe00000))).toMatch(/^segment-wraps: /);
  });

  it('refuses a list that names a word outside the kernel, as the decompressor does', () => {
    const outside: ElfImage = {
      ...kernel,
      relocations: { words: Uint32Array.of(DATA + 5), linkedAt: LINKED_AT },
    };
    expect(refusal(() => relocate(outside, 0x3000000))).toBe(
      'relocation-outside-kernel: vmlinuz (kernel proper): the relocation list names the word at 0xc1003005; expected one in the contents of a segment',
    );
  });
});

describe('damaged', () => {
  it('a kernel proper is read and moved, or refused with a typed error', () => {
    const image = container(1);
    const edit = fc.tuple(
      fc.oneof(fc.nat(0x100), fc.nat(decoded.length - 1)),
      fc.oneof(
        fc.constantFrom([0], [0xff], [0xff, 0xff, 0xff, 0xff], [0, 0, 0, 0]),
        fc.array(fc.nat(255), { maxLength: 4 }),
      ),
    );
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 5 }), fc.nat(decoded.length), (edits, cut) => {
        const bytes = decoded.slice();
        for (const [at, values] of edits) bytes.set(values.slice(0, bytes.length - at), at);
        for (const length of [bytes.length, cut]) {
          try {
            relocate(readKernelProper(image, bytes.subarray(0, length)), 0x3000000);
          } catch (error) {
            if (!(error instanceof KernelImageError)) throw error;
            expect(error.message).toMatch(/^vmlinuz[^\n]*; expected [^\n]*$/);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
