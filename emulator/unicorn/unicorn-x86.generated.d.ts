/**
 * The Emscripten module of Unicorn 1.0.3. `generate.ts` makes the JavaScript beside this file from the package
 * `@specy/x86`; only these declarations are committed.
 */
import type { EmscriptenOptions, UnicornModule } from './emscripten.ts';

declare const createUnicorn: (options: EmscriptenOptions) => UnicornModule;
export default createUnicorn;
