/** The built command as a process of its own: exit code, streams, a pipe that is closed early, signals. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, type TestContext } from 'vitest';
import { buildElf } from '../support/elf-builder.ts';

const BIN = 'dist/src/cli/main.js';

function needsBuild(context: TestContext): void {
  if (!existsSync(BIN)) context.skip(`${BIN} is not built: npm run build makes it`);
}

function startup32(context: TestContext, script: string) {
  needsBuild(context);
  return spawnSync('sh', ['-c', script], { encoding: 'utf8' });
}

it('prints the report on stdout and ends in 0', context => {
  const { status, stdout, stderr } = startup32(
    context,
    `node ${BIN} run images/native/native.elf --as lguest`,
  );
  expect(stdout).toMatch(/^#GP\(0\) at startup_32\+0x1 \(0x00100001\): cli needs CPL <= IOPL/);
  expect(stdout).not.toContain('\u001b');
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

it('prints no stack trace for a bad image', context => {
  const { status, stdout, stderr } = startup32(context, `node ${BIN} run package.json --as lguest`);
  expect(stdout).toBe('');
  expect(stderr).toMatch(/^startup32: not-a-kernel: [^\n]*\n$/);
  expect(status).toBe(3);
});

it('is quiet when the reader of a pipe goes away, and keeps its exit code', context => {
  const command = `node ${BIN} inspect images/native/native.elf`;
  const { stderr } = startup32(context, `{ ${command}; echo "exit $?" >&2; } | true`);
  expect(stderr).toBe('exit 0\n');
});

it('does not start at all without an image, and says so', context => {
  const { status, stderr } = startup32(context, `node ${BIN} run`);
  expect(stderr).toBe("startup32: missing-argument: missing required argument 'image'\n");
  expect(status).toBe(2);
});

it('says that the report cannot be written, and ends in 4', context => {
  const { status, stderr } = startup32(
    context,
    `node ${BIN} run images/native/native.elf --as lguest --engine unicorn.js > /dev/full`,
  );
  expect(stderr).toBe('startup32: output-failed: the report cannot be written (ENOSPC)\n');
  expect(status).toBe(4);
});

it('reads an image from a pipe', context => {
  const { status, stdout } = startup32(
    context,
    `cat images/native/native.elf | node ${BIN} run /dev/stdin --as lguest --engine unicorn.js`,
  );
  expect(stdout).toMatch(/^#GP\(0\) at startup_32\+0x1 /);
  expect(status).toBe(0);
});

it('takes the line of progress away when SIGTERM ends it', async context => {
  needsBuild(context);
  // The shell becomes the command, so it is the command's process id that it prints.
  const jump = join(mkdtempSync(join(tmpdir(), 'startup32-')), 'jump.elf');
  writeFileSync(
    jump,
    buildElf({
      entry: 0x100000,
      segments: [{ physical: 0x100000, contents: Uint8Array.of(0xeb, 0xfe) }], // 1: jmp 1b
    }),
  );
  const command = `echo $$; exec node ${BIN} run ${jump} --as contract -n unlimited --engine unicorn.js`;
  const terminal = spawn('script', ['-qec', command, '/dev/null'], {
    env: { ...process.env, TERM: 'xterm', SHELL: '/bin/sh' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let shown = '';
  terminal.stdout.setEncoding('latin1').on('data', (text: string) => {
    const before = shown;
    shown += text;
    if (before.includes(' instructions') || !shown.includes(' instructions')) return;
    process.kill(Number.parseInt(shown, 10), 'SIGTERM');
  });
  const status = await new Promise<number | null | Error>(resolve => {
    terminal.on('error', resolve).on('close', resolve);
  });
  if (status instanceof Error) context.skip(`script(1) gives the command its terminal: ${status.message}`);
  const end = ' instructions\u001b[K\r\u001b[K';
  expect(shown.slice(-end.length)).toBe(end);
  expect(status).toBe(128 + 15);
});
