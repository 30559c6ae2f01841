/** The CI share of the oracle suite: a fixed seed, all topics, both engines, QEMU and Bochs. `npm run oracle` is all of it. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { engines } from '../support/engines.ts';
import { ARENA, ARENA_SIZE } from './case.ts';
import { compile } from './compiled.ts';
import { DIFFERENCES } from './differences.ts';
import { differencesPage } from './differences-page.ts';
import type { Oracle } from './drivers/index.ts';
import { FAMILIES, generateCase } from './generate/index.ts';
import { summaryText } from './print.ts';
import { requireOracles } from './required.ts';
import { indexesOf, runSuite } from './run.ts';

const SEED = 32;
const CASES = 8000;
const ORACLES: readonly Oracle[] = ['qemu', 'bochs'];

describe('generated cases', () => {
  it('are the same for the same seed and index, and others for another', () => {
    for (const index of [0, 1, 77, 4000]) {
      expect(generateCase(SEED, index)).toEqual(generateCase(SEED, index));
      expect(generateCase(SEED, index)).not.toEqual(generateCase(SEED + 1, index));
    }
  });

  it('stay inside the arena', () => {
    for (let index = 0; index < 2000; index++) {
      for (const { address, bytes } of generateCase(SEED, index).writes) {
        expect(address).toBeGreaterThanOrEqual(ARENA);
        expect(address + bytes.length).toBeLessThanOrEqual(ARENA + ARENA_SIZE);
      }
    }
  });

  it('are of every ring, every IOPL, every paging mode, and both modes', () => {
    const cases = Array.from({ length: 2000 }, (_, index) => generateCase(SEED, index));
    const kinds = new Set(cases.map(c => `${c.ring} ${(c.eflags >>> 12) & 3} ${c.paging}`));
    expect(kinds.size).toBe(4 * 4 * 3);
    expect(new Set(cases.map(c => c.mode))).toEqual(new Set(['protected', 'vm86']));
    expect(new Set(FAMILIES.map(family => family.name)).size).toBe(FAMILIES.length);
  });
});

describe('startup32, QEMU and Bochs', () => {
  it(`agree in ${CASES} generated cases, but for what docs/differences.md lists`, async context => {
    await requireOracles(context, ORACLES);
    const summary = await runSuite({
      seed: SEED,
      indexes: indexesOf(SEED, CASES, ''),
      engines: engines.map(({ name }) => name),
      oracles: ORACLES,
      jobs: 2,
      worker: new URL('worker.js', compile('oracle')),
    });
    expect(summary.cases).toBe(CASES);
    if (summary.open.size > 0) expect.fail(summaryText(SEED, summary, 0));
  });
});

describe('docs/differences.md', () => {
  it('is what npm run docs makes of the list', () => {
    expect(readFileSync('docs/differences.md', 'utf8')).toBe(differencesPage());
  });

  it('lists each difference once', () => {
    expect(new Set(DIFFERENCES.map(({ id }) => id)).size).toBe(DIFFERENCES.length);
  });
});
