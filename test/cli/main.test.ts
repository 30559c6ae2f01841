/** The command line in this process, with its streams captured. Expected Stops: the pages under images/. */
import { mkdtempSync, readFileSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import type { Io } from '../../src/cli/io.ts';
import { main } from '../../src/cli/main.ts';
import { stopJsonSchema } from '../../src/report/schema/build.ts';

const NATIVE = 'images/native/native.elf';
const SHUTDOWN = 'images/shutdown/shutdown.elf';
const XEN_HELLO = 'images/xen-hello/xen-hello.elf';
const BZIMAGE = 'images/bzimage/bzimage.bin';

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function startup32(argv: readonly string[], options: Partial<Io> = {}): Promise<Result> {
  let stdout = '';
  let stderr = '';
  const text = (chunk: string | Uint8Array): string =>
    typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('latin1');
  const code = await main(argv, {
    stdout: { write: chunk => (stdout += text(chunk)) },
    stderr: { write: chunk => (stderr += text(chunk)) },
    color: false,
    ...options,
  });
  return { code, stdout, stderr };
}

const run = (...argv: string[]): Promise<Result> => startup32(['run', '--engine', 'unicorn.js', ...argv]);
const firstLine = ({ stdout }: Result): string | undefined => stdout.split('\n')[0];

describe('run', () => {
  it('reports the first trap on stdout and nothing on stderr', async () => {
    const result = await run(NATIVE, '--as', 'lguest');
    expect(firstLine(result)).toBe(
      '#GP(0) at startup_32+0x1 (0x00100001): cli needs CPL <= IOPL; under lguest CPL is 1 and IOPL 0',
    );
    expect(result.stdout).toMatch(/ {3}instruction 2$/m);
    expect(result.stderr).toBe('');
    expect(result.code).toBe(0);
  });

  it('gives a JSON report that the published schema accepts', async () => {
    const { stdout } = await run(NATIVE, '--as', 'lguest', '--format', 'json');
    const validate = new Ajv({ allowUnionTypes: true }).compile(stopJsonSchema());
    validate(JSON.parse(stdout));
    expect(validate.errors).toBeNull();
    expect(JSON.parse(stdout)).toMatchObject({
      kind: 'iopl-sensitive-instruction',
      at: { address: '0x00100001', symbol: 'startup_32+0x1' },
      instructions: 1,
      engine: { name: 'unicorn.js' },
    });
  });

  it('writes the command that repeats the run, with what differs from the defaults and nothing else', async () => {
    const result = await run(
      NATIVE,
      '--as',
      'contract',
      '--ring',
      '1',
      '--memory',
      '32M',
      '--cmdline',
      "it's quiet",
      '--until',
      'startup_32+0x1',
    );
    expect(result.stdout).toContain(
      `repeat startup32 run ${NATIVE} --as contract --memory 32M --cmdline 'it'\\''s quiet' --until startup_32+0x1 --engine unicorn.js\n`,
    );
  });

  it('stops at a place that is named by symbol or address', async () => {
    for (const place of ['startup_32+0x1', '0x100001', '1048577']) {
      const result = await run(NATIVE, '--as', 'pc', '--until', place);
      expect(firstLine(result)).toBe(
        'reached at startup_32+0x1 (0x00100001): cli is next; nothing trapped before',
      );
      expect(result.code).toBe(0);
    }
  });

  it.for(['unicorn.js', 'libunicorn'])(
    'stops at the virtual address of a symbol above PAGE_OFFSET, with %s',
    async (engine, context) => {
      const result = await startup32(['run', NATIVE, '--as', 'pc', '--until', 'high', '--engine', engine]);
      if (result.stderr.includes('engine-not-found')) context.skip(result.stderr);
      expect(firstLine(result)).toMatch(/^reached at high \(0xc0100148\): /);
      expect(result.code).toBe(0);
    },
  );

  it('repeats with --serial, and with a path that no one takes for an option', async () => {
    expect((await run(NATIVE, '--as', 'pc', '--serial')).stdout).toMatch(/^repeat .* --serial$/m);
    expect((await run('--as', 'pc', '--', '-missing')).stderr).toContain('-missing: there is no such file');
  });

  it('suggests a symbol for one that is not there', async () => {
    const result = await run(NATIVE, '--as', 'pc', '--until', 'startup_23');
    expect(result.stderr).toMatch(/^startup32: unknown-symbol: .*\(did you mean startup_32\?\)\n$/);
    expect(result.code).toBe(2);
    expect(result.stdout).toBe('');
  });

  it('ends in 7 when the budget is spent', async () => {
    const result = await run(NATIVE, '--as', 'pc', '-n', '1');
    expect(firstLine(result)).toContain('budget spent at startup_32+0x1 ');
    expect(result.code).toBe(7);
  });

  it('ends in 6 when the guest dies', async () => {
    const result = await run(SHUTDOWN, '--as', 'pc');
    expect(firstLine(result)).toMatch(/^shutdown at /);
    expect(result.code).toBe(6);
  });

  it('ends in 130 when it is interrupted, with a report', async () => {
    const controller = new AbortController();
    controller.abort();
    const result = await startup32(['run', NATIVE, '--as', 'pc', '--engine', 'unicorn.js'], {
      signal: controller.signal,
    });
    expect(firstLine(result)).toMatch(/^interrupted at startup_32 /);
    expect(result.code).toBe(130);
  });

  it('shows serial output live on stderr and in the report, only when asked', async () => {
    const quiet = await run(NATIVE, '--as', 'pc');
    expect(quiet.stderr).toBe('');
    expect(quiet.stdout).not.toMatch(/^serial$/m);
    const loud = await run(NATIVE, '--as', 'pc', '--serial', '--engine', 'unicorn.js');
    const message = 'native: paging is on, running above PAGE_OFFSET';
    expect(loud.stderr).toContain(message);
    expect(loud.stdout).toContain(`serial\n| ${message}\n`);
  });

  it('shows Intel syntax', async () => {
    const result = await run(NATIVE, '--as', 'contract', '--until', 'startup_32', '--syntax', 'intel');
    expect(result.stdout).toContain('lgdt   [0x100120]');
  });

  it('colours the report of a terminal', async () => {
    const result = await startup32(['run', NATIVE, '--as', 'lguest', '--engine', 'unicorn.js'], {
      color: true,
    });
    expect(result.stdout.startsWith('\u001b[1m#GP(0)')).toBe(true);
  });

  it('logs on stderr when told to, one JSON object a line, the same every time', async () => {
    const result = await run(NATIVE, '--as', 'lguest', '--log-level', 'info');
    const lines = result.stderr
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line));
    expect(lines.map(line => line.msg)).toEqual(['image read', 'machine ready', 'stopped']);
    expect(lines[0]).not.toHaveProperty('time');
    expect(lines[0]).not.toHaveProperty('hostname');
  });
});

describe('an error', () => {
  const folder = mkdtempSync(join(tmpdir(), 'startup32-'));
  const text = join(folder, 'not-a-kernel.txt');
  writeFileSync(text, 'hello\n');

  it.each([
    [
      ['run', NATIVE],
      2,
      /^startup32: missing-protocol: --as is missing; expected one of pc, .*lguest, .*xen, .*contract\n$/,
    ],
    [['run', NATIVE, '--as', 'lgest'], 2, /^startup32: unknown-protocol: .*\(did you mean lguest\?\)\n$/],
    [['run', NATIVE, '--as', 'lguest', '--load-address', '0x100000'], 2, /^startup32: unknown-knob: /],
    [
      ['run', NATIVE, '--as', 'pc', '--ring', '4'],
      2,
      /^startup32: bad-value: --ring is "4"; expected 0, 1, 2, 3\n$/,
    ],
    [
      ['run', NATIVE, '--as', 'pc', '--paging', 'pea'],
      2,
      /^startup32: bad-value: --paging is "pea"; expected off, on, pae \(did you mean pae\?\)\n$/,
    ],
    [
      ['run', NATIVE, '--as', 'pc', '--memory', '64MB'],
      2,
      /^startup32: bad-value: --memory is "64MB"; expected a size/,
    ],
    [['run', NATIVE, '--as', 'pc', '--memory', '4097'], 2, /^startup32: bad-knob: /],
    [
      ['run', NATIVE, '--as', 'pc', '--cpu', 'z80'],
      2,
      /^startup32: bad-knob: --cpu is z80; expected one of i686/,
    ],
    [
      ['run', NATIVE, '--as', 'pc', '--initrd', join(folder, 'none')],
      2,
      /^startup32: unreadable-initrd: --initrd names .*: there is no such file\n$/,
    ],
    [
      ['run', NATIVE, '--as', 'pc', '--symbols', '/'],
      2,
      /^startup32: unreadable-symbols: --symbols names \/: is a directory; expected a file\n$/,
    ],
    [['run', '', '--as', 'pc'], 3, /^startup32: unreadable-file: "": there is no such file\n$/],
    [['run', NATIVE, '--as', 'pc', '--frob'], 2, /^startup32: unknown-option: /],
    [['run', '--as', 'pc'], 2, /^startup32: missing-argument: /],
    [['boot', NATIVE], 2, /^startup32: unknown-command: /],
    [
      ['run', join(folder, 'none'), '--as', 'pc'],
      3,
      /^startup32: unreadable-file: .*there is no such file\n$/,
    ],
    [['run', folder, '--as', 'pc'], 3, /^startup32: unreadable-file: .*is a directory/],
    [['run', text, '--as', 'pc'], 3, /^startup32: not-a-kernel: .*68 65 6c 6c at offset 0x0/],
    [['inspect', text], 3, /^startup32: not-a-kernel: /],
    [['run', NATIVE, '--as', 'pc', '--engine', 'libunicorn', '--libunicorn', text], 4, /^startup32: engine-/],
  ] as const)('of %j is one line, and ends in %i', async (argv, code, line) => {
    const result = await startup32(argv);
    expect(result.stderr).toMatch(line);
    expect(result.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(result.stdout).toBe('');
    expect(result.code).toBe(code);
  });
});

it('an image that a protocol cannot start is an error that says why, and who can, and ends in 3', async () => {
  for (const image of [NATIVE, BZIMAGE]) {
    const { stderr, stdout, code } = await run(image, '--as', 'xen', '--no-cache');
    expect(stderr).toMatch(
      /^startup32: no-xen-notes: .* it has neither Xen ELF notes nor a section __xen_guest\nstartup32: it can be started as: pc, .*contract\n$/,
    );
    expect(stdout).toBe('');
    expect(code).toBe(3);
  }
});

describe('inspect', () => {
  it('shows entry points, notes by name, and who can start the image', async () => {
    const { stdout, code } = await startup32(['inspect', XEN_HELLO]);
    expect(code).toBe(0);
    expect(stdout).toContain('XEN_ELFNOTE_ENTRY 0xc0100004 (virtual)');
    expect(stdout).toMatch(/Xen +XEN_ELFNOTE_PAE_MODE +"yes"$/m);
    expect(stdout).toMatch(/^ {2}xen +yes$/m);
  });

  it('shows the setup header field by field, and why an image cannot be started', async () => {
    const { stdout } = await startup32(['inspect', BZIMAGE]);
    expect(stdout).toMatch(/^ {2}0x206 +version +0x20a$/m);
    expect(stdout).toMatch(/^ {2}0x211 +loadflags +0x1 +LOADED_HIGH$/m);
    expect(stdout).toMatch(/^ {2}multiboot +no +.*\n? +.*\(no-multiboot-header\)$/m);
  });

  it('does not unpack to find out who could start the kernel proper', async () => {
    const { stdout } = await startup32(['inspect', BZIMAGE]);
    expect(stdout).toMatch(/^ {2}xen +\? +.*\n? +.*\(not-unpacked\)$/m);
  });

  it('gives the same as JSON', async () => {
    const { stdout } = await startup32(['inspect', XEN_HELLO, '--format', 'json']);
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 'startup32/inspect@1',
      format: 'elf',
      entryPoints: [
        { name: 'e_entry', address: '0x00100000', space: 'physical' },
        { name: 'XEN_ELFNOTE_ENTRY', address: '0xc0100004', space: 'virtual' },
      ],
    });
  });
});

describe('protocols', () => {
  it('lists every protocol with its knobs and their defaults', async () => {
    const { stdout } = await startup32(['protocols']);
    for (const name of ['pc', 'lguest', 'xen', 'contract'])
      expect(stdout).toMatch(new RegExp(`^${name}: `, 'm'));
    expect(stdout).toMatch(/--memory SIZE +.*\(default: 64M\)$/m);
  });

  it('gives the same as JSON', async () => {
    const { stdout } = await startup32(['protocols', '--format', 'json']);
    const { protocols } = JSON.parse(stdout);
    expect(protocols.map((protocol: { name: string }) => protocol.name)).toEqual([
      'pc',
      'kexec',
      'lguest',
      'xen',
      'xen-startup32',
      'xen-supervisor',
      'startup-paravirt',
      'vmi',
      'pvh',
      'multiboot',
      'contract',
    ]);
  });
});

it('shows its version and its help', async () => {
  expect((await startup32(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  const help = await startup32(['run', '--help']);
  expect(help.stdout).toContain('Exit codes:');
  expect(help.code).toBe(0);
  const nothing = await startup32([]);
  expect(nothing.stderr).toContain('Usage: startup32');
  expect(nothing.code).toBe(2);
});

it('escapes the control characters of a file name in the report and in errors', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'startup32-')), 'a\u001b[31m\n.elf');
  expect((await run(path, '--as', 'pc')).stderr).toMatch(/^startup32: unreadable-file: [ -~]*\n$/);
  writeFileSync(path, readFileSync(NATIVE));
  const { stdout } = await run(path, '--as', 'pc');
  expect(stdout).not.toContain('\u001b');
  expect(stdout).toMatch(/^image {2}.*a\\x1b\[31m\\x0a\.elf /m);
  expect(stdout).toMatch(/^repeat startup32 run \$'.*a\\033\[31m\\012\.elf' --as pc/m);
  expect((await startup32(['inspect', path])).stdout).not.toContain('\u001b');
});

it('does not read devices, and reads what is too large by its size alone', async () => {
  expect((await run('/dev/zero', '--as', 'pc')).stderr).toBe(
    'startup32: unreadable-file: /dev/zero: is a device; expected a regular file or a pipe\n',
  );
  expect((await run(NATIVE, '--as', 'pc', '--initrd', '/dev/zero')).stderr).toContain('is a device');
  const sparse = join(mkdtempSync(join(tmpdir(), 'startup32-')), 'sparse');
  writeFileSync(sparse, '');
  truncateSync(sparse, 600 * 2 ** 20);
  expect((await run(sparse, '--as', 'pc')).stderr).toContain(
    'has 629145600 bytes; expected at most 536870912',
  );
  unlinkSync(sparse);
});

it('suggests nothing for a value that is no misspelling', async () => {
  expect((await run(NATIVE, '--as', 'pc', '--ring', '0x1')).stderr).toBe(
    'startup32: bad-value: --ring is "0x1"; expected 0, 1, 2, 3\n',
  );
});

it('keeps inspect in 100 columns, without the path in every reason', async () => {
  for (const path of [NATIVE, BZIMAGE, XEN_HELLO]) {
    const { stdout } = await startup32(['inspect', path]);
    const answers = stdout.slice(stdout.indexOf('can be started as'));
    expect(answers).not.toContain(path);
    expect(Math.max(...answers.split('\n').map(line => line.length))).toBeLessThanOrEqual(100);
  }
});
