/** Writes docs/systems.md; `npm run docs`. */
import { writeFileSync } from 'node:fs';
import { systemsPage } from './page.ts';

/** From dist/test/real/systems/ to the checkout. */
writeFileSync(new URL('../../../../docs/systems.md', import.meta.url), systemsPage());
