/** `npm run oracle`: what it prints of one case, of a case that wedges, and of options that mean nothing. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { CODE } from './case.ts';
import { compile } from './compiled.ts';
import { generateCase } from './generate/index.ts';
import { summaryText } from './print.ts';
import { requireOracles } from './required.ts';
import { runSuite } from './run.ts';

const folder = mkdtempSync(join(tmpdir(), 'startup32-oracle-main-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('npm run oracle', () => {
  const main = fileURLToPath(new URL('main.js', compile('oracle-main')));
  const oracle = (...options: string[]) =>
    spawnSync(process.execPath, [main, ...options], { encoding: 'utf8' });

  it('runs the one case that --case names, and shows all of it', async context => {
    await requireOracles(context, ['qemu', 'bochs']);
    const { status, stdout } = oracle('--seed', '3', '--case', '87', '--engines', 'unicorn.js');
    const { topic } = generateCase(3, 87);
    expect(stdout.split('\n').slice(0, 2)).toEqual([topic, '  npm run oracle -- --seed 3 --case 87']);
    expect(stdout.match(/--case/g)).toHaveLength(1);
    expect(stdout).toMatch(/^ {4}vector .* {4}.*$/m);
    expect(stdout).toMatch(/^1 cases in \d+\.\d s: /m);
    expect(status).toBe(0);
  });

  it.each([
    [['--case', 'x'], '--case x is not a number'],
    [['--oracles', 'xen'], '--oracles: there is no xen'],
    [['--accel', 'tcg'], '--accel tcg is not kvm'],
  ])('says what is wrong with %j, and how it is used', (options, message) => {
    const { status, stderr } = oracle(...options);
    expect(stderr.split('\n')[0]).toBe(message);
    expect(stderr).toContain('usage: npm run oracle -- [options]');
    expect(status).toBe(2);
  });
});

describe('a case that wedges', () => {
  const AGREED = { failure: 'error', detail: 'not run' } as const;

  /** Says `not run` of every case, and does `atThree` at case 3. */
  function worker(atThree: string): string {
    const path = join(folder, `worker-${atThree.length}.cjs`);
    writeFileSync(
      path,
      `process.once('message', async ({ indexes }) => {
        process.send('ready');
        for (const index of indexes) {
          if (index === 3) { ${atThree} }
          await new Promise(done => process.send({ index, result: ${JSON.stringify(AGREED)} }, done));
        }
        process.disconnect();
      });`,
    );
    return path;
  }

  /** Case 3 jumps to itself, or does whatever else `code` says; all others end. */
  const suite = (oracle: 'qemu' | 'bochs', code: readonly number[], atThree = '') =>
    runSuite({
      seed: 7,
      indexes: [2, 3, 4],
      engines: ['unicorn.js'],
      oracles: [oracle],
      jobs: 1,
      worker: worker(atThree),
      caseAt: (_seed, index) => ({
        ...generateCase(1, 0),
        topic: `case ${index}`,
        ring: 0,
        mode: 'protected',
        paging: 'off',
        eip: CODE,
        selectors: { cs: 0x30, ss: 0x38, ds: 0x38, es: 0x38, fs: 0x38, gs: 0x38 },
        writes: [{ address: CODE, bytes: Uint8Array.from(index === 3 ? code : [0xcd, 0x40]) }],
        without: [],
      }),
    });

  it.for(['qemu', 'bochs'] as const)(
    '%s: is ended, and reported with its seed and one command',
    async (oracle, context) => {
      await requireOracles(context, [oracle]);
      const summary = await suite(oracle, [0xeb, 0xfe]);
      const report = summaryText(7, summary, 0);
      expect(report).toContain(`case 3; unicorn.js error (not run) / ${oracle} wedged (no end): end`);
      expect(report).toContain('  npm run oracle -- --seed 7 --case 3\n');
      // The others came to their end all the same.
      expect(report).toContain(`case 4; unicorn.js error (not run) / ${oracle} 64: end`);
      expect(summary.cases).toBe(3);
    },
  );

  it('in startup32: the process that dies is named, and the next one goes on behind it', async context => {
    await requireOracles(context, ['qemu']);
    const summary = await suite(
      'qemu',
      [0xcd, 0x40],
      "process.kill(process.pid, 'SIGKILL'); await new Promise(() => {});",
    );
    const report = summaryText(7, summary, 0);
    expect(report).toContain('case 3; unicorn.js wedged (the process ended with SIGKILL: ) / qemu 64: end');
    expect(report).toContain('  npm run oracle -- --seed 7 --case 3\n');
    expect(report).toContain('case 4; unicorn.js error (not run) / qemu 64: end');
  });
});
