/** What `wrap` writes, offset by offset: boot.rst, the gABI, and the ELF header that was proposed in 2006. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type BzImage, readKernelImage } from '../../src/kernel-image/index.ts';
import { unpackKernel } from '../../src/unpack.ts';
import { wrapKernel } from '../../src/wrap/wrap.ts';
import { ascii, buildElf, note, PT_NOTE } from '../support/elf-builder.ts';
import { relocatableKernel } from './relocatable.ts';
import { tool } from './tool.ts';
import { ENTRY, kernelWith, noise } from './wrapped.ts';

const kernel = kernelWith({ physical: 0x300000, contents: noise(3000, 7), memorySize: 0x5001 });
const XEN_NOTES = [note('Xen', 6, ascii('linux\0')), note('GNU', 3, noise(20, 1))];
const withNotes = buildElf({
  entry: ENTRY,
  segments: [
    { physical: ENTRY, contents: Uint8Array.of(0xf4) },
    { type: PT_NOTE, contents: Uint8Array.from(XEN_NOTES.flatMap(each => [...each])) },
  ],
});

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const bzImage = (bytes: Uint8Array): BzImage => {
  const image = readKernelImage(bytes, { name: 'wrapped' });
  if (image.format !== 'bzimage') throw new Error(image.format);
  return image;
};

/** The register of CRC-32 bit by bit: boot.rst, "The image checksum". */
function crcRegister(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return crc >>> 0;
}

describe('the setup header', () => {
  it('is that of boot protocol 2.10', async () => {
    const image = await wrapKernel(kernel, { compress: 'none' });
    const at = view(image);
    expect(at.getUint8(0x1f1)).toBe(7); // setup_sects
    const code = 8 * 512;
    expect(at.getUint32(0x1f4, true) * 16).toBe(image.length - code); // syssize, the CRC included
    expect(at.getUint16(0x1fe, true)).toBe(0xaa55);
    expect(at.getUint8(0x200)).toBe(0xeb);
    expect(0x202 + at.getUint8(0x201)).toBe(0x264);
    expect(Buffer.from(image.subarray(0x202, 0x206)).toString('latin1')).toBe('HdrS');
    expect(at.getUint16(0x206, true)).toBe(0x020a);
    expect(at.getUint32(0x208, true)).toBe(0); // realmode_swtch
    expect(at.getUint8(0x210)).toBe(0); // type_of_loader: the loader's
    expect(at.getUint8(0x211)).toBe(1); // loadflags: LOADED_HIGH
    expect(at.getUint32(0x214, true)).toBe(0x100000); // code32_start
    expect(at.getUint32(0x22c, true)).toBe(0x37ffffff); // initrd_addr_max
    expect(at.getUint32(0x230, true)).toBe(0x1000); // kernel_alignment
    expect(at.getUint8(0x234)).toBe(0); // relocatable_kernel
    expect(at.getUint8(0x235)).toBe(12); // min_alignment
    expect(at.getUint32(0x238, true)).toBe(2047); // cmdline_size
    const payload = code + at.getUint32(0x248, true);
    expect(Buffer.compare(image.subarray(payload, payload + at.getUint32(0x24c, true)), kernel)).toBe(0);
    expect(at.getBigUint64(0x250, true)).toBe(0n); // setup_data
    expect(at.getBigUint64(0x258, true)).toBe(0x200000n); // pref_address
    // The kernel to 0x305001, 40 KiB to unpack in, and the code with its payload, in whole pages.
    const needed = 0x105010 + 0xc000 + image.length - code;
    expect(at.getUint32(0x260, true)).toBe(Math.ceil(needed / 4096) * 4096); // init_size
    expect(at.getUint8(0x1ef)).toBe(0xff); // sentinel
  });

  it('has a CRC that makes the register over the whole file end at 0', async () => {
    for (const options of [{}, { compress: 'none' }, { elfHeader: true }] as const) {
      expect(crcRegister(await wrapKernel(kernel, options))).toBe(0);
    }
  });

  it('is read without a warning', async () => {
    for (const options of [{}, { compress: 'none' }, { elfHeader: true }, { mungeMagic: true }] as const) {
      expect(bzImage(await wrapKernel(kernel, options)).warnings).toEqual([]);
    }
  });

  it('says relocatable of a kernel that can be moved, and of no other', async () => {
    const { kernel: movable } = relocatableKernel();
    expect(bzImage(await wrapKernel(movable)).setup.relocatable).toBe(true);
    expect(bzImage(await wrapKernel(relocatableKernel({ fixed: true }).kernel)).setup.relocatable).toBe(
      false,
    );
  });

  it('is the same each time', async () => {
    expect(await wrapKernel(kernel)).toEqual(await wrapKernel(kernel));
  });
});

describe('the ELF header in front', () => {
  it('has its fields where the gABI has them, and code in between', async () => {
    const image = await wrapKernel(withNotes, { elfHeader: true, notes: 'keep' });
    const at = view(image);
    // ELFCLASS32, ELFDATA2LSB, EV_CURRENT, ELFOSABI_STANDALONE; then jmp to 71.
    expect([...image.subarray(0, 10)]).toEqual([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, 255, 0xeb, 0x3d]);
    expect(at.getUint16(0x10, true)).toBe(2); // ET_EXEC
    expect(at.getUint16(0x12, true)).toBe(3); // EM_386
    expect(at.getUint32(0x14, true)).toBe(1); // EV_CURRENT
    expect(at.getUint32(0x18, true)).toBe(0x100000); // e_entry
    expect(at.getUint32(0x1c, true)).toBe(80); // e_phoff
    expect([0x28, 0x2a, 0x2c].map(offset => at.getUint16(offset, true))).toEqual([52, 32, 2]);
    expect(image[71]).toBe(0xeb); // jmp, where all ways lead
    const header = (index: number) =>
      Array.from({ length: 8 }, (_, field) => at.getUint32(80 + index * 32 + field * 4, true));
    const { protectedModeOffset, setup } = bzImage(image);
    const size = image.length - protectedModeOffset;
    const memory = 0x200000 + setup.initSize - 0x100000;
    expect(header(0)).toEqual([1, protectedModeOffset, 0x100000, 0x100000, size, memory, 7, 0x1000]);
    expect(header(1)).toEqual([
      4,
      0x1000,
      0,
      0,
      XEN_NOTES.reduce((sum, { length }) => sum + length, 0),
      0,
      4,
      4,
    ]);
    expect(Buffer.compare(image.subarray(0x1000, 0x1000 + 24), XEN_NOTES[0] ?? kernel)).toBe(0);
    expect(protectedModeOffset % 0x1000).toBe(0);
  });

  it('reads as part of a bzImage, notes included', async () => {
    const image = bzImage(await wrapKernel(withNotes, { elfHeader: true, notes: 'keep' }));
    expect(image.frontElf).toMatchObject({ type: 'ET_EXEC', entry: 0x100000, munged: false });
    expect(image.frontElf?.programHeaders.map(({ typeName }) => typeName)).toEqual(['LOAD', 'NOTE']);
    expect(image.notes.map(({ owner, type }) => [owner, type])).toEqual([
      ['Xen', 6],
      ['GNU', 3],
    ]);
  });

  it('has a changed magic that jumps to the same place, and is the same otherwise', async () => {
    const plain = await wrapKernel(kernel, { elfHeader: true });
    const munged = await wrapKernel(kernel, { mungeMagic: true });
    expect([...munged.subarray(0, 4)]).toEqual([0xeb, 0x45, 0x4c, 0x46]);
    const end = plain.length - 4; // the CRC
    expect(Buffer.compare(munged.subarray(1, end), plain.subarray(1, end))).toBe(0);
    expect(bzImage(munged).frontElf).toMatchObject({ munged: true });
  });

  it('is ET_DYN where the kernel is relocatable', async () => {
    const image = bzImage(await wrapKernel(relocatableKernel().kernel, { elfHeader: true }));
    expect(image.frontElf).toMatchObject({ type: 'ET_DYN', entry: 0x400000 });
  });

  it('is not there, nor are notes, unless asked for', async () => {
    const image = bzImage(await wrapKernel(withNotes));
    expect(image.frontElf).toBeUndefined();
    expect(image.notes).toEqual([]);
  });

  it('is read by readelf', async ctx => {
    const folder = mkdtempSync(join(tmpdir(), 'startup32-wrap-'));
    try {
      const file = join(folder, 'image');
      writeFileSync(file, await wrapKernel(withNotes, { elfHeader: true, notes: 'keep' }));
      const text = tool(ctx, 'readelf', ['-hlnW', file]).toString();
      expect(text).toMatch(/Entry point address: +0x100000$/m);
      expect(text).toMatch(/^ +LOAD +0x002000 0x00100000 0x00100000 .* RWE 0x1000$/m);
      expect(text).toMatch(/^ +Xen +0x00000006/m);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('a payload that a tool has compressed', () => {
  it.for([
    ['gzip', 'gzip', '-c9'],
    ['bzip2', 'bzip2', '-c'],
    ['lzma', 'lzma', '-c'],
    ['xz', 'xz', '-c', '--check=crc32', '--x86', '--lzma2=dict=1MiB'],
    ['lzo', 'lzop', '-c'],
    ['lz4', 'lz4', '-lc'],
    ['zstd', 'zstd', '-c'],
  ] as const)(
    '%s stands in the image with its size behind it, and decodes to the kernel',
    async (row, ctx) => {
      const [format, name, ...options] = row;
      const payload = tool(ctx, name, options, kernel);
      const image = bzImage(await wrapKernel(kernel, { payload: new Uint8Array(payload) }));
      const { payload: found, segments } = image;
      expect(found).toMatchObject({ format, length: payload.length + (format === 'gzip' ? 0 : 4) });
      const end = (found?.offset ?? 0) + (found?.length ?? 0) - image.protectedModeOffset;
      expect(view(segments[0]?.contents ?? kernel).getUint32(end - 4, true)).toBe(kernel.length);
      const unpacked = await unpackKernel(image);
      expect(unpacked.sha256).toBe(readKernelImage(kernel, { name: 'kernel' }).sha256);
    },
  );

  it('has to be of this kernel', async ctx => {
    const other = kernelWith({ physical: 0x300000, contents: noise(3000, 8), memorySize: 0x5001 });
    const payload = new Uint8Array(tool(ctx, 'xz', ['-c', '--check=crc32'], other));
    await expect(wrapKernel(kernel, { payload, name: 'vmlinux' })).rejects.toMatchObject({
      code: 'payload-differs',
      message: expect.stringMatching(
        /^vmlinux: the xz payload decodes to \d+ bytes that differ from the kernel at offset 0x/,
      ),
    });
  });

  it('has to be of a format that a bzImage can have', async () => {
    await expect(wrapKernel(kernel, { payload: Uint8Array.of(1, 2, 3, 4, 5) })).rejects.toMatchObject({
      code: 'payload-format',
    });
  });

  it('has to be whole', async () => {
    await expect(wrapKernel(kernel, { payload: Uint8Array.of(0x1f, 0x8b, 8, 0) })).rejects.toMatchObject({
      code: 'corrupt-payload',
    });
  });
});

describe('what cannot be wrapped', () => {
  it.each([
    ['no kernel at all', noise(100, 9), 'not-a-kernel'],
    ['nothing', new Uint8Array(0), 'empty-file'],
    ['a segment below 1 MiB', kernelWith({ physical: 0x90000, contents: noise(10, 1) }), 'below-1-mib'],
    [
      'segments that overlap',
      kernelWith({ physical: ENTRY + 2, contents: noise(10, 1) }),
      'segments-overlap',
    ],
    [
      'a segment at the end of memory',
      kernelWith({ physical: 0xfffff000, contents: noise(10, 1) }),
      'too-big',
    ],
    ['a relocation that needs a symbol', relocatableKernel({ relocationType: 1 }).kernel, 'relocation-kind'],
  ])('%s', async (_name, file, code) => {
    await expect(wrapKernel(file)).rejects.toMatchObject({ name: 'KernelImageError', code });
  });

  it('a 64-bit kernel', async () => {
    const file = kernel.slice();
    file[4] = 2;
    await expect(wrapKernel(file)).rejects.toMatchObject({ code: 'elf64' });
  });

  it('a bzImage', async () => {
    await expect(wrapKernel(await wrapKernel(kernel), { name: 'bzImage' })).rejects.toMatchObject({
      code: 'not-an-elf',
      message: 'bzImage: is a bzImage already; expected an ELF file',
    });
  });

  it('more notes than the first sectors hold', async () => {
    const file = buildElf({
      entry: ENTRY,
      segments: [
        { physical: ENTRY, contents: Uint8Array.of(0xf4) },
        { type: PT_NOTE, contents: note('big', 1, noise(0x5000, 1)) },
      ],
    });
    await expect(wrapKernel(file, { elfHeader: true, notes: 'keep' })).rejects.toMatchObject({
      code: 'notes-too-big',
    });
  });
});

it('an ELF header in front that makes no sense is a warning, and the bzImage is read', async () => {
  const image = await wrapKernel(kernel, { elfHeader: true });
  image[0x12] = 62; // e_machine
  const read = bzImage(image);
  expect(read.frontElf).toBeUndefined();
  expect(read.warnings).toContainEqual(expect.objectContaining({ code: 'front-elf' }));
});
