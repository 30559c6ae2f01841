/** `--stop-on`: what ends a run besides a fault. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { main } from '../../src/cli/main.ts';

const POPF = 'images/popf/popf.elf';

async function run(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  let stdout = '';
  let stderr = '';
  const text = (chunk: string | Uint8Array): string => Buffer.from(chunk).toString('latin1');
  const image = path.resolve(import.meta.dirname, '../..', words[0] ?? '');
  const code = await main(['run', image, '--engine', 'unicorn.js', ...words.slice(1)], {
    stdout: { write: chunk => (stdout += text(chunk)) },
    stderr: { write: chunk => (stderr += text(chunk)) },
    color: false,
  });
  return { code, stdout, stderr };
}

it('fault: a popf that loses IF passes silently, and the report says so', async () => {
  const { code, stdout } = await run(POPF, '--as', 'lguest', '--stop-on', 'fault');
  expect(code).toBe(0);
  expect(stdout.split('\n')[0]).toMatch(/^#GP\(0\) at stop \(0x0010002a\): hlt needs CPL 0/);
  // docs/how-to-read-a-trap.md
  expect(stdout).toContain(`
passed silently
   3 x popf at clear_if_popf: IF stays 1 (asked: 0); saw EFLAGS 0x00000202 (IF 1, IOPL 0); bare
      EFLAGS 0x00000002 (IF 0, IOPL 0)
`);
  expect(stdout).toMatch(/^repeat .* --as lguest --stop-on fault --engine unicorn\.js$/m);
});

it('loss: the default, which the command that repeats the run leaves out', async () => {
  const { stdout } = await run(POPF, '--as', 'lguest', '--stop-on', 'loss');
  expect(stdout).toBe((await run(POPF, '--as', 'lguest')).stdout);
  expect(stdout.split('\n')[0]).toMatch(/^popf at clear_if_popf /);
  // docs/how-to-read-a-trap.md
  expect(stdout).toContain(`
EFLAGS  before  requested  after
CF      1       0          0
AF      1       0          0
SF      1       0          0
IF      1       0          1
`);
  expect(stdout).not.toMatch(/--stop-on/);
});

it('sensitive: the first silent instruction outside ring 0', async () => {
  const image = 'images/segment-reload/segment-reload.elf';
  const { code, stdout } = await run(image, '--as', 'pc', '--ring', '1', '--stop-on', 'sensitive');
  expect(code).toBe(0);
  expect(stdout.split('\n')[0]).toBe(
    'sensitive at reload_ds (0x00100018): mov %eax,%ds loads 0x0018 (DPL 1); on a PC 0x0018 (DPL 0)',
  );
  expect(stdout).toMatch(/^means {2}/m);
  expect(stdout).toMatch(/^repeat .* --as pc --ring 1 --stop-on sensitive /m);
});

it('refuses any other word', async () => {
  const { code, stderr } = await run(POPF, '--as', 'lguest', '--stop-on', 'trap');
  expect(stderr).toMatch(/^startup32: bad-value: --stop-on is .*fault, loss/);
  expect(code).toBe(2);
});

it('says the same of sensitive in the help, the README and the change log', async () => {
  let help = '';
  await main(['run', '--help'], {
    stdout: { write: chunk => (help += String(chunk)) },
    stderr: { write: () => undefined },
    color: false,
  });
  const words = 'the first silent instruction outside ring 0';
  expect(help.replace(/\s+/g, ' ')).toContain(`sensitive: ${words}`);
  for (const page of ['README.md', 'CHANGELOG.md']) {
    const text = await readFile(path.resolve(import.meta.dirname, '../..', page), 'utf8');
    expect(text.replace(/\s+/g, ' ')).toContain(words);
  }
});
