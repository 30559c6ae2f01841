/** From a bzImage to its kernel proper, and the cache between two runs. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadImage, unpackKernel } from '../src/index.ts';
import { KernelImageError } from '../src/kernel-image/index.ts';
import type { BzImage } from '../src/kernel-image/kernel-image.ts';
import { CACHE_SIZE } from '../src/payload-cache.ts';
import { buildBzImage } from './support/bzimage-builder.ts';
import { buildElf, bytesOf, le32 } from './support/elf-builder.ts';

const vmlinux = bytesOf(
  buildElf({ entry: 0x1000000, segments: [{ physical: 0x1000000, contents: Uint8Array.of(0xfc, 0xfa) }] }),
  le32(0, 0x1000000),
);

function bzImage(
  payload: Uint8Array,
  extra: readonly (readonly [number, 1 | 2 | 4 | 8, number])[] = [],
): Uint8Array {
  return buildBzImage({
    code: payload,
    fields: [[0x24c, 4, payload.length], [0x234, 1, 1], [0x258, 8, 0x1000000], ...extra],
  });
}

const packed = bzImage(gzipSync(vmlinux));

async function read(bytes: Uint8Array): Promise<BzImage> {
  const image = await loadImage(bytes, { name: 'vmlinuz' });
  if (image.format !== 'bzimage') throw new Error('not a bzImage');
  return image;
}

let cache = '';
const folder = () => join(cache, 'startup32', 'payloads');
const entries = (): readonly string[] => (existsSync(folder()) ? readdirSync(folder()) : []);

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'startup32-cache-'));
  vi.stubEnv('XDG_CACHE_HOME', cache);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(cache, { recursive: true, force: true });
});

async function code(run: Promise<unknown>): Promise<string> {
  try {
    await run;
  } catch (error) {
    if (error instanceof KernelImageError) return error.code;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('unpackKernel', () => {
  it('gives the kernel proper, and leaves nothing behind unless it is asked to', async () => {
    const kernel = await unpackKernel(await read(packed));
    expect(kernel).toMatchObject({ entry: 0x1000000, name: 'vmlinuz (kernel proper)' });
    expect(kernel.container).toMatchObject({ payload: 'gzip', size: packed.length });
    expect(entries()).toEqual([]);
  });

  it('is what loadImage gives with payload', async () => {
    const kernel = await loadImage(packed, { payload: true, name: 'vmlinuz' });
    expect(kernel).toEqual(await unpackKernel(await read(packed)));
    expect(await code(loadImage(packed, { payload: { limit: 16 } }))).toBe('payload-too-big');
    expect(await code(loadImage(vmlinux, { payload: true }))).toBe('no-payload');
  });

  it('says that there is nothing to unpack', async () => {
    expect(await code(unpackKernel(await read(buildBzImage())))).toBe('no-payload');
    expect(await code(unpackKernel(await read(bzImage(Uint8Array.of(1, 2, 3, 4)))))).toBe('payload-format');
  });

  it('does not decode a 64-bit kernel: xloadflags says enough', async () => {
    const image = await read(bzImage(gzipSync(vmlinux), [[0x236, 2, 1]]));
    expect(await code(unpackKernel(image))).toBe('elf64');
  });

  it('says where in the file a payload is corrupt', async () => {
    const bytes = packed.slice();
    bytes[1024 + 2] = 7;
    await expect(unpackKernel(await read(bytes))).rejects.toThrow(
      'vmlinuz: the gzip payload at offset 0x400 is corrupt at offset 0x400: the magic and method are 1f 8b 07; expected 1f 8b 08',
    );
  });

  it('stops when the signal says so', async () => {
    const image = await read(packed);
    await expect(unpackKernel(image, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough',
    );
  });
});

describe('the cache', () => {
  const unpack = async (limit?: number) =>
    unpackKernel(await read(packed), { cache: true, ...(limit !== undefined && { limit }) });
  const entryPath = () => join(folder(), entries()[0] ?? 'none');

  it('has one entry for each bzImage, named by its SHA-256, and gives the same kernel', async () => {
    const first = await unpack();
    const image = await read(packed);
    expect(entries()).toEqual([`${image.sha256}.payload`]);
    expect(await unpack()).toEqual(first);
  });

  it('is read: what it holds need not be decoded', async () => {
    await unpack();
    const decoded: number[] = [];
    await unpackKernel(await read(packed), { cache: true, onProgress: done => decoded.push(done) });
    expect(decoded).toEqual([]);
  });

  it.each([
    ['changed', (path: string) => writeFileSync(path, flipLast(readFileSync(path)))],
    ['cut', (path: string) => truncateSync(path, 60)],
    ['empty', (path: string) => truncateSync(path, 0)],
    ['of another layout', (path: string) => writeFileSync(path, bytesOf(le32(1), new Uint8Array(200)))],
    [
      'a directory',
      (path: string) => {
        rmSync(path);
        mkdirSync(path);
      },
    ],
    [
      'a pipe without a writer',
      (path: string) => {
        rmSync(path);
        execFileSync('mkfifo', [path]);
      },
    ],
  ])('an entry that is %s is as if it were not there', async (_what, damage) => {
    const first = await unpack();
    damage(entryPath());
    expect(await unpack()).toEqual(first);
    expect(entries().filter(name => !name.endsWith('.payload'))).toEqual([]);
  });

  it('of more than the limit is not read', async () => {
    await unpack();
    expect(await code(unpack(vmlinux.length - 1))).toBe('payload-too-big');
  });

  it('that cannot be written is no error', async () => {
    writeFileSync(join(cache, 'startup32'), 'a file where the directory should be');
    expect((await unpack()).entry).toBe(0x1000000);
  });

  it('takes two writers at once', async () => {
    const [one, two] = await Promise.all([unpack(), unpack()]);
    expect(one).toEqual(two);
    expect(entries().length).toBe(1);
    expect(await unpack()).toEqual(one);
  });

  it('drops what was not used for the longest time when there is too much', async () => {
    mkdirSync(folder(), { recursive: true });
    const add = (name: string, size: number, day: number) => {
      const path = join(folder(), name);
      writeFileSync(path, '');
      truncateSync(path, size);
      utimesSync(path, new Date(2020, 0, day), new Date(2020, 0, day));
    };
    add('old.payload', 1000, 1);
    add('left.payload.123', 1000, 2);
    add('large.payload', CACHE_SIZE - 100_000, 3);
    add('not-ours', 1000, 1);
    await unpack();
    const image = await read(packed);
    expect([...entries()].sort()).toEqual(
      [`${image.sha256}.payload`, 'large.payload', 'left.payload.123', 'not-ours', 'old.payload'].sort(),
    );
    add('larger.payload', 200_000, 4);
    rmSync(join(folder(), `${image.sha256}.payload`));
    await unpack();
    expect([...entries()].sort()).toEqual([`${image.sha256}.payload`, 'larger.payload', 'not-ours'].sort());
  });

  it('keeps no copy of what is not compressed', async () => {
    await unpackKernel(await read(bzImage(vmlinux)), { cache: true });
    expect(entries()).toEqual([]);
  });
});

function flipLast(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
  return copy;
}
