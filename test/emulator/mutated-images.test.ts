/** Whatever stands in an image: it is refused with a typed error, or it runs to a Stop, the same on both engines. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PROTOCOLS, ProtocolError } from '../../boot-protocols/index.ts';
import { readEntryMemory } from '../../emulator/entry-memory.ts';
import { Machine } from '../../emulator/machine.ts';
import { EngineError } from '../../emulator/unicorn/errors.ts';
import { imageCatalog } from '../../images/catalog.ts';
import { KernelImageError, readKernelImage } from '../../src/kernel-image/index.ts';
import { stateReport } from '../../src/report/state/json.ts';
import { stateText } from '../../src/report/state/text.ts';
import { unpackKernel } from '../../src/unpack.ts';
import { wrapKernel } from '../../src/wrap/wrap.ts';
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

/** Fields of a bzImage's setup header: offset and bytes (Documentation/x86/boot.rst). */
const SETUP_FIELDS = [
  ...[
    [0x1f1, 1],
    [0x1f4, 4],
    [0x1fe, 2],
    [0x202, 4],
    [0x206, 2],
    [0x210, 1],
    [0x211, 1],
    [0x214, 4],
    [0x218, 4],
  ],
  ...[
    [0x21c, 4],
    [0x224, 2],
    [0x228, 4],
    [0x22c, 4],
    [0x230, 4],
    [0x234, 1],
    [0x235, 1],
    [0x236, 2],
    [0x238, 4],
  ],
  ...[
    [0x23c, 4],
    [0x240, 4],
    [0x248, 4],
    [0x24c, 4],
    [0x250, 4],
    [0x258, 4],
    [0x260, 4],
    [0x264, 4],
  ],
] as const;
/** Of an ELF header and its first program header (gABI ch. 4 and 5). */
const ELF_FIELDS = [
  ...[
    [0, 4],
    [4, 1],
    [16, 2],
    [18, 2],
    [24, 4],
    [28, 4],
    [32, 4],
    [42, 2],
    [44, 2],
    [46, 2],
    [48, 2],
    [50, 2],
  ],
  ...[
    [52, 4],
    [56, 4],
    [60, 4],
    [64, 4],
    [68, 4],
    [72, 4],
    [76, 4],
    [80, 4],
  ],
] as const;
const extreme = fc.constantFrom(
  ...[0, 1, 2, 4, 0xff, 0xfff, 0x1000, 0x1001, 0xffff, 0x10000, 0x100000, 0x1000000],
  ...[0x7fffffff, 0x80000000, 0xc0000000, 0xfffff000, 0xfffffffc, 0xffffffff],
);

const kernel = images.find(({ name }) => name === 'xen-hello')?.bytes ?? new Uint8Array(0);
const wrapped = await Promise.all(
  (['none', 'gzip'] as const).map(compress =>
    wrapKernel(kernel, { compress, elfHeader: true, notes: 'keep' }),
  ),
);

/** Where in a bzImage of ours a change matters: its header, the ELF header in front, the payload and its end. */
const field = (image: Uint8Array): fc.Arbitrary<readonly [number, number]> => {
  const view = new DataView(image.buffer, image.byteOffset);
  const payload = ((image[0x1f1] ?? 0) + 1) * 512 + view.getUint32(0x248, true);
  const end = payload + view.getUint32(0x24c, true);
  return fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...SETUP_FIELDS).map(([at, size]) => [at, size] as const) },
    { weight: 1, arbitrary: fc.constantFrom(...ELF_FIELDS).map(([at, size]) => [at, size] as const) },
    {
      weight: 2,
      arbitrary: fc.constantFrom(...ELF_FIELDS).map(([at, size]) => [payload + at, size] as const),
    },
    { weight: 1, arbitrary: fc.integer({ min: payload, max: end - 1 }).map(at => [at, 1] as const) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 4 }).map(n => [end - 4 * n, 4] as const) },
  );
};

it('a bzImage with extreme fields is refused, with and without its payload, or runs to the same Stop', async () => {
  const libraries = await Promise.all(engines.map(engine => engine.load()));
  const damaged = fc.constantFrom(...wrapped).chain(image =>
    fc
      .array(fc.tuple(field(image), fc.oneof(extreme, fc.nat(0xffffffff))), { minLength: 1, maxLength: 3 })
      .map(changes => {
        const bytes = image.slice();
        for (const [[at, size], value] of changes)
          for (let i = 0; i < size; i++) bytes[at + i] = Math.floor(value / 2 ** (8 * i));
        return bytes;
      }),
  );
  let stops = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(
      damaged,
      fc.constantFrom(...PROTOCOLS),
      fc.boolean(),
      async (bytes, protocol, unpacks) => {
        try {
          const read = readKernelImage(bytes, { name: 'damaged' });
          const image =
            read.format === 'bzimage' && (unpacks || protocol.unpacks)
              ? await unpackKernel(read, { limit: 8 * MIB })
              : read;
          const entry = protocol.entryState(image, { memory: 4 * MIB });
          stateText(stateReport(entry, image), { all: true });
          const ends = libraries.map(library => {
            using machine = Machine.open(library, entry);
            for (const { start, size } of entry.paging.mode === 'off' ? entry.regions : []) {
              expect(
                Buffer.compare(machine.readMemory(start, size), readEntryMemory(entry, start, size)),
              ).toBe(0);
            }
            return machine.run({ instructions: BUDGET });
          });
          if (ends.every(({ kind }) => kind !== 'engine-limit'))
            for (const end of ends) expect(end).toEqual(ends[0]);
          stops++;
        } catch (error) {
          if (!(error instanceof KernelImageError || error instanceof ProtocolError)) throw error;
          expect(error.message).not.toContain('\n');
          refused++;
        }
      },
    ),
    { numRuns: 250, seed: SEED },
  );
  expect(stops).toBeGreaterThan(40);
  expect(refused).toBeGreaterThan(60);
});
