/** What becomes of a case that ends the process that runs it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runInProcesses } from './processes.ts';

const folder = mkdtempSync(join(tmpdir(), 'startup32-processes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A worker that says `error` of every case, and does `atThree` when it comes to case 3. */
function worker(name: string, atThree: string): string {
  const path = join(folder, name);
  writeFileSync(
    path,
    `process.once('message', async ({ indexes }) => {
      process.send('ready');
      for (const index of indexes) {
        if (index === 3) { ${atThree} }
        await new Promise(done => process.send({ index, result: { failure: 'error', detail: 'none' } }, done));
      }
      process.disconnect();
    });`,
  );
  return path;
}

const run = (path: string) =>
  runInProcesses({ engine: 'unicorn.js', seed: 1, indexes: [1, 2, 3, 4, 5], jobs: 1, worker: path });

describe('startup32 in child processes', () => {
  it('gives a result for every case', async () => {
    const results = await run(worker('whole.cjs', ''));
    expect([...results.keys()]).toEqual([1, 2, 3, 4, 5]);
  });

  it('goes on behind a case that ends its process, and says so of that case', async () => {
    const results = await run(
      worker('killed.cjs', "process.kill(process.pid, 'SIGKILL'); await new Promise(() => {});"),
    );
    expect([...results.keys()].sort()).toEqual([1, 2, 3, 4, 5]);
    expect(results.get(3)).toEqual({ failure: 'wedged', detail: 'the process ended with SIGKILL: ' });
    expect(results.get(4)).toEqual({ failure: 'error', detail: 'none' });
  });

  it('is an error when no process gets as far as the first case', async () => {
    const path = join(folder, 'broken.cjs');
    writeFileSync(path, "throw new Error('there is no engine');");
    await expect(run(path)).rejects.toThrow(
      'a process for unicorn.js does not start: Error: there is no engine',
    );
  });
});
