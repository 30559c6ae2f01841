/**
 * Makes `unicorn-x86.generated.js`, the embedded engine, from the package `@specy/x86`: its Unicorn is built by
 * Emscripten, but the module object that has the C functions is private to the file, and the heap starts so small that
 * mapping a guest copies it. Three exact replacements mend that. No line of the package is committed.
 *
 * `node dist/emulator/unicorn/generate.js` (part of `npm run build`) writes the file and its licence beside the source
 * and into `dist`.
 */
import { mkdirSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EngineError } from './errors.ts';

const PACKAGE = '@specy/x86';
export const PACKAGE_VERSION = '1.1.0';
const PACKAGE_FILE = 'dist/x86/deps/unicorn-x86.min.js';

const GENERATED_FILE = 'unicorn-x86.generated.js';
const LICENSE_FILE = 'unicorn-x86.LICENSE';

/** 112 MiB: a guest of 64 MiB, 14 MiB of engine, and room for translated code. Pages not touched cost nothing. */
const INITIAL_HEAP = 1792 * 65536;
/** uc_open's 8 MiB code buffer and the static data come to 14 MiB; what Emscripten reserves at first is 259 pages. */
const PACKAGE_HEAP = 'new ArrayBuffer(16973824)';
/** The end of the factory, and the first of the helpers and constants behind it, which are not needed. */
const FACTORY_END = '})(),ElfUInt=function(A){';
const FACTORY_START = 'var MUnicorn=(()=>{';

function generateError(message: string): EngineError {
  return new EngineError('engine-generate-failed', message);
}

function markerIndex(source: string, marker: string): number {
  const first = source.indexOf(marker);
  const count = first < 0 ? 0 : source.split(marker).length - 1;
  if (count !== 1) {
    throw generateError(
      `${PACKAGE} ${PACKAGE_VERSION}: "${marker}" occurs ${count} times in ${PACKAGE_FILE}, expected once.`,
    );
  }
  return first;
}

/**
 * The text of the generated module: its default export makes an Emscripten module object.
 *
 * @param source text of the package's `unicorn-x86.min.js`
 * @param version version of the package it is from
 * @throws {EngineError} `engine-generate-failed` when it is another version, or a marker does not occur exactly once
 */
export function transform(source: string, version: string): string {
  if (version !== PACKAGE_VERSION) {
    throw generateError(`${PACKAGE} is version ${version}, expected exactly ${PACKAGE_VERSION}.`);
  }
  const start = markerIndex(source, FACTORY_START);
  const end = markerIndex(source, FACTORY_END);
  markerIndex(source, PACKAGE_HEAP);
  const factory = source
    .slice(start + 'var MUnicorn='.length, end)
    .replace(PACKAGE_HEAP, `new ArrayBuffer(${INITIAL_HEAP})`);
  return [
    `// Unicorn 1.0.3 (GPL-2.0) as built by Emscripten, from ${PACKAGE}@${PACKAGE_VERSION}; see ${LICENSE_FILE}.`,
    '// Made by emulator/unicorn/generate.ts. Do not edit.',
    `export default ${factory}})();`,
    '',
  ].join('\n');
}

/** The nearest folder above this file that has a package.json: the project, whether this runs from source or dist. */
function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    try {
      statSync(join(folder, 'package.json'));
      return folder;
    } catch {
      const parent = dirname(folder);
      if (parent === folder) throw generateError('No package.json above emulator/unicorn.');
      folder = parent;
    }
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw generateError(`Cannot read ${path}; run npm ci to install ${PACKAGE}@${PACKAGE_VERSION}.`);
  }
}

/**
 * Writes the engine and its licence into each folder, unless it is there already and newer than the package.
 *
 * @param folders under the project's root
 * @returns the folders that were written
 */
export function generate(folders: readonly string[], options: { force?: boolean } = {}): string[] {
  const root = projectRoot();
  let packageFolder: string;
  try {
    packageFolder = dirname(createRequire(join(root, 'package.json')).resolve(`${PACKAGE}/package.json`));
  } catch {
    throw generateError(`${PACKAGE}@${PACKAGE_VERSION} is not installed; run npm ci.`);
  }
  const input = join(packageFolder, PACKAGE_FILE);
  const stale = folders.filter(
    folder => options.force || !isUpToDate(join(root, folder, GENERATED_FILE), input),
  );
  if (stale.length === 0) return stale;
  const { version } = JSON.parse(readText(join(packageFolder, 'package.json'))) as { version: string };
  const text = transform(readText(input), version);
  const license = readText(join(packageFolder, 'LICENSE'));
  for (const folder of stale) {
    mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, folder, LICENSE_FILE), license);
    writeFileSync(join(root, folder, GENERATED_FILE), text);
  }
  return stale;
}

/** Newer than the package and than this very file, which decides what is in it. */
function isUpToDate(generated: string, input: string): boolean {
  try {
    const made = statSync(generated).mtimeMs;
    return made >= statSync(input).mtimeMs && made >= statSync(fileURLToPath(import.meta.url)).mtimeMs;
  } catch {
    return false;
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    generate(['emulator/unicorn', 'dist/emulator/unicorn'], { force: true });
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
