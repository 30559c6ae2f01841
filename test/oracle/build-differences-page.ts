/** Writes docs/differences.md; `npm run docs`. */
import { writeFileSync } from 'node:fs';
import { differencesPage } from './differences-page.ts';

/** From dist/test/oracle/ to the checkout. */
writeFileSync(new URL('../../../docs/differences.md', import.meta.url), differencesPage());
