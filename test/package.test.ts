/** What `npm publish` would send: `npm pack --dry-run` says so. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { expect, it, type TestContext } from 'vitest';

const { dependencies, optionalDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  dependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
};

function packedFiles(context: TestContext): string[] {
  if (!existsSync('dist/src/cli/main.js')) context.skip('dist is not built: npm run build makes it');
  const { stdout } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    encoding: 'utf8',
  });
  const [packed] = JSON.parse(stdout) as { files: { path: string }[] }[];
  return packed?.files.map(file => file.path) ?? [];
}

it('has the command, the library, the engine with its licence, the schema and the images', context => {
  expect(packedFiles(context)).toEqual(
    expect.arrayContaining([
      'LICENSE',
      'dist/src/cli/main.js',
      'dist/src/index.js',
      'dist/src/index.d.ts',
      'dist/src/report/stop.schema.json',
      'dist/src/report/traps.schema.json',
      'dist/src/report/state.schema.json',
      'dist/src/report/state-diff.schema.json',
      'dist/emulator/unicorn/unicorn-x86.generated.js',
      'dist/emulator/unicorn/unicorn-x86.LICENSE',
      'images/native/native.elf',
    ]),
  );
});

it('has no tests, no build tools and no maps to sources that it does not have', context => {
  const strange = packedFiles(context).filter(file =>
    /(^|\/)test\/|\.map$|generate\.|build-page|report\/schema\/|^dist\/images|^(src|emulator|boot-protocols)\//.test(
      file,
    ),
  );
  expect(strange).toEqual([]);
});

it('imports only what it depends on, in code and in types', context => {
  const known = [...Object.keys(dependencies), ...Object.keys(optionalDependencies), 'startup32'];
  const foreign = packedFiles(context)
    .filter(file => /\.(js|d\.ts)$/.test(file) && !file.endsWith('.generated.js'))
    .flatMap(file =>
      [...readFileSync(file, 'utf8').matchAll(/(?:\bfrom |\bimport\(|\bimport )'([^.'][^']*)'/g)].map(
        match => [file, match[1] ?? ''],
      ),
    )
    .filter(([, name = '']) => !isBuiltin(name) && !known.includes(name.split('/')[0] ?? ''));
  expect(foreign).toEqual([]);
});
