/** Payloads that are cut, changed, or made to fill memory: an error with a code, or data; never more than the limit. */
import { describe, expect, it, type TestContext } from 'vitest';
import { decodePayload, KernelImageError } from '../../../src/kernel-image/index.ts';
import type { PayloadFormat } from '../../../src/kernel-image/kernel-image.ts';
import { COMPRESSORS, type Compressor, payloadOf, pipe, withSize } from '../../support/compressors.ts';
import { bytesOf, le32, patched } from '../../support/elf-builder.ts';
import { kernelLike, random } from '../../support/kernel-data.ts';

const CONTENTS = kernelLike(60_000, 4);
const LIMIT = 1 << 20;
const OFFSET = 0x5094;

type Outcome = { readonly code: string; readonly message: string } | Uint8Array;

async function outcome(payload: Uint8Array, format: PayloadFormat, limit = LIMIT): Promise<Outcome> {
  try {
    return await decodePayload(payload, format, { limit, name: 'vmlinuz', offset: OFFSET });
  } catch (error) {
    if (!(error instanceof KernelImageError)) throw error;
    return { code: error.code, message: error.message };
  }
}

const made = new Map<PayloadFormat, Uint8Array>();
function original(ctx: TestContext, compressor: Compressor): Uint8Array {
  const payload = made.get(compressor.format) ?? payloadOf(ctx, compressor, CONTENTS);
  made.set(compressor.format, payload);
  return payload;
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** What every outcome has to keep: a code that is known, a sentence that names codec and an offset inside the payload. */
function judge(found: Outcome, format: PayloadFormat, payload: Uint8Array, limit = LIMIT): void {
  if (found instanceof Uint8Array) {
    expect(found.length).toBeLessThanOrEqual(limit);
    return;
  }
  expect(['corrupt-payload', 'payload-too-big']).toContain(found.code);
  expect(found.message).toMatch(/^vmlinuz: the \w+ payload at offset 0x5094 [^\n]*; expected [^\n]*$/);
  expect(found.message).toContain(`the ${format} payload`);
  const at = /is corrupt at offset (0x[0-9a-f]+):/.exec(found.message)?.[1];
  if (found.code === 'corrupt-payload' && at !== undefined) {
    expect(Number(at)).toBeGreaterThanOrEqual(OFFSET);
    expect(Number(at)).toBeLessThanOrEqual(OFFSET + payload.length);
  }
}

/** Formats whose data ends in a checksum of all of it; .lzma and the legacy LZ4 frame have none. */
const CHECKED: readonly PayloadFormat[] = ['gzip', 'bzip2', 'xz', 'lzo', 'zstd'];

for (const compressor of COMPRESSORS) {
  const { format } = compressor;
  describe(`${format}:`, () => {
    it('cut anywhere, it is refused', async ctx => {
      const payload = original(ctx, compressor);
      const lengths = new Set<number>();
      for (let length = 0; length < 64; length++) lengths.add(length);
      for (let part = 1; part < 24; part++) lengths.add(Math.floor((payload.length * part) / 24));
      for (let less = 1; less < 40; less++) lengths.add(payload.length - less);
      for (const length of lengths) {
        const cut = payload.subarray(0, length);
        // The bytes that are now last are some size; with the right one more of the decoder is seen.
        const sized = format === 'gzip' ? cut : withSize(cut, CONTENTS.length);
        for (const bytes of format === 'gzip' ? [cut] : [cut, sized]) {
          if (bytes.length === payload.length && same(bytes, payload)) continue;
          const found = await outcome(bytes, format);
          judge(found, format, bytes);
          if (found instanceof Uint8Array) expect([format, length]).toEqual([format, 'refused']);
        }
      }
    });

    it('with bytes changed, it is refused or decodes within the limit', async ctx => {
      const payload = original(ctx, compressor);
      const next = random(11);
      const bytesThatHurt = [0x00, 0xff, 0x7f, 0x80, 0x01];
      for (let run = 0; run < 500; run++) {
        const changed = payload.slice();
        const edits = 1 + (next() % 4);
        for (let edit = 0; edit < edits; edit++) {
          // Headers and ends are a small part of the bytes, and where the sizes are.
          const region = next() % 3;
          const from = region === 0 ? 0 : region === 1 ? Math.max(0, payload.length - 48) : 0;
          const to = region === 0 ? Math.min(48, payload.length) : payload.length;
          const at = from + (next() % (to - from));
          changed[at] =
            next() & 1
              ? (bytesThatHurt[next() % bytesThatHurt.length] ?? 0)
              : (changed[at] ?? 0) ^ (1 << (next() % 8));
        }
        const found = await outcome(changed, format);
        judge(found, format, changed);
        if (found instanceof Uint8Array && CHECKED.includes(format)) expect(same(found, CONTENTS)).toBe(true);
      }
    });

    it('that says less than it has is refused where that runs out', async ctx => {
      const payload = original(ctx, compressor);
      const size = payload.length - 4;
      const lying = patched(payload, size, le32(CONTENTS.length - 1));
      const found = await outcome(lying, format);
      expect(found).toHaveProperty('code');
      judge(found, format, lying);
    });

    it('that says more than it has is refused', async ctx => {
      const payload = original(ctx, compressor);
      const lying = patched(payload, payload.length - 4, le32(CONTENTS.length + 1));
      expect(await outcome(lying, format)).toMatchObject({ code: 'corrupt-payload' });
    });

    it('that says more than the limit is refused before anything is decoded', async ctx => {
      const payload = original(ctx, compressor);
      expect(await outcome(payload, format, CONTENTS.length - 1)).toEqual({
        code: 'payload-too-big',
        message: `vmlinuz: the ${format} payload at offset 0x5094 says that it decodes to 0x${CONTENTS.length.toString(16)} bytes; expected at most 0x${(CONTENTS.length - 1).toString(16)}`,
      });
    });

    it('a bomb stops at what it says: 64 MiB of zeros that claim to be 4 KiB', async ctx => {
      const zeros = pipe(ctx, compressor.command, compressor.args, new Uint8Array(64 << 20));
      const bomb = format === 'gzip' ? patched(zeros, zeros.length - 4, le32(4096)) : withSize(zeros, 4096);
      const found = await outcome(bomb, format);
      expect(found).toHaveProperty('code');
      judge(found, format, bomb);
    });

    it('with bytes behind its end, it is refused', async ctx => {
      const payload = original(ctx, compressor);
      const end = format === 'gzip' ? payload.length : payload.length - 4;
      const longer = bytesOf(payload.subarray(0, end), [0, 0x5a, 0xff], payload.subarray(end));
      const found = await outcome(longer, format);
      expect(found).toHaveProperty('code');
      judge(found, format, longer);
    });

    it('stops when the signal says so', async ctx => {
      const payload = original(ctx, compressor);
      const stop = new AbortController();
      const decoding = decodePayload(payload, format, {
        signal: stop.signal,
        onProgress: () => stop.abort(new Error('enough')),
      });
      await expect(decoding).rejects.toThrow('enough');
      await expect(decodePayload(payload, format, { signal: stop.signal })).rejects.toThrow('enough');
    });
  });
}

describe('lengths that no compressor writes', () => {
  /** Bits, from strings of 0 and 1. */
  const bits = (...parts: readonly string[]): Uint8Array => {
    const all = parts.join('');
    return Uint8Array.from({ length: Math.ceil(all.length / 8) }, (_, at) =>
      Number.parseInt(all.slice(at * 8, at * 8 + 8).padEnd(8, '0'), 2),
    );
  };
  const word = (value: number, size: number): string => value.toString(2).padStart(size, '0');

  it.each([20, 30, 31, 32, 33, 40, 64])('bzip2: a run of %i digits', async digits => {
    // One byte value, two tables with the codes 0 (RUNA), 10 (RUNB) and 11 (end of the block).
    const table = `${word(1, 5)}0${'100'}0`;
    const payload = bits(
      word(0x425a6839, 32),
      word(0x314159265359, 48),
      word(0, 32 + 1 + 24),
      word(0x8000, 16),
      word(0x8000, 16),
      word(2, 3),
      word(3, 15),
      '000',
      table,
      table,
      '10'.repeat(digits),
      '11',
      word(0, 64),
    );
    const found = await outcome(withSize(payload, 1000), 'bzip2');
    expect(found).toHaveProperty('code');
    judge(found, 'bzip2', payload);
  });

  it.each([
    ['literals', []],
    ['a match', [0x1f, 0x41, 1, 0]],
  ])('lz4: %s of 2 GiB', async (_what, start) => {
    const block = new Uint8Array(8 << 20).fill(0xff);
    block.set(start);
    block[block.length - 2] = 0;
    const payload = bytesOf([2, 0x21, 0x4c, 0x18], le32(block.length), block);
    const found = await outcome(withSize(payload, LIMIT), 'lz4');
    expect(found).toHaveProperty('code');
    judge(found, 'lz4', payload);
  });
});

describe('what the message says', () => {
  const cases: readonly (readonly [PayloadFormat, number, readonly number[], RegExp])[] = [
    ['gzip', 2, [7], /at offset 0x5094: the magic and method are 1f 8b 07; expected 1f 8b 08$/],
    [
      'bzip2',
      0,
      [0x43],
      /at offset 0x5098: the bzip2 data cannot be decoded \(Not bzip data: bad magic\); expected data that can$/,
    ],
    [
      'bzip2',
      4,
      [0x32],
      /at offset 0x509e: the bzip2 data cannot be decoded \(Not bzip data\); expected data that can$/,
    ],
    [
      'bzip2',
      13,
      [1],
      /: the bzip2 data cannot be decoded \(Data error: Bad block CRC \(got [0-9a-f]+ expected [0-9a-f]+\)\); expected data that can$/,
    ],
    ['lzma', 0, [225], /at offset 0x5094: the properties are 225; expected less than 225$/],
    ['lzma', 13, [1], /at offset 0x50a1: the first byte of the data is 1; expected 0$/],
    // The first bit of the data says that a match comes first.
    [
      'lzma',
      14,
      [0xff, 0xff, 0xff, 0xff],
      /: a match goes back to before the first byte; expected it not to$/,
    ],
    ['xz', 60, [0, 1, 2, 3, 4, 5, 6, 7], /the LZMA2 data of a block cannot be decoded \(damaged\)/],
    ['xz', 7, [4], /at offset 0x509c: the CRC32 of the stream header is 0x[0-9a-f]+, and its bytes give/],
    ['lzo', 15, [9], /at offset 0x50a3: the method is 9; expected 1 to 3, LZO1X$/],
    ['lz4', 0, [3], /at offset 0x5094: the magic is 0x184c2103; expected 0x184c2102, a legacy frame$/],
    ['zstd', 4, [1], /at offset 0x5098: the frame needs a dictionary; expected none$/],
    [
      'zstd',
      4,
      [0, 0xa8],
      /at offset 0x5099: the frame needs a window of 0x80000000 bytes; expected at most 0x7fe00000$/,
    ],
  ];
  for (const [format, at, bytes, expected] of cases) {
    it(`${format}, changed at ${at}`, async ctx => {
      const compressor = COMPRESSORS.find(one => one.format === format);
      if (compressor === undefined) throw new Error(`no compressor for ${format}`);
      const found = await outcome(patched(original(ctx, compressor), at, bytes), format);
      expect(found).toMatchObject({ code: 'corrupt-payload', message: expect.stringMatching(expected) });
    });
  }

  it('an unknown format', async () => {
    expect(await outcome(bytesOf([1, 2, 3, 4, 5, 6, 7, 8]), 'unknown')).toEqual({
      code: 'payload-format',
      message:
        'vmlinuz: the payload at offset 0x5094 starts with 01 02 03 04; expected the magic of gzip, bzip2, LZMA, xz, LZO, LZ4, Zstandard or ELF',
    });
  });

  it('a payload without a size word', async () => {
    expect(await outcome(bytesOf([0x28, 0xb5, 0x2f]), 'zstd')).toEqual({
      code: 'corrupt-payload',
      message:
        'vmlinuz: the zstd payload at offset 0x5094 has 3 bytes; expected more, with the decoded size at its end',
    });
  });
});
