/** The suite as JavaScript, for tests that start it or its child processes: the tree as it is now. */
import { execFileSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { generate } from '../../emulator/unicorn/generate.ts';

/**
 * Beside the packages that it imports.
 *
 * @param name of the folder: tests that run at the same time need one each
 * @returns the folder `test/oracle/` of it
 */
export function compile(name: string): URL {
  const out = `node_modules/.cache/startup32-${name}`;
  execFileSync('npx', ['tsc', '-p', 'tsconfig.build.json', '--noCheck', '--outDir', out], {
    stdio: 'inherit',
  });
  generate([`${out}/emulator/unicorn`]);
  cpSync('package.json', `${out}/package.json`);
  cpSync('test/oracle/image', `${out}/test/oracle/image`, { recursive: true });
  return pathToFileURL(`${resolve(out, 'test/oracle')}/`);
}
