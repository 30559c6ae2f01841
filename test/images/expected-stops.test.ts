/** Every image stops where its page says, under every protocol that the page shows, on every engine. */
import { describe, expect, test } from 'vitest';
import { expectationTitle, imageCatalog } from '../../images/catalog.ts';
import { describeEachEngine } from '../support/engines.ts';
import { comparable, runExpectation } from './run-expectation.ts';

describeEachEngine('images', engine => {
  for (const image of imageCatalog()) {
    describe(image.name, () => {
      for (const expectation of image.expected) {
        test(expectationTitle(expectation), async () => {
          const { stop, serial } = runExpectation(await engine.load(), image, expectation);
          const { actual, wanted } = comparable(stop, expectation.stop);
          expect(actual).toEqual(wanted);
          expect(stop.counted).toBe(true);
          expect(serial).toBe(expectation.serial ?? '');
        });
      }
    });
  }
});
