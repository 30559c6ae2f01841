/**
 * iced-x86, in one place. The package is CommonJS of a megabyte: `import` would look through all of it for the names
 * that it exports, for a tenth of a second; `require` does not. A bundle for browsers replaces this module.
 */
import { createRequire } from 'node:module';

export const iced = createRequire(import.meta.url)('iced-x86') as typeof import('iced-x86');
