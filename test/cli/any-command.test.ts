/** Whatever the command line says: a report that its schema accepts, or one line that says what is wrong. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { PROTOCOLS } from '../../boot-protocols/index.ts';
import { describeKnobs } from '../../boot-protocols/knobs.ts';
import { imageCatalog } from '../../images/catalog.ts';
import { EXIT } from '../../src/cli/exit-codes.ts';
import { main } from '../../src/cli/main.ts';
import { stateJsonSchema, stopJsonSchema, trapsJsonSchema } from '../../src/report/schema/build.ts';
import { wrapKernel } from '../../src/wrap/wrap.ts';
import { buildElf } from '../support/elf-builder.ts';
import { engines } from '../support/engines.ts';

const SEED = 32;
const folder = mkdtempSync(join(tmpdir(), 'startup32-'));
const WRAPPED = join(folder, 'bzImage');
const file = (size: number): string => join(folder, `${size} bytes`);
const SIZES = [0, 1, 4096, 5001, 3 * 2 ** 20];

beforeAll(async () => {
  for (const size of SIZES) writeFileSync(file(size), new Uint8Array(size).fill(0x5a));
  writeFileSync(WRAPPED, await wrapKernel(buildElf(), { elfHeader: true, compress: 'none' }));
});

const images = [...imageCatalog().map(image => image.file), WRAPPED];
const files = SIZES.map(file);
const lines = ['', 'a', 'console=ttyS0 "x y"', 'ü\u{1f600}\ud800', '-n', 'a\nb\u0001', 'x'.repeat(2048)];
/** Values that mean something, and values at the edges or past them. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  '--memory': [
    '4096',
    '64K',
    '640K',
    '1M',
    '0x100000',
    '2M',
    '4M',
    '32M',
    '0',
    '4095',
    '4097',
    '4G',
    '-1',
    '',
  ],
  '--cmdline': lines,
  '--initrd': files,
  '--module': [...files, ...files.map(path => `${path}=a=b ü`)],
  '--load-address': [
    '0',
    '0x1000',
    '0x100000',
    '0x100001',
    '0x200000',
    '0x1000000',
    '0xfffff000',
    '0xffffffff',
  ],
  '--ring': ['0', '1', '2', '3', '4'],
  '--paging': ['off', 'on', 'pae', 'PAE'],
  '--gdt': ['flat', 'none'],
  '--keep-segments': ['0', '1'],
  '--subarch': ['0', '1', '2', '3', '0xffffffff'],
  '--cpu': ['i686', 'i686-hv', 'core2', 'i486', 'i386'],
  '--era': ['2.6.23', '2.6.24', '2.6.29', '2.6.31', '3.10', '4.13', '2.6.22', '4.14'],
  '--xen-host': ['32', '64', '16'],
};

const start = fc.constantFrom(...PROTOCOLS).chain(protocol => {
  const knob = fc.constantFrom(...describeKnobs(protocol)).chain(({ flag }) => {
    const values = VALUES[flag];
    return values ? fc.constantFrom(...values).map(value => `${flag}=${value}`) : fc.constant(flag);
  });
  return fc
    .record({
      image: fc.constantFrom(...images),
      knobs: fc.array(knob, { maxLength: 4 }),
      payload: fc.constantFrom([], [], [], ['--payload', '--no-cache']),
    })
    .map(({ image, knobs, payload }) => [image, '--as', protocol.name, ...knobs, ...payload]);
});
const none: string[] = [];
const run = fc
  .record({
    traps: fc.oneof(
      fc.constant(none),
      fc
        .constantFrom('skip', 'xen', 'lguest', 'monitor')
        .map(host => ['--all-traps', '--answer', host, '--max-traps', '30']),
    ),
    until: fc.constantFrom(none, none, ['--until', 'payload'], ['--until', 'startup_32+0x10']),
    stopOn: fc.constantFrom(none, ['--stop-on', 'fault'], ['--stop-on', 'sensitive']),
    hash: fc.constantFrom(none, ['--trace-hash']),
    budget: fc.constantFrom('1', '100', '2000'),
  })
  .map(({ traps, until, stopOn, hash, budget }) => [...traps, ...until, ...stopOn, ...hash, '-n', budget]);

async function startup32(...argv: string[]) {
  let stdout = '';
  let stderr = '';
  const code = await main(argv, {
    stdout: { write: chunk => (stdout += String(chunk)) },
    stderr: { write: chunk => (stderr += String(chunk)) },
    color: false,
  });
  return { code, stdout, stderr };
}

const ajv = new Ajv({ allowUnionTypes: true });
const schemas: Readonly<Record<string, ReturnType<typeof ajv.compile>>> = {
  'startup32/state@1': ajv.compile(stateJsonSchema()),
  'startup32/stop@1': ajv.compile(stopJsonSchema()),
  'startup32/traps@1': ajv.compile(trapsJsonSchema()),
};

/** What holds of every end; the report, where there is one. */
function checkEnd({ code, stdout, stderr }: Awaited<ReturnType<typeof startup32>>): unknown {
  if (code === EXIT.USAGE || code === EXIT.IMAGE) {
    expect(stderr).toMatch(/^startup32: [a-z0-9-]+: [^\n]+\n(startup32: [^\n]+\n)?$/);
    expect(stdout).toBe('');
    return undefined;
  }
  expect([EXIT.STOPPED, EXIT.DIED, EXIT.SPENT], stderr).toContain(code);
  expect(stderr).toBe('');
  const report: { schema: string } = JSON.parse(stdout);
  const validate = schemas[report.schema];
  validate?.(report);
  expect(validate?.errors).toBeNull();
  return report;
}

/** The report without what names the engine. */
const comparable = (stdout: string): unknown =>
  stdout === ''
    ? stdout
    : JSON.parse(stdout, (key, value: unknown) => {
        if (key === 'engine') return undefined;
        return key === 'command' ? String(value).replace(/ --engine \S+/, '') : value;
      });

describe('any command line', () => {
  it('of state ends in a report or in one line', async () => {
    let reports = 0;
    await fc.assert(
      fc.asyncProperty(start, fc.boolean(), async (argv, all) => {
        const json = await startup32('state', ...argv, '--format', 'json');
        if (checkEnd(json) !== undefined) reports++;
        const text = await startup32('state', ...argv, ...(all ? ['--all'] : []));
        expect([text.code, text.stderr]).toEqual([json.code, json.stderr]);
      }),
      { numRuns: 150, seed: SEED },
    );
    // The seeds are fixed, so that this says something about the commands and not about luck.
    expect(reports).toBeGreaterThan(30);
  });

  it('of run ends in a report or in one line, the same on every engine', async () => {
    let reports = 0;
    await fc.assert(
      fc.asyncProperty(start, run, async (argv, options) => {
        const command = ['run', ...argv, ...options, '--format', 'json', '--engine'];
        const ends: Awaited<ReturnType<typeof startup32>>[] = [];
        for (const { name } of engines) ends.push(await startup32(...command, name));
        const [first, ...others] = ends.map(end => ({ ...end, stdout: comparable(end.stdout) }));
        for (const end of ends) if (checkEnd(end) !== undefined) reports++;
        // What an engine cannot go on with is its own.
        if (ends.some(({ stdout }) => stdout.includes('"engine-limit"'))) return;
        for (const other of others) expect(other).toEqual(first);
      }),
      { numRuns: 150, seed: SEED },
    );
    expect(reports).toBeGreaterThan(20);
  });
});
