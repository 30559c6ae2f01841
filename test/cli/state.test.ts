/** `startup32 state` as a user calls it. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Io } from '../../src/cli/io.ts';
import { main } from '../../src/cli/main.ts';
import { splitWords } from '../../src/cli/shell-words.ts';

const NATIVE = 'images/native/native.elf';
const BZIMAGE = 'images/bzimage/bzimage.bin';

async function startup32(argv: readonly string[], options: Partial<Io> = {}) {
  let stdout = '';
  let stderr = '';
  const code = await main(argv, {
    stdout: { write: chunk => (stdout += String(chunk)) },
    stderr: { write: chunk => (stderr += String(chunk)) },
    color: false,
    ...options,
  });
  return { code, stdout, stderr };
}

const state = (...argv: string[]) => startup32(['state', ...argv]);
const folder = (): string => mkdtempSync(join(tmpdir(), 'startup32-'));

describe('state', () => {
  it('prints what a protocol hands to the kernel, and ends in 0', async () => {
    const { stdout, stderr, code } = await state(NATIVE, '--as', 'lguest');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.split('\n')[0]).toBe(
      `${NATIVE} as lguest: ring 1, paging 32-bit, starts at startup_32 (0x00100000)`,
    );
    expect(stdout).toMatch(/^ {2}CS {3}0061 .* 1 .*code, readable, accessed, 32-bit$/m);
  });

  it('takes the knobs of the protocol', async () => {
    const { stdout } = await state(
      NATIVE,
      '--as',
      'pc',
      '--ring',
      '1',
      '--paging',
      'pae',
      '--format',
      'json',
    );
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 'startup32/state@1',
      ring: 1,
      knobs: { ring: '1', paging: 'pae' },
      control: { cr4: { set: ['PAE'] } },
    });
  });

  it('shows the fields that are zero with --all alone', async () => {
    expect((await state(NATIVE, '--as', 'pc')).stdout).toMatch(/^ {2}… \d+ fields are zero$/m);
    expect((await state(NATIVE, '--as', 'pc', '--all')).stdout).not.toContain('fields are zero');
  });

  it('has colour on a terminal alone', async () => {
    expect((await state(NATIVE, '--as', 'pc')).stdout).not.toContain('\u001b');
    const onTerminal = await startup32(['state', NATIVE, '--as', 'pc'], { color: true });
    expect(onTerminal.stdout).toContain('\u001b[1mregisters\u001b[22m');
  });

  it.each([
    [['state', NATIVE], 2, /^startup32: missing-protocol: /],
    [['state', '--as', 'pc'], 2, /^startup32: missing-argument: /],
    [['state', NATIVE, '--as', 'contract', '--era', '4.13'], 2, /^startup32: unknown-knob: /],
    [['state', 'package.json', '--as', 'pc'], 3, /^startup32: not-a-kernel: /],
    [['state', NATIVE, '--diff', 'pc'], 2, /^startup32: bad-value: --diff is "pc"; expected two protocols/],
    [
      ['state', NATIVE, '--diff', 'pc', 'lguest', 'xen'],
      2,
      /^startup32: bad-value: --diff is "pc lguest xen"/,
    ],
    [['state', NATIVE, '--diff', 'pc', 'lguset'], 2, /^startup32: unknown-protocol: .*did you mean lguest/],
    [['state', NATIVE, '--diff', 'pc --rong 1', 'pc'], 2, /^startup32: unknown-option: .*--rong/],
    [
      ['state', NATIVE, '--diff', "pc --cmdline 'a", 'pc'],
      2,
      /^startup32: bad-value: --diff names .*closing '/,
    ],
    [['state', NATIVE, '--diff', 'pc', 'lguest', '--as', 'pc'], 2, /^startup32: with-diff: --as /],
    [['state', NATIVE, '--diff', 'pc', 'lguest', '--write', 'x'], 2, /^startup32: with-diff: --write /],
  ] as const)('refuses %j', async (argv, code, line) => {
    const result = await startup32(argv);
    expect(result.stderr).toMatch(line);
    expect([result.code, result.stdout]).toEqual([code, '']);
  });
});

describe('--diff', () => {
  const json = async (...argv: string[]) => JSON.parse((await state(...argv, '--format', 'json')).stdout);

  it('compares two protocols, wherever the image stands', async () => {
    const { stdout, code } = await state(NATIVE, '--diff', 'pc', 'lguest');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ {2}ring +0 +1$/m);
    expect((await state('--diff', 'pc', 'lguest', '--', NATIVE)).stdout).toBe(stdout);
    expect((await state('--diff', 'pc', 'lguest', NATIVE)).stdout).toBe(stdout);
  });

  it('reads a pipe once', async () => {
    const pipe = join(folder(), 'pipe');
    execFileSync('mkfifo', [pipe]);
    spawn('sh', ['-c', 'cat "$1" > "$2"', 'sh', NATIVE, pipe]);
    const { stdout, stderr } = await state(pipe, '--diff', 'pc', 'lguest');
    expect(stderr).toBe('');
    expect(stdout).toBe((await state(NATIVE, '--diff', 'pc', 'lguest')).stdout.replaceAll(NATIVE, pipe));
  });

  it('says that there is no difference', async () => {
    const { stdout } = await state(NATIVE, '--diff', 'pc', 'pc');
    expect(stdout.split('\n')[0]).toBe(`${NATIVE} as pc and as pc: the same`);
    expect((await json(NATIVE, '--diff', 'pc', 'pc')).differences).toEqual([]);
  });

  it('takes knobs for both, and knobs for one that come before those', async () => {
    const { a, b, differences } = await json(NATIVE, '--diff', 'pc --ring 1', 'pc', '--memory', '32M');
    expect([a.knobs.ring, b.knobs.ring]).toEqual(['1', '0']);
    expect([a.knobs.memory, b.knobs.memory]).toEqual(['32M', '32M']);
    expect(differences[0]).toEqual({
      part: 'ring',
      name: 'ring',
      differ: ['value'],
      a: { value: 1 },
      b: { value: 0 },
    });
    const own = await json(NATIVE, '--diff', 'pc --memory 16M', 'pc', '--memory', '32M');
    expect([own.a.knobs.memory, own.b.knobs.memory]).toEqual(['16M', '32M']);
  });

  it('names a knob that one of the two does not have, and how one alone gets it', async () => {
    const { stderr, code } = await state(NATIVE, '--diff', 'lguest', 'pc', '--era', '2.6.24');
    expect(stderr).toMatch(
      /^startup32: unknown-knob: pc has no knob --era; .*; a knob for one of the two stands in its quotes, e\.g\. --diff "pc --ring 1" xen\n$/,
    );
    expect(code).toBe(2);
  });
});

describe('--write', () => {
  it('writes each region with the bytes that a machine begins with, and an index', async () => {
    const directory = join(folder(), 'new', 'dump');
    const { code, stdout } = await state(
      NATIVE,
      '--as',
      'pc',
      '--poison',
      '--write',
      directory,
      '--format',
      'json',
    );
    expect(code).toBe(0);
    const index = JSON.parse(readFileSync(join(directory, 'regions.json'), 'utf8'));
    expect(index).toMatchObject({ schema: 'startup32/regions@1', protocol: 'pc' });
    expect(index.regions.map(({ name, start, size }: never) => [name, start, size])).toEqual(
      JSON.parse(stdout).memory.regions.map(({ name, start, size }: never) => [name, start, size]),
    );
    for (const { file, size, sha256 } of index.regions) {
      const bytes = readFileSync(join(directory, file));
      expect(bytes).toHaveLength(size);
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256);
    }
    // The first segment as the file has it: readelf -l says offset 0x1000, p_filesz 0x16f.
    const segment = readFileSync(join(directory, '00100000-load-0.bin'));
    expect(segment.equals(readFileSync(NATIVE).subarray(0x1000, 0x1000 + segment.length))).toBe(true);
  });

  it('fills what no one defines as a machine does, and leaves zeros to the file system', async () => {
    const [poisoned, zero] = [folder(), folder()];
    const knobs = ['--as', 'pc'];
    await state(BZIMAGE, ...knobs, '--poison', '--write', poisoned);
    await state(BZIMAGE, ...knobs, '--write', zero);
    const name = readdirSync(zero).find(file => file.endsWith('init-size-area.bin')) ?? '';
    expect(new Set(readFileSync(join(poisoned, name)))).toEqual(new Set([0xcc]));
    expect(new Set(readFileSync(join(zero, name)))).toEqual(new Set([0]));
    expect(statSync(join(zero, name)).blocks).toBeLessThanOrEqual(8);
  });

  it('writes over its own files, leaves others alone, and follows no link', async () => {
    const directory = folder();
    await state(NATIVE, '--as', 'lguest', '--write', directory);
    const outside = join(folder(), 'outside');
    writeFileSync(outside, 'mine');
    writeFileSync(join(directory, 'notes.txt'), 'mine');
    await state(NATIVE, '--as', 'pc', '--write', directory);
    expect(readdirSync(directory)).toContain('notes.txt');
    expect(readdirSync(directory)).not.toContain('00000000-boot-params.bin');
    symlinkSync(outside, join(directory, '00000000-boot-params.bin'));
    const { stderr, code } = await state(NATIVE, '--as', 'lguest', '--write', directory);
    expect(stderr).toMatch(/^startup32: not-writable: --write names .* \(EEXIST\)\n$/);
    expect(code).toBe(2);
    expect(readFileSync(outside, 'utf8')).toBe('mine');
  });

  it('refuses a directory that holds something else', async () => {
    const directory = folder();
    writeFileSync(join(directory, 'thesis.txt'), 'x');
    const { stderr, stdout, code } = await state(NATIVE, '--as', 'pc', '--write', directory);
    expect(stderr).toMatch(/^startup32: not-a-dump: --write names .*, which holds other files; /);
    expect([code, stdout]).toEqual([2, '']);
    expect(readdirSync(directory)).toEqual(['thesis.txt']);
    writeFileSync(join(directory, 'regions.json'), '{"schema": "another"}');
    expect((await state(NATIVE, '--as', 'pc', '--write', directory)).code).toBe(2);
  });

  it('removes nothing that an index names and that is no file of its own', async () => {
    const parent = folder();
    const directory = join(parent, 'dump');
    mkdirSync(directory);
    writeFileSync(join(parent, 'precious'), 'x');
    writeFileSync(
      join(directory, 'regions.json'),
      JSON.stringify({ schema: 'startup32/regions@1', regions: [{ file: '../precious' }, 1, null] }),
    );
    expect((await state(NATIVE, '--as', 'pc', '--write', directory)).code).toBe(0);
    expect(readFileSync(join(parent, 'precious'), 'utf8')).toBe('x');
  });

  // Under /proc (Linux) there is no such directory, and none can be made.
  it.each([join(NATIVE, 'below'), '/proc/none', '/proc/none/below'])(
    'says that a directory cannot be made: %s',
    async directory => {
      const { stderr, code } = await state(NATIVE, '--as', 'pc', '--write', directory);
      expect(stderr).toMatch(/^startup32: not-writable: /);
      expect(code).toBe(2);
    },
  );
});

it('words are taken apart as a shell does', () => {
  expect(splitWords('pc --ring 1')).toEqual(['pc', '--ring', '1']);
  expect(splitWords(`pc --cmdline 'a  b' "c \\"d\\" \\n" e\\ f ''`)).toEqual([
    'pc',
    '--cmdline',
    'a  b',
    'c "d" \\n',
    'e f',
    '',
  ]);
  expect(() => splitWords('pc "a')).toThrow('expected a closing "');
});

it('loads no engine', () => {
  const loaded = new Set<string>();
  const visit = (file: string): void => {
    if (loaded.has(file)) return;
    loaded.add(file);
    const imports = readFileSync(file, 'utf8').matchAll(
      /^(?:import|export)\s+(type\s)?[^;'"]*?from\s+'(\.[^']+)'/gm,
    );
    for (const [, typeOnly, to = ''] of imports) if (typeOnly === undefined) visit(join(dirname(file), to));
  };
  for (const file of ['main', 'state/state', 'state/state-diff', 'state/state-files'])
    visit(`src/cli/${file}.ts`);
  expect(loaded.size).toBeGreaterThan(30);
  const engine = /^emulator\/(unicorn\/|machine|guest|run\/)/;
  expect([...loaded].filter(file => engine.test(file))).toEqual([]);
});

/** Each printout of a page: the command, and the lines that it shows; a line of `…` alone stands for some that it leaves out. */
const printouts = [
  ...readFileSync('docs/state.md', 'utf8').matchAll(/```sh\nstartup32 (state .*)\n```\n\n```\n([^`]*)\n```/g),
];

it.each(printouts.map(([, command = '', shown = '']) => [command, shown]))(
  'docs/state.md shows what `%s` prints',
  async (command, shown) => {
    const printed = (await startup32(splitWords(command))).stdout.split('\n');
    let at = 0;
    for (const line of shown.split('\n')) {
      if (line === '…') continue;
      at = printed.indexOf(line, at) + 1;
      expect(at, line).toBeGreaterThan(0);
    }
  },
);

it('docs/state.md has printouts', () => {
  expect(printouts).toHaveLength(2);
});
