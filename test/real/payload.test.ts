/** Payloads of real kernels, against what the decompressor that the kernel's build would use makes of them. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decodePayload, readKernelProper, relocate } from '../../src/kernel-image/index.ts';
import type { BzImage } from '../../src/kernel-image/kernel-image.ts';
import { pipe } from '../support/compressors.ts';
import { REAL_INPUTS, type RealInput, realImage } from '../support/real-input.ts';

const KERNELS: readonly RealInput[] = ['debian kernel', 'debian pae kernel', 'debian 11 pae kernel'];

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function payloadBytes(image: BzImage): Uint8Array {
  const start = (image.payload?.offset ?? 0) - image.protectedModeOffset;
  const code = image.segments[0]?.contents ?? new Uint8Array(0);
  return code.subarray(start, start + (image.payload?.length ?? 0));
}

describe.each(KERNELS)('%s', input => {
  it('has an xz payload that decodes to what xz decodes it to', async ctx => {
    const image = realImage(ctx, input);
    if (image.format !== 'bzimage') throw new Error(`${image.name} is no bzImage`);
    expect(image.payload).toMatchObject({ format: 'xz', found: 'header' });
    const payload = payloadBytes(image);
    const decoded = await decodePayload(payload, 'xz');
    // xz takes no size word.
    const expected = pipe(ctx, 'xz', ['-dc'], payload.subarray(0, payload.length - 4));
    expect(decoded.length).toBe(image.payload?.decodedSize);
    expect(hash(decoded)).toBe(hash(expected));

    const kernel = readKernelProper(image, decoded);
    expect(kernel.sha256).toBe(hash(expected));
    expect(kernel.entry).toBe(image.setup.prefAddress);
    expect(kernel.symbolSource).toBe('kallsyms');
    expect(kernel.relocations?.linkedAt).toBe(image.setup.prefAddress);
    // Every function that calls another through memory, every string and table: hundreds of thousands.
    expect(kernel.relocations?.words.length).toBeGreaterThan(100_000);

    const by = 2 * image.setup.kernelAlignment;
    const moved = relocate(kernel, kernel.entry + by);
    const back = relocate(moved, kernel.entry);
    kernel.segments.forEach((segment, index) => {
      expect(hash(moved.segments[index]?.contents ?? new Uint8Array(0))).not.toBe(hash(segment.contents));
      expect(hash(back.segments[index]?.contents ?? new Uint8Array(0))).toBe(hash(segment.contents));
    });
  });
});

describe.each(REAL_INPUTS)('%s', input => {
  it('has the CRC32 that it was built with, or none', ctx => {
    expect(realImage(ctx, input).warnings.filter(warning => warning.code === 'image-crc')).toEqual([]);
  });
});

describe.each(['memtest86+ ia32', 'memtest86+ x64'] as const)('%s', input => {
  it('has no payload', ctx => {
    expect(realImage(ctx, input)).not.toHaveProperty('payload');
  });
});
