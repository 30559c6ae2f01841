/** `--trace` and `--trace-hash`. */
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { Fnv1a64 } from '../../emulator/trace.ts';
import { main } from '../../src/cli/main.ts';

const NATIVE = path.resolve(import.meta.dirname, '../../images/native/native.elf');
const folder = mkdtempSync(path.join(tmpdir(), 'startup32-trace-'));

async function startup32(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  let stdout = '';
  let stderr = '';
  const text = (chunk: string | Uint8Array): string => Buffer.from(chunk).toString('latin1');
  const code = await main(args, {
    stdout: { write: chunk => (stdout += text(chunk)) },
    stderr: { write: chunk => (stderr += text(chunk)) },
    color: false,
  });
  return { code, stdout, stderr };
}

const run = (...args: string[]) => startup32('run', NATIVE, '--as', 'lguest', ...args);

it('writes the way of the run, a line an event, and its hash is that of the file', async () => {
  const file = path.join(folder, 'native.trace');
  const { code, stdout } = await run('--trace', file, '--trace-hash', '--format', 'json');
  expect(code).toBe(0);
  // cld runs, cli is the stop: docs/how-to-read-a-trap.md.
  const lines = readFileSync(file, 'latin1');
  expect(lines).toBe('run 00100000 1\nstop 00100001 iopl-sensitive-instruction 1\n');
  const hash = new Fnv1a64();
  hash.add(lines);
  expect(JSON.parse(stdout).traceHash).toBe(hash.digest());
});

it('changes nothing of the report but its own lines', async () => {
  const plain = await run();
  const hashed = await run('--trace-hash');
  const lines = hashed.stdout.split('\n');
  const trace = lines.findIndex(line => line.startsWith('trace  '));
  expect(lines[trace]).toMatch(/^trace {2}[0-9a-f]{16}$/);
  expect(lines.toSpliced(trace, 1).join('\n').replace(' --trace-hash', '')).toBe(plain.stdout);
});

it('does not write to stdout, and says why', async () => {
  const { code, stderr } = await run('--trace', '-');
  expect(code).toBe(2);
  expect(stderr).toBe(
    'startup32: bad-value: --trace is "-"; expected the name of a file: stdout holds the report\n',
  );
});

it('says that a file cannot be written', async () => {
  const file = path.join(folder, 'missing', 'trace');
  const { code, stderr } = await run('--trace', file);
  expect(code).toBe(2);
  expect(stderr).toBe(
    `startup32: unwritable-trace: --trace names ${file}, which cannot be written (ENOENT)\n`,
  );
});
