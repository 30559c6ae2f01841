/** Writes docs/privilege.md; `npm run docs`. */
import { writeFileSync } from 'node:fs';
import { privilegePage } from './page.ts';

/** From dist/src/report/rules/ to the checkout. */
writeFileSync(new URL('../../../../docs/privilege.md', import.meta.url), privilegePage());
