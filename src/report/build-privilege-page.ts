/** Writes docs/privilege.md; `npm run docs`. */
import { writeFileSync } from 'node:fs';
import { privilegePage } from './privilege-page.ts';

/** From dist/src/report/ to the checkout. */
writeFileSync(new URL('../../../docs/privilege.md', import.meta.url), privilegePage());
