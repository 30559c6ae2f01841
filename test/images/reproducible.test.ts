/** The built images in the repository are what their sources give. */
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, type TestContext, test } from 'vitest';
import {
  type BinutilsVersions,
  buildImages,
  differingImages,
  findBinutils,
  recordedBinutils,
} from '../../images/build.ts';
import { appendCrc32 } from '../../images/bzimage.ts';
import { imageCatalog, imagesFolder } from '../../images/catalog.ts';

function binutils(ctx: TestContext): BinutilsVersions {
  const found = findBinutils();
  if (found) return found;
  const reason = 'as and ld are not installed; Debian has them in the package binutils';
  if (process.env.CI === 'true') throw new Error(reason);
  return ctx.skip(reason);
}

test('building every image gives the bytes in the repository', ctx => {
  const installed = binutils(ctx);
  const recorded = recordedBinutils();
  const differing = differingImages(buildImages());
  const versions = `installed: ${installed.as}, ${installed.ld}; recorded: ${recorded.as}, ${recorded.ld}`;
  expect(differing, versions).toEqual([]);
});

test('two builds give the same bytes', ctx => {
  binutils(ctx);
  expect(buildImages()).toEqual(buildImages());
});

test('no built image names a folder of the machine that built it', () => {
  for (const { name, file } of imageCatalog()) {
    const contents = readFileSync(file, 'latin1');
    expect(contents.includes(tmpdir()), name).toBe(false);
    expect(contents.includes(imagesFolder()), name).toBe(false);
    // A source file is named without a folder, and an object file not at all.
    expect(contents, name).not.toMatch(/\/[\w-]+\.[So]\0/);
  }
});

test('the CRC makes the register over the whole file end at 0', () => {
  // The register of CRC-32 bit by bit: polynomial 0x04C11DB7 reflected, initial value 0xFFFFFFFF, no final inversion.
  const register = (bytes: Uint8Array): number => {
    let crc = 0xffffffff;
    for (const byte of bytes) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
    return crc >>> 0;
  };
  const bytes = new TextEncoder().encode('123456789');
  // The check value of CRC-32/JAMCRC, as this one is called where CRCs are listed.
  expect(register(bytes)).toBe(0x340bc6d9);
  expect(register(appendCrc32(bytes))).toBe(0);
  const image = imageCatalog().find(({ format }) => format === 'bzimage');
  expect(image && register(readFileSync(image.file))).toBe(0);
});
