/** The same run gives the same Stop on both engines: every field, every byte. */
import { describe, expect, test } from 'vitest';
import { loadUnicorn } from '../../emulator/unicorn/load.ts';
import { expectationTitle, imageCatalog } from '../../images/catalog.ts';
import { runExpectation } from './run-expectation.ts';

for (const image of imageCatalog()) {
  describe(image.name, () => {
    for (const expectation of image.expected) {
      test(expectationTitle(expectation), async ctx => {
        const native = await loadUnicorn({ engine: 'libunicorn' }).catch((error: Error) => error);
        if (native instanceof Error) {
          if (process.env.CI === 'true') throw native;
          return ctx.skip(native.message);
        }
        const onNative = runExpectation(native, image, expectation);
        const onEmbedded = runExpectation(await loadUnicorn({ engine: 'unicorn.js' }), image, expectation);
        expect(onEmbedded).toEqual(onNative);
      });
    }
  });
}
