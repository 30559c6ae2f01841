/** Where a bzImage has its payload, and its CRC: boot.rst "payload_offset", "The image CRC". */
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { readKernelImage } from '../../../src/kernel-image/index.ts';
import type { BzImage } from '../../../src/kernel-image/kernel-image.ts';
import { buildBzImage } from '../../support/bzimage-builder.ts';
import { bytesOf, le32, patched } from '../../support/elf-builder.ts';

const CODE_START = 1024;

function read(bytes: Uint8Array): BzImage {
  const image = readKernelImage(bytes, { name: 'vmlinuz' });
  if (image.format !== 'bzimage') throw new Error('not a bzImage');
  return image;
}

const codes = (image: BzImage): readonly string[] => image.warnings.map(warning => warning.code);

const gzip = bytesOf([0x1f, 0x8b, 8, 0], new Uint8Array(92), le32(0x1234, 0x56_7890));

describe('before boot protocol 2.08', () => {
  const old = (code: Uint8Array) => read(buildBzImage({ version: 0x0206, code }));

  it('a payload is known by its magic and the length that the linker put in front of it', () => {
    const code = bytesOf(new Uint8Array(48).fill(0x90), le32(gzip.length), gzip, [0x90, 0x90]);
    expect(old(code).payload).toEqual({
      offset: CODE_START + 52,
      length: gzip.length,
      format: 'gzip',
      found: 'magic',
      decodedSize: 0x56_7890,
    });
  });

  it('the first one is taken', () => {
    const xz = bytesOf([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], new Uint8Array(90), le32(4096));
    const code = bytesOf(le32(xz.length), xz, le32(gzip.length), gzip);
    expect(old(code).payload).toMatchObject({ offset: CODE_START + 4, format: 'xz', decodedSize: 4096 });
  });

  it.each([
    ['two bytes of it', bytesOf(le32(90), [0x1f, 0x8b], new Uint8Array(96))],
    ['a length past the end of the file', bytesOf(le32(gzip.length + 1), gzip)],
    ['a length of a few bytes', bytesOf(le32(20), gzip)],
    ['no length', gzip],
  ])('%s is no payload', (_what, code) => {
    expect(old(bytesOf([0xfc, 0xfa, 0, 0], code))).not.toHaveProperty('payload');
  });
});

describe('the decoded size', () => {
  const withPayload = (payload: Uint8Array) =>
    read(
      buildBzImage({
        code: payload,
        fields: [[0x24c, 4, payload.length]],
      }),
    ).payload;

  it('is the last word', () => {
    expect(withPayload(bytesOf([0x28, 0xb5, 0x2f, 0xfd], le32(0x00f8_1000)))?.decodedSize).toBe(0xf81000);
    expect(withPayload(gzip)?.decodedSize).toBe(0x567890);
  });

  it('is the length of what is not compressed', () => {
    expect(withPayload(bytesOf([0x7f, 0x45, 0x4c, 0x46], le32(9)))?.decodedSize).toBe(8);
  });

  it('is not known of an unknown format', () => {
    expect(withPayload(bytesOf([1, 2, 3, 4], le32(9)))).not.toHaveProperty('decodedSize');
  });
});

describe('the CRC32 of the image', () => {
  /** As arch/x86/boot/tools/build.c wrote it: the CRC without its last exclusive-or, over all but the last word. */
  function withCrc(version = 0x020f): Uint8Array {
    const file = buildBzImage({
      version,
      code: bytesOf(new Uint8Array(16).fill(0x90), [0x28, 0xb5, 0x2f, 0xfd], le32(9, 0, 0)),
      fields: [
        [0x248, 4, 16],
        [0x24c, 4, 8],
      ],
    });
    const end = file.length - 4;
    return patched(file, end, le32(~crc32(file.subarray(0, end)) >>> 0));
  }

  it('is right: the CRC over the whole file is then 0', () => {
    const file = withCrc();
    expect(~crc32(file) >>> 0).toBe(0);
    expect(codes(read(file))).toEqual([]);
  });

  it('is wrong: a warning with both values', () => {
    const file = withCrc();
    const end = file.length - 4;
    const changed = patched(file, CODE_START, [0x91]);
    const stored = new DataView(file.buffer).getUint32(end, true).toString(16);
    const computed = (~crc32(changed.subarray(0, end)) >>> 0).toString(16);
    expect(read(changed).warnings).toEqual([
      {
        code: 'image-crc',
        message: `the CRC32 at offset 0x${end.toString(16)} is 0x${stored}, and the bytes before it give 0x${computed}: the file is not as it was built`,
      },
    ]);
  });

  it('does not cover what was appended to the image', () => {
    expect(codes(read(bytesOf(withCrc(), [1, 2, 3, 4])))).toEqual([]);
  });

  it('is not looked for before 2.08, without a payload, and where Linux 6.15 leaves room for it', () => {
    const wrong = (file: Uint8Array) => patched(file, CODE_START, [0x91]);
    expect(codes(read(wrong(withCrc(0x0207))))).toEqual([]);
    expect(codes(read(wrong(patched(withCrc(), 0x24c, le32(0)))))).toEqual([]);
    const file = withCrc();
    expect(codes(read(patched(file, file.length - 4, le32(0))))).toEqual([]);
  });

  it('is not looked at in a file that was signed for Secure Boot', () => {
    const file = patched(withCrc(), CODE_START, [0x91]);
    const pe = 0x80;
    const directory = pe + 24 + 96 + 4 * 8;
    const signed = [
      [0x3c, le32(pe)],
      [pe, bytesOf([0x50, 0x45, 0, 0])],
      [pe + 24, bytesOf([0x0b, 0x01])],
      [directory + 4, le32(0x600)],
    ] as const;
    expect(codes(read(file))).toEqual(['image-crc']);
    expect(codes(read(signed.reduce((bytes, [at, value]) => patched(bytes, at, value), file)))).toEqual([]);
  });
});
