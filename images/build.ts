/**
 * Rebuilds the images from their sources with GNU binutils: `npm run images`, or `npm run images -- --check` to compare
 * with the built files in the repository and write nothing.
 *
 * The result depends on the sources and the binutils version alone: no build id, no debug information, no time, and
 * the only file names in it are those that the sources give themselves (`.file`).
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { appendCrc32 } from './bzimage.ts';
import { imagesFolder } from './catalog.ts';
import { IMAGE_RECIPES, type ImageRecipe } from './recipes.ts';

/** The first line that each tool prints for `--version`. */
export interface BinutilsVersions {
  readonly as: string;
  readonly ld: string;
}

export interface BuiltImage {
  /** Relative to `images/`, e.g. `native/native.elf`. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

const VERSIONS_FILE = 'versions.json';

const AS_OPTIONS = [
  '--32',
  '-mx86-used-note=no', // newer versions add a .note.gnu.property by themselves
  '--strip-local-absolute', // a constant such as PAGE_OFFSET is not a place in the kernel
  '--fatal-warnings',
];

const LD_OPTIONS = ['-m', 'elf_i386', '--build-id=none', '--fatal-warnings'];

/** The physical address of startup_32, see kernel.ld. */
const ENTRY = '0x100000';

const ELF_OPTIONS = ['-z', 'max-page-size=0x1000', '-z', 'common-page-size=0x1000', '-z', 'noexecstack'];

/** @returns undefined when `as` or `ld` is not installed */
export function findBinutils(): BinutilsVersions | undefined {
  try {
    return { as: versionOf('as'), ld: versionOf('ld') };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The versions that the built files in the repository were made with. */
export function recordedBinutils(): BinutilsVersions {
  return JSON.parse(readFileSync(join(imagesFolder(), VERSIONS_FILE), 'utf8')) as BinutilsVersions;
}

/**
 * Builds every image, and the stub of `startup32 wrap`, in a folder of their own, removed at the end.
 * @throws when a tool fails; its message is on stderr
 */
export function buildImages(): readonly BuiltImage[] {
  const work = mkdtempSync(join(tmpdir(), 'startup32-images-'));
  try {
    return [...IMAGE_RECIPES.map(recipe => buildImage(recipe, work)), buildStub(work)];
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function buildImage(recipe: ImageRecipe, work: string): BuiltImage {
  const sources = imagesFolder();
  const path = `${recipe.name}/${recipe.file}`;
  const object = `${recipe.name}/${recipe.name}.o`;
  mkdirSync(join(work, recipe.name));
  // Names are relative to the work folder, so that bzimage.S takes in the paravirt.elf that was just built.
  run(
    'as',
    [...AS_OPTIONS, '-I', sources, '-o', object, join(sources, recipe.name, `${recipe.name}.S`)],
    work,
  );
  const script = ['-T', join(sources, recipe.linkerScript), '-o', path, object];
  const elf = recipe.format === 'elf' ? ['-e', recipe.entry ?? ENTRY, ...ELF_OPTIONS] : [];
  run('ld', [...LD_OPTIONS, ...elf, ...script], work);
  const bytes = new Uint8Array(readFileSync(join(work, path)));
  if (recipe.format === 'elf') return { path, bytes };
  return { path, bytes: appendCrc32(bytes) };
}

const STUB_SOURCES = '../src/wrap';
/** So that a line of the module is within the width that the sources have. */
const STUB_LINE = 100;

/** The bytes of src/wrap/stub.S as a module: the installed package has no assembler, and a browser no files. */
function buildStub(work: string): BuiltImage {
  const sources = join(imagesFolder(), STUB_SOURCES);
  const include = ['-I', sources, '-I', imagesFolder()];
  run('as', [...AS_OPTIONS, ...include, '-o', 'stub.o', join(sources, 'stub.S')], work);
  run('ld', [...LD_OPTIONS, '-T', join(sources, 'stub.ld'), '-o', 'stub.bin', 'stub.o'], work);
  const base64 = readFileSync(join(work, 'stub.bin')).toString('base64');
  const lines = base64.match(new RegExp(`.{1,${STUB_LINE}}`, 'g')) ?? [];
  const text = [
    '/** Made from stub.S by `npm run images`; in base64. */',
    'export const STUB = [',
    ...lines.map(line => `  '${line}',`),
    "].join('');",
    '',
  ].join('\n');
  return { path: `${STUB_SOURCES}/stub.ts`, bytes: new TextEncoder().encode(text) };
}

/** Paths of the images whose built file in the repository is missing or has other bytes. */
export function differingImages(built: readonly BuiltImage[]): readonly string[] {
  return built.filter(({ path, bytes }) => !sameBytes(readBuilt(path), bytes)).map(({ path }) => path);
}

function readBuilt(path: string): Uint8Array | undefined {
  try {
    return readFileSync(join(imagesFolder(), path));
  } catch {
    return undefined;
  }
}

const sameBytes = (a: Uint8Array | undefined, b: Uint8Array): boolean =>
  a !== undefined && Buffer.compare(a, b) === 0;

const versionOf = (tool: 'as' | 'ld'): string =>
  execFileSync(tool, ['--version'], { encoding: 'utf8' }).split('\n', 1)[0] ?? '';

function run(tool: 'as' | 'ld', options: readonly string[], cwd: string): void {
  execFileSync(tool, options, {
    cwd,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, LC_ALL: 'C' },
  });
}

function main(options: readonly string[]): number {
  const check = options.length === 1 && options[0] === '--check';
  if (!check && options.length > 0) {
    process.stderr.write('usage: npm run images [-- --check]\n');
    return 2;
  }
  const binutils = findBinutils();
  if (binutils === undefined) {
    process.stderr.write(
      'as and ld are needed to build the images; Debian has them in the package binutils\n',
    );
    return 4;
  }
  const built = buildImages();
  const differing = differingImages(built);
  if (check) {
    for (const path of differing)
      process.stdout.write(`${join('images', path)} is not what its source gives\n`);
    return differing.length === 0 ? 0 : 5;
  }
  for (const { path, bytes } of built) {
    writeFileSync(join(imagesFolder(), path), bytes);
    process.stdout.write(
      `${join('images', path)}  ${bytes.length} bytes${differing.includes(path) ? '  changed' : ''}\n`,
    );
  }
  writeFileSync(join(imagesFolder(), VERSIONS_FILE), `${JSON.stringify(binutils, null, 2)}\n`);
  return 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  process.exitCode = main(process.argv.slice(2));
