/** Every codec, on payloads made by the program with which a kernel's build makes them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodePayload, detectPayloadFormat } from '../../../src/kernel-image/index.ts';
import type { PayloadFormat } from '../../../src/kernel-image/kernel-image.ts';
import { COMPRESSORS, payloadOf, pipe, withSize } from '../../support/compressors.ts';
import { kernelLike, random } from '../../support/kernel-data.ts';

const MIB = 1 << 20;

/** The machine code of this repository's images, several times over. */
function realCode(size: number): Uint8Array {
  const folder = new URL('../../../images/', import.meta.url).pathname;
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(name =>
    name.endsWith('.elf'),
  );
  const all = Buffer.concat(files.sort().map(name => readFileSync(join(folder, name))));
  const out = new Uint8Array(size);
  for (let at = 0; at < size; at += all.length) out.set(all.subarray(0, size - at), at);
  return out;
}

/** Nothing to compress: what a compressor stores as it is. */
function noise(size: number): Uint8Array {
  const next = random(7);
  return Uint8Array.from({ length: size }, () => next());
}

const CONTENTS: readonly (readonly [string, Uint8Array])[] = [
  ['2 MiB like a kernel', kernelLike(2 * MIB)],
  ['code of the images', realCode(MIB)],
  ['noise', noise(300_000)],
  ['zeros', new Uint8Array(2 * MIB)],
  ['nothing', new Uint8Array(0)],
  ['one byte', Uint8Array.of(0xfc)],
  ['four bytes', Uint8Array.of(0xe8, 1, 2, 3)],
  ['a call', Uint8Array.of(0xe8, 1, 2, 3, 0)],
  ['a run of 4', new Uint8Array(4).fill(0x41)],
  ['a run of 259', new Uint8Array(259).fill(0x41)],
];

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** The decoded payload equals `contents`; progress only grows and ends with all. */
async function decodes(payload: Uint8Array, format: PayloadFormat, contents: Uint8Array): Promise<void> {
  const seen: number[] = [];
  const decoded = await decodePayload(payload, format, {
    onProgress: (done, total) => {
      expect(total).toBe(contents.length);
      seen.push(done);
    },
  });
  expect(decoded.length).toBe(contents.length);
  expect(same(decoded, contents)).toBe(true);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
}

for (const compressor of COMPRESSORS) {
  const { format, command, args } = compressor;
  describe(`${format}, by ${command} ${args.join(' ')}`, () => {
    for (const [what, contents] of CONTENTS) {
      it(what, async ctx => {
        const payload = payloadOf(ctx, compressor, contents);
        expect(detectPayloadFormat(payload)).toBe(format);
        await decodes(payload, format, contents);
      });
    }
  });
}

describe('other settings of the same programs', () => {
  const contents = kernelLike(MIB, 2);
  const large = kernelLike(9 * MIB, 3);
  const settings: readonly (readonly [PayloadFormat, string, Uint8Array])[] = [
    ['gzip', 'gzip -1', contents],
    ['gzip', 'gzip -9 --name', contents],
    ['bzip2', 'bzip2 -1', contents],
    ['lzma', 'xz --format=lzma -0', contents],
    ['lzma', 'xz --format=lzma --lzma1=lc=0,lp=2,pb=0', contents],
    ['lzma', 'xz --format=lzma --lzma1=lc=4,lp=0,pb=4', contents],
    ['xz', 'xz --check=none', contents],
    ['xz', 'xz --check=crc64', contents],
    ['xz', 'xz --check=crc64 --x86 --lzma2', contents],
    ['xz', 'xz --check=crc32 --x86=start=4096 --lzma2', contents],
    ['xz', 'xz --check=crc32 --block-size=200000 --x86 --lzma2', contents],
    ['xz', 'xz -T2 --check=crc32 --block-size=300000 --x86 --lzma2', contents],
    ['lzo', 'lzop -1', contents],
    ['lzo', 'lzop -3 --crc32', contents],
    ['lzo', 'lzop -9 --no-checksum', contents],
    ['lz4', 'lz4 -l -1 -c -q', contents],
    ['lz4', 'lz4 -l -1 -c -q', large],
    ['zstd', 'zstd -q -1', contents],
    ['zstd', 'zstd -q --no-check', contents],
    ['zstd', 'zstd -q --long=27', contents],
  ];
  for (const [format, line, input] of settings) {
    it(`${line}, ${input.length} bytes`, async ctx => {
      const [command = '', ...args] = line.split(' ');
      const packed = pipe(ctx, command, args, input);
      await decodes(format === 'gzip' ? packed : withSize(packed, input.length), format, input);
    });
  }
});

describe('decoders that cannot wait', () => {
  const contents = kernelLike(3 * MIB, 5);
  for (const compressor of COMPRESSORS.filter(({ format }) => format === 'bzip2' || format === 'lzma')) {
    it(`${compressor.format}: progress on the way, and an end when the signal says so`, async ctx => {
      const payload = payloadOf(ctx, compressor, contents);
      const seen: number[] = [];
      await decodePayload(payload, compressor.format, { onProgress: done => void seen.push(done) });
      expect(seen.filter(done => done > 0 && done < contents.length).length).toBeGreaterThan(0);

      const stop = new AbortController();
      const onProgress = (done: number): void => {
        expect(done).toBeLessThan(contents.length);
        if (done > 0) stop.abort(new Error('enough'));
      };
      await expect(
        decodePayload(payload, compressor.format, { onProgress, signal: stop.signal }),
      ).rejects.toThrow('enough');
    });
  }
});

describe('an uncompressed payload', () => {
  it('is what it is', async () => {
    const contents = kernelLike(1000);
    await decodes(contents, 'elf', contents);
  });
});
