/** Whatever stands in an image: it is refused with a typed error, or it runs to a Stop, the same on both engines. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PROTOCOLS, ProtocolError } from '../../boot-protocols/index.ts';
import { Machine } from '../../emulator/machine.ts';
import { EngineError } from '../../emulator/unicorn/errors.ts';
import { imageCatalog } from '../../images/catalog.ts';
import { KernelImageError, readKernelImage } from '../../src/kernel-image/index.ts';
import { engines } from '../support/engines.ts';

const MIB = 1024 * 1024;
const BUDGET = 3000;
const SEED = 32;

const images = imageCatalog().map(image => ({
  name: image.name,
  bytes: new Uint8Array(readFileSync(image.file)),
}));

/** Most bytes of an image are padding: the headers, and the code, are where it matters. */
const mutation = fc.record({
  place: fc.oneof(fc.nat(0x100), fc.integer({ min: 0x1000, max: 0x1200 }), fc.nat(0xffff)),
  bytes: fc.array(fc.oneof(fc.nat(0xff), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)), {
    minLength: 1,
    maxLength: 8,
  }),
});
const cut = fc.oneof(
  { weight: 9, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.nat(0xffff) },
);

it('a mutated image is refused with a typed error, or runs to the same Stop on every engine', async () => {
  const libraries = await Promise.all(engines.map(engine => engine.load()));
  let stops = 0;
  let refused = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...images),
      fc.array(mutation, { minLength: 1, maxLength: 4 }),
      cut,
      fc.constantFrom(...PROTOCOLS),
      (image, mutations, length, protocol) => {
        const bytes = image.bytes.slice(0, length === undefined ? undefined : length % image.bytes.length);
        for (const { place, bytes: written } of mutations) {
          const at = place % Math.max(bytes.length, 1);
          bytes.set(written.slice(0, bytes.length - at), at);
        }
        try {
          const entry = protocol.entryState(readKernelImage(bytes, { name: image.name }), {
            memory: 4 * MIB,
          });
          const [first, ...others] = libraries.map(library => {
            using machine = Machine.open(library, entry);
            return machine.run({ instructions: BUDGET });
          });
          expect(first?.instructions).toBeLessThanOrEqual(BUDGET);
          for (const other of others) if (first?.kind !== 'engine-limit') expect(other).toEqual(first);
          stops++;
        } catch (error) {
          const typed =
            error instanceof KernelImageError ||
            error instanceof ProtocolError ||
            error instanceof EngineError;
          if (!typed) throw error;
          refused++;
        }
      },
    ),
    { numRuns: 600, seed: SEED },
  );
  // The seed is fixed, so that this says something about the images and not about luck.
  expect(stops).toBeGreaterThan(100);
  expect(refused).toBeGreaterThan(50);
});
