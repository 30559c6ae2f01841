/**
 * `startup32 run --all-traps`. Expected: the source of images/native/native.S, whose every privileged instruction is
 * listed there in order, and what each host makes of it (boot-protocols/hosts/).
 */
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { trapsJsonSchema } from '../../src/report/schema/build.ts';
import type { TrapsReport } from '../../src/report/traps/report.ts';
import { describeEachEngine } from '../support/engines.ts';

const NATIVE = 'images/native/native.elf';

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(...argv: string[]): Promise<Result> {
  let stdout = '';
  let stderr = '';
  const text = (chunk: string | Uint8Array): string =>
    typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('latin1');
  const code = await main(['run', ...argv], {
    stdout: { write: chunk => (stdout += text(chunk)) },
    stderr: { write: chunk => (stderr += text(chunk)) },
    color: false,
  });
  return { code, stdout, stderr };
}

const EMBEDDED = ['--engine', 'unicorn.js'] as const;
const native = (...argv: string[]): Promise<Result> =>
  run(NATIVE, '--as', 'contract', '--all-traps', ...EMBEDDED, ...argv);

async function json(...argv: string[]): Promise<TrapsReport> {
  const { stdout } = await run(...argv, '--format', 'json');
  return JSON.parse(stdout) as TrapsReport;
}

/** `cli emulated`, with a count where there is one. */
const rows = ({ traps }: TrapsReport): string[] =>
  traps.map(({ instruction, answer, count }) =>
    [instruction?.text, answer.does, ...(count === 1 ? [] : [`x ${count}`])].join(' '),
  );

/** native.S, from startup_32 to its end. It prints 48 bytes, and looks at the line status before each and at the end. */
const NATIVE_TRAPS = [
  'cli emulated',
  'lgdtl 0x100120 emulated',
  'mov %eax,%ds emulated',
  'mov %eax,%es emulated',
  'mov %eax,%fs emulated',
  'mov %eax,%gs emulated',
  'mov %eax,%cr3 emulated',
  'mov %cr0,%eax emulated',
  'mov %eax,%cr0 emulated',
  'ljmp $0x10,$0xc0100148 emulated',
  'lss 0xc0101000,%esp emulated',
];

describeEachEngine('--all-traps', engine => {
  const all = (...argv: string[]): Promise<TrapsReport> =>
    json(NATIVE, '--as', 'contract', '--all-traps', '--engine', engine.name, ...argv);

  it('lists every trap of a kernel that a monitor carries to its end, where it has printed and halts', async () => {
    const report = await all('--answer', 'monitor', '--serial');
    expect(rows(report).slice(0, NATIVE_TRAPS.length)).toEqual(NATIVE_TRAPS);
    expect(rows(report).slice(NATIVE_TRAPS.length)).toEqual([
      'in (%dx),%al emulated x 49',
      'out %al,(%dx) emulated x 48',
      'hlt ended',
    ]);
    expect(report.met).toBe(NATIVE_TRAPS.length + 49 + 48 + 1);
    expect(report.stop.serial).toBe('native: paging is on, running above PAGE_OFFSET\n');
    expect(report.stop.at.symbol).toBe('stop');
    expect(report.end.why).toBe('ended');
    expect(report.stop.next).toEqual([]);
  });

  it('says of a spent budget how many traps were answered before', async () => {
    const { met, end, stop } = await all('--answer', 'monitor', '-n', '3110');
    expect(stop.kind).toBe('budget');
    expect(end.why).toBe('stop');
    expect(end.text).toMatch(new RegExp(`: 3110 instructions allowed; ${met} traps were answered before$`));
    expect(stop.why.text).toBe(
      `The run was allowed 3110 instructions, and they are spent; ${met} traps were answered before.`,
    );
  });

  it('says so of --until as well', async () => {
    const { met, stop } = await all('--answer', 'monitor', '--until', 'stop');
    expect(stop.kind).toBe('reached');
    expect(met).toBeGreaterThan(1);
    expect(stop.headline).toMatch(new RegExp(` is next; ${met} traps were answered before$`));
  });

  it('ends under lguest at the second trap: cli is stepped over, lgdt kills', async () => {
    const report = await all('--answer', 'lguest');
    expect(rows(report)).toEqual(['cli skipped', 'lgdtl 0x100120 killed']);
    expect(report.era).toBe('4.13');
    expect(report.stop.means.outcome).toBe('kills');
  });

  it('ends under an lguest older than 2.6.34 at cli', async () => {
    expect(rows(await all('--answer', 'lguest', '--era', '2.6.33'))).toEqual(['cli killed']);
  });

  it('has one lguest that starts the kernel and answers: that of --era', async () => {
    const as = (era: string) =>
      json(NATIVE, '--as', 'lguest', '--all-traps', '--era', era, '--engine', engine.name);
    const [old, young] = [await as('2.6.33'), await as('3.10')];
    expect([old.era, old.stop.knobs.era, rows(old)]).toEqual(['2.6.33', '2.6.33', ['cli killed']]);
    expect([young.era, rows(young)]).toEqual(['3.10', ['cli skipped', 'lgdtl 0x100120 killed']]);
    expect(old.stop.command).toContain('--as lguest --era 2.6.33 --all-traps');
    expect(old.stop.means.citation).toContain('Linux 2.6.33');
  });

  it('ends under xen at cli', async () => {
    expect(rows(await all('--answer', 'xen'))).toEqual(['cli killed']);
  });

  it('has one trace hash on every engine, counted or not', async () => {
    const hashOf = async (...argv: string[]): Promise<string | undefined> =>
      (await json(NATIVE, '--as', 'contract', '--all-traps', '--answer', 'monitor', '--trace-hash', ...argv))
        .stop.traceHash;
    const hash = await hashOf('--engine', engine.name);
    expect(hash).toMatch(/^[0-9a-f]{16}$/);
    expect(await hashOf('--engine', engine.name, '-n', 'unlimited')).toBe(hash);
    expect(await hashOf(...EMBEDDED)).toBe(hash);
  });

  it('is the same listing with a budget that is not reached and without one', async () => {
    const counted = await all('--answer', 'monitor');
    const unlimited = await all('--answer', 'monitor', '-n', 'unlimited');
    expect(unlimited.traps).toEqual(counted.traps);
  });
});

it('steps over traps under protocols that name no host, to the first that it cannot', async () => {
  const report = await json(NATIVE, '--as', 'contract', '--all-traps', ...EMBEDDED);
  expect(report.host).toBe('skip');
  expect(rows(report).slice(0, 3)).toEqual(['cli skipped', 'lgdtl 0x100120 skipped', 'mov %eax,%ds skipped']);
  expect(report.traps.at(-1)?.answer.does).toBe('unanswered');
});

it('ends at a hypercall, and names it', async () => {
  const flags = ['--as', 'xen', '--all-traps', ...EMBEDDED];
  const report = await json('images/xen-hello/xen-hello.elf', ...flags);
  expect(report.host).toBe('xen');
  expect(report.end.text).toBe(
    'xen has no answer to trap 1, hypercall console_io (18). startup32 has no Xen that answers hypercalls.',
  );
});

it('answers the forced-emulation prefix as Xen does', async () => {
  const report = await json('images/ud2-xen/ud2-xen.elf', '--as', 'xen', '--all-traps', ...EMBEDDED);
  expect(report.traps[0]).toMatchObject({ kind: 'forced-emulation', answer: { does: 'emulated' } });
});

it('goes to --until, and no further', async () => {
  const report = await json(
    ...[NATIVE, '--as', 'contract', '--all-traps', ...EMBEDDED],
    ...['--answer', 'monitor', '--until', 'enable_paging'],
  );
  expect(rows(report)).toEqual(NATIVE_TRAPS.slice(0, 8));
  expect(report.end.why).toBe('stop');
  expect(report.stop.kind).toBe('reached');
});

it('gives a JSON report that the published schema accepts', async () => {
  const validate = new Ajv({ allowUnionTypes: true }).compile(trapsJsonSchema());
  for (const answer of ['skip', 'xen', 'lguest', 'monitor']) {
    validate(JSON.parse((await native('--answer', answer, '--format', 'json')).stdout));
    expect(validate.errors).toBeNull();
  }
});

it('ends with the code of a budget after --max-traps', async () => {
  const result = await native('--answer', 'monitor', '--max-traps', '20');
  expect(result.code).toBe(7);
  expect(result.stdout).toContain('20 traps answered, and no more are to be: --max-traps sets how many.');
});

it('is a table of at most 100 columns, and the report of the last stop after it', async () => {
  const { stdout, code } = await native('--answer', 'monitor');
  const [table = ''] = stdout.split('\n#GP(0) at stop');
  const wide = table.split('\n').filter(line => line.length > 100);
  expect(wide).toEqual([]);
  expect(table.split('\n')[0]).toBe(
    '109 traps at 14 places, answered as monitor does; 3598 instructions retired',
  );
  expect(table).toMatch(/^ 1 {12}2 {2}startup_32\+0x1 +cli +emulated$/m);
  expect(table).toMatch(/^12 +\d+ {2}high\+0x13 +in \(%dx\),%al +emulated {2}x 49$/m);
  expect(stdout).toContain('--all-traps --answer monitor');
  expect(code).toBe(0);
});

describe('flags', () => {
  it.each([
    [['--answer', 'xen'], '--answer says how traps are answered, which --all-traps asks for'],
    [['--all-traps', '--era', '4.13'], '--era says which lguest it is, and here there is none'],
    [
      ['--all-traps', '--answer', 'lguest', '--era', '4.14'],
      '--era is "4.14"; expected a version of Linux from 2.6.23 to 4.13, e.g. 2.6.34',
    ],
    [['--all-traps', '--answer', 'kvm'], '--answer is "kvm"; expected skip, xen, lguest, monitor'],
  ])('%j is a usage error', async (flags, message) => {
    const result = await run(NATIVE, '--as', 'contract', ...EMBEDDED, ...flags);
    expect(result.code).toBe(2);
    expect(result.stderr).toContain(message);
  });
});
