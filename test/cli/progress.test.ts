/** The line about long work: after a second, a few times a second, gone at the end; time is the test's own. */
import { describe, expect, it } from 'vitest';
import type { Io } from '../../src/cli/io.ts';
import { main } from '../../src/cli/main.ts';
import { ended, showProgress } from '../../src/cli/progress.ts';

const ERASE = '\u001b[K';
const UP = '\u001b[A';

/** A terminal whose clock stands still until it is moved. */
function terminal(columns = 80) {
  let now = 5000;
  let text = '';
  const io: Io = {
    stdout: { write: () => {} },
    stderr: { write: chunk => (text += String(chunk)) },
    color: false,
    progress: { now: () => now, columns: () => columns },
  };
  return {
    io,
    wait: (milliseconds: number) => {
      now += milliseconds;
    },
    /** What was written since the last call. */
    written: () => {
      const written = text;
      text = '';
      return written;
    },
  };
}

describe('showProgress', () => {
  it('shows nothing in the first second, and nothing of work that is done by then', () => {
    const { io, wait, written } = terminal();
    {
      using progress = showProgress(io, 'unpacking vmlinuz');
      progress.report(10, 100);
      wait(999);
      progress.report(99, 100);
    }
    expect(written()).toBe('');
  });

  it('shows the part that is done, at most ten times a second', () => {
    const { io, wait, written } = terminal();
    const progress = showProgress(io, 'unpacking vmlinuz');
    wait(1000);
    progress.report(425, 1000);
    expect(written()).toBe(`\runpacking vmlinuz 42%${ERASE}`);
    wait(99);
    progress.report(500, 1000);
    expect(written()).toBe('');
    wait(1);
    progress.report(600, 1000);
    expect(written()).toBe(`\runpacking vmlinuz 60%${ERASE}`);
  });

  it('takes the line away at the end, and says nothing afterwards', () => {
    const { io, wait, written } = terminal();
    const progress = showProgress(io, 'unpacking vmlinuz');
    wait(1000);
    progress.report(1, 2);
    written();
    progress[Symbol.dispose]();
    expect(written()).toBe(`\r${ERASE}`);
    wait(1000);
    progress.report(2, 2);
    progress[Symbol.dispose]();
    expect(written()).toBe('');
  });

  it('takes the line away when the work fails', async () => {
    const { io, wait, written } = terminal();
    const progress = showProgress(io, 'running vmlinuz', 'instructions');
    wait(1000);
    progress.report(1);
    written();
    await expect(ended(progress, Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(written()).toBe(`\r${ERASE}`);
  });

  it('shows an amount where no one knows the total', () => {
    const { io, wait, written } = terminal();
    const bytes = showProgress(io, 'reading a pipe');
    const run = showProgress(io, 'running vmlinuz', 'instructions');
    wait(1000);
    bytes.report(700 * 1024);
    expect(written()).toBe(`\rreading a pipe 700 KiB${ERASE}`);
    run.report(1_234_567, Number.POSITIVE_INFINITY);
    expect(written()).toBe(`\rrunning vmlinuz 1,234,567 instructions${ERASE}`);
    wait(100);
    bytes.report(5 * 1024 * 1024 + 1);
    expect(written()).toBe(`\rreading a pipe 5 MiB${ERASE}`);
    run.report(2_000_000, 50_000_000);
    expect(written()).toBe(`\rrunning vmlinuz 2,000,000 of 50,000,000 instructions${ERASE}`);
  });

  it('leaves the cursor under what it says of work that Ctrl-C ends at once, and takes that away too', () => {
    const { io, wait, written } = terminal();
    const progress = showProgress(io, 'running vmlinuz', 'instructions');
    const claims = ['not counted any more; Ctrl-C ends it without a report', '(not counted any more)'];
    progress.say(...claims);
    expect(written()).toBe(`\rrunning vmlinuz ${claims[0]}${ERASE}\n`);
    wait(1000);
    progress.report(1_000_000);
    expect(written()).toBe(`${UP}\rrunning vmlinuz 1,000,000 instructions${ERASE}`);
    progress.say(...claims);
    expect(written()).toBe(`\rrunning vmlinuz ${claims[0]}${ERASE}\n`);
    progress[Symbol.dispose]();
    expect(written()).toBe(`${UP}\r${ERASE}`);
    const narrow = terminal(40);
    showProgress(narrow.io, 'running vmlinuz', 'instructions').say(...claims);
    expect(narrow.written()).toBe(`\rrunning vmlinuz ${claims[1]}${ERASE}\n`);
  });

  it.each([
    [36, '…linuz-6.1 42 of 1,000 instructions'],
    [30, 'running /boot/vmlinuz-6.1 4%'],
    [20, '…oot/vmlinuz-6.1 4%'],
    [12, '…nuz-6.1 4%'],
    [6, '4%'],
    [2, ''],
  ])('leaves the last of %i columns free', (columns, line) => {
    const { io, wait, written } = terminal(columns);
    const progress = showProgress(io, 'running /boot/vmlinuz-6.1', 'instructions');
    wait(1000);
    progress.report(42, 1000);
    const text = written().slice(1, -ERASE.length);
    expect(text.length).toBeLessThan(columns);
    expect(text).toBe(line);
  });

  it('writes no control character of a file name', () => {
    const { io, wait, written } = terminal();
    const progress = showProgress(io, 'reading a\u001b[2Jb');
    wait(1000);
    progress.report(1, 2);
    expect(written()).toBe(`\rreading a\\x1b[2Jb 50%${ERASE}`);
  });

  it('writes nothing where stderr is no terminal', () => {
    let text = '';
    const io: Io = {
      stdout: { write: () => {} },
      stderr: { write: chunk => (text += String(chunk)) },
      color: false,
    };
    {
      using progress = showProgress(io, 'reading');
      progress.report(1, 2);
    }
    expect(text).toBe('');
  });
});

describe('run', () => {
  /** A clock that a second passes on with every look. */
  function hurried() {
    let now = 0;
    let stderr = '';
    let stdout = '';
    const io: Io = {
      stdout: { write: chunk => (stdout += String(chunk)) },
      stderr: { write: chunk => (stderr += String(chunk)) },
      color: false,
      progress: {
        now: () => {
          now += 1000;
          return now;
        },
        columns: () => 80,
      },
    };
    return { io, stderr: () => stderr, stdout: () => stdout };
  }
  const NATIVE = 'images/native/native.elf';

  it('takes its lines away before the report', async () => {
    const { io, stderr, stdout } = hurried();
    expect(await main(['run', NATIVE, '--as', 'lguest', '--engine', 'unicorn.js'], io)).toBe(0);
    expect(stderr()).toMatch(/^\rreading images\/native\/native\.elf \d+%/);
    expect(stderr().endsWith(`\r${ERASE}`)).toBe(true);
    expect(stdout()).not.toContain(ERASE);
  });

  it.each([['--serial'], ['--log-level', 'info']])(
    'has none beside %s, which is on stderr',
    async (...flags) => {
      const { io, stderr } = hurried();
      await main(['run', NATIVE, '--as', 'lguest', '--engine', 'unicorn.js', ...flags], io);
      expect(stderr()).not.toContain(ERASE);
    },
  );

  it('gives the same report with it and without', async () => {
    const one = hurried();
    const other = hurried();
    const { progress: _, ...plain } = other.io;
    const argv = ['run', NATIVE, '--as', 'pc', '--engine', 'unicorn.js', '--format', 'json'];
    await main(argv, one.io);
    await main(argv, plain);
    expect(one.stdout()).toBe(other.stdout());
  });
});
