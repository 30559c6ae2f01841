/** The stub's gunzip in the Machine against node:zlib, which makes the streams. */
import { constants, gunzipSync, gzipSync, type ZlibOptions } from 'node:zlib';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { readKernelImage } from '../../src/kernel-image/index.ts';
import { crc32 } from '../../src/kernel-image/payload/codecs/checksums.ts';
import { wrapKernel } from '../../src/wrap/wrap.ts';
import { describeEachEngine } from '../support/engines.ts';
import { ENTRY, kernelWith, noise, start } from './wrapped.ts';

const DATA = 0x300000;
const MIB = 1 << 20;

const text = (size: number): Uint8Array =>
  new TextEncoder().encode(
    Array.from({ length: Math.ceil(size / 32) }, (_, i) =>
      `line ${i * 7919} of a text, `.padEnd(32, 'abc'),
    ).join(''),
  );

/** Which of the three kinds of blocks a stream starts with: RFC 1951, 3.2.3. */
const firstBlock = (gzip: Uint8Array): number => ((gzip[10] ?? 0) >> 1) & 3;

describeEachEngine('the gunzip of the stub', engine => {
  let library: UnicornLibrary;
  beforeAll(async () => {
    library = await engine.load();
  });

  /** Wraps a kernel with this data in a segment, and gives what stands in memory at the kernel's entry. */
  async function unpacked(
    data: Uint8Array,
    options: ZlibOptions,
  ): Promise<{ gzip: Uint8Array; found: Uint8Array }> {
    const kernel = kernelWith({ physical: DATA, contents: data });
    const gzip = new Uint8Array(gzipSync(kernel, options));
    const image = await wrapKernel(kernel, { payload: gzip });
    return start(library, image, 'contract', {}, ENTRY, ({ stop, memory }) => {
      expect(stop.kind).toBe('reached');
      return { gzip, found: memory(DATA, data.length) };
    });
  }

  const equal = (found: Uint8Array, data: Uint8Array): void =>
    expect(Buffer.compare(found, data), 'the bytes in memory').toBe(0);

  it('copies stored blocks', async () => {
    const data = noise(100_000, 1);
    const { gzip, found } = await unpacked(data, { level: 0 });
    expect(firstBlock(gzip)).toBe(0);
    equal(found, data);
  });

  it('decodes blocks with fixed codes', async () => {
    const data = text(100_000);
    const { gzip, found } = await unpacked(data, { strategy: constants.Z_FIXED });
    expect(firstBlock(gzip)).toBe(1);
    equal(found, data);
  });

  it('decodes blocks with codes of their own', async () => {
    const data = text(100_000);
    const { gzip, found } = await unpacked(data, { level: 9 });
    expect(firstBlock(gzip)).toBe(2);
    equal(found, data);
  });

  it.each([
    ['random', noise(MIB, 2), {}],
    ['structured', text(MIB), {}],
    ['all alike', new Uint8Array(MIB / 4).fill(0x41), { level: 9 }],
    ['random, without copies', noise(MIB / 8, 3), { strategy: constants.Z_HUFFMAN_ONLY }],
    ['runs', Uint8Array.from({ length: MIB / 8 }, (_, i) => i >> 7), { strategy: constants.Z_RLE }],
  ] satisfies [string, Uint8Array, ZlibOptions][])('decodes much data: %s', async (_name, data, options) => {
    const { found } = await unpacked(data, options);
    equal(found, data);
  });

  it('copies from as far back as 32 KiB, across the end of its window', async () => {
    const block = noise(32768 - 300, 4);
    const data = new Uint8Array(5 * 32768);
    for (let at = 0; at < data.length; at += block.length + 13) {
      data.set(block.subarray(0, data.length - at), at);
    }
    const { found } = await unpacked(data, { level: 9, windowBits: 15 });
    equal(found, data);
  });

  it('decodes what any setting of the compressor gives', async () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 3000 }),
      fc.tuple(fc.nat(255), fc.nat(40_000)).map(([byte, size]) => new Uint8Array(size).fill(byte)),
      fc.tuple(fc.nat(), fc.nat(9000)).map(([seed, size]) => noise(size, seed + 1)),
      fc.nat(20_000).map(text),
    );
    const settings = fc.record({
      level: fc.integer({ min: 0, max: 9 }),
      memLevel: fc.integer({ min: 1, max: 9 }),
      windowBits: fc.integer({ min: 9, max: 15 }),
      strategy: fc.integer({ min: 0, max: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 5 }), settings, async (pieces, options) => {
        const data = new Uint8Array(Buffer.concat(pieces));
        fc.pre(data.length > 0);
        const { found } = await unpacked(data, options);
        equal(found, data);
      }),
      { seed: 1, numRuns: 15 },
    );
  });

  it('reads the optional fields of a gzip header', async () => {
    const kernel = kernelWith({ physical: DATA, contents: text(1000) });
    const plain = gzipSync(kernel);
    const extra = Buffer.from([3, 0, 1, 2, 3]);
    const header = Buffer.concat([plain.subarray(0, 10), extra, Buffer.from('vmlinux\0a comment\0')]);
    header[3] = 4 | 8 | 16;
    const payload = new Uint8Array(Buffer.concat([header, plain.subarray(10)]));
    const image = await wrapKernel(kernel, { payload });
    start(library, image, 'contract', {}, ENTRY, ({ stop }) => expect(stop.kind).toBe('reached'));
  });

  describe('on a payload that is damaged', () => {
    /** Changes the payload after it was wrapped, and starts the image in ring 0, where the stub has a serial port. */
    async function damaged(change: (payload: Uint8Array) => void, size = 5000): Promise<string> {
      const image = await wrapKernel(kernelWith({ physical: DATA, contents: noise(size, 5) }));
      const { payload } = readKernelImage(image, { name: 'x' }) as {
        payload?: { offset: number; length: number };
      };
      if (payload === undefined) throw new Error('no payload');
      change(image.subarray(payload.offset, payload.offset + payload.length));
      return start(library, image, 'pc', {}, ENTRY, ({ stop, serial }) => {
        expect(stop.kind).toBe('halt');
        return serial;
      });
    }

    it.each([
      ['the CRC', 8],
      ['the size', 4],
    ])('says that %s is wrong', async (_name, fromEnd) => {
      const message = await damaged(payload => {
        payload[payload.length - fromEnd] = (payload.at(-fromEnd) ?? 0) ^ 1;
      });
      expect(message).toBe('startup32 wrap: the gzip payload has a wrong CRC or size\r\n');
    });

    it('says that a block is of no known kind', async () => {
      const message = await damaged(payload => {
        payload[10] = 0x07;
      });
      expect(message).toBe('startup32 wrap: the gzip payload is corrupt\r\n');
    });

    it('says that the data ends too early', async () => {
      // Stored blocks up to the end, the last of which never comes.
      const message = await damaged(payload => {
        const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
        for (let at = 10; at + 5 < payload.length; ) {
          const size = Math.min(1000, payload.length - at - 5);
          view.setUint8(at, 0);
          view.setUint16(at + 1, size, true);
          view.setUint16(at + 3, ~size & 0xffff, true);
          at += 5 + size;
        }
      });
      expect(message).toBe('startup32 wrap: the gzip payload ends too early\r\n');
    });

    it('never reaches the kernel, whatever byte is another', async () => {
      await fc.assert(
        fc.asyncProperty(fc.nat(5000), fc.integer({ min: 1, max: 255 }), async (at, change) => {
          const message = await damaged(payload => {
            const place = 10 + (at % (payload.length - 10));
            payload[place] = (payload[place] ?? 0) ^ change;
          });
          expect(message).toMatch(
            /^startup32 wrap: the gzip payload (is corrupt|ends too early|has a wrong CRC or size)\r\n$/,
          );
        }),
        { seed: 2, numRuns: 15 },
      );
    });
  });
});

it('gzip of the kernel: no name, no time, the CRC and size of RFC 1952', async () => {
  const kernel = kernelWith({ physical: DATA, contents: text(5000) });
  const image = await wrapKernel(kernel);
  const { payload } = readKernelImage(image, { name: 'x' }) as {
    payload?: { offset: number; length: number };
  };
  const gzip = Buffer.from(image.subarray(payload?.offset, (payload?.offset ?? 0) + (payload?.length ?? 0)));
  expect([...gzip.subarray(0, 8)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
  expect(gzip.readUInt32LE(gzip.length - 8)).toBe(crc32(kernel));
  expect(gzip.readUInt32LE(gzip.length - 4)).toBe(kernel.length);
  expect(gunzipSync(gzip).equals(kernel)).toBe(true);
});
