#!/usr/bin/env node
/** The command line. `main` is pure in its `io`; the lines at the end connect it to this process. */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CommanderError } from 'commander';
import { failureOf } from './errors.ts';
import { EXIT } from './exit-codes.ts';
import type { Io, ProgressTerminal } from './io.ts';
import { createProgram } from './program.ts';
import { ERASE_LINE } from './progress.ts';

/**
 * Runs one command.
 *
 * @param argv the words after `startup32`.
 * @returns the exit code; every error has been written to `io.stderr` as one line, and a second one that says what
 * would work where something would.
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  let exit: number = EXIT.STOPPED;
  const program = createProgram(io, code => {
    exit = code;
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exit;
  } catch (error) {
    // `--help` and `--version` end this way too.
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.STOPPED;
    // No command at all: the help has been written to stderr.
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT.USAGE;
    const { code, sentence, exit: failed, hint } = failureOf(error);
    io.stderr.write(`startup32: ${code}: ${sentence}\n${hint === undefined ? '' : `startup32: ${hint}\n`}`);
    return failed;
  }
}

function isMainModule(): boolean {
  const script = process.argv[1];
  return script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url);
}

/** Of a terminal that does not say how wide it is. */
const DEFAULT_COLUMNS = 80;

async function runProcess(): Promise<void> {
  const { stdout, stderr, env } = process;
  let failedOutput = false;
  // The reader went away (`startup32 … | head -1`): nothing is left to say, and to nobody.
  for (const stream of [stdout, stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') return;
      failedOutput = true;
      process.exitCode = EXIT.ENGINE;
      if (stream === stdout)
        stderr.write(`startup32: output-failed: the report cannot be written (${error.code})\n`);
    });
  const interrupt = new AbortController();
  // Once: a second Ctrl-C ends the process at once, as usual.
  const onInterrupt = (): void => interrupt.abort();
  process.once('SIGINT', onInterrupt);
  // https://no-color.org: any value but the empty one.
  const color = stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
  // A dumb terminal cannot erase the line.
  const progress: ProgressTerminal | undefined =
    stderr.isTTY === true && env.TERM !== 'dumb'
      ? { now: () => performance.now(), columns: () => stderr.columns || DEFAULT_COLUMNS }
      : undefined;
  // The shell's next prompt does not come to stand behind a line of progress.
  const onTerminate = (): void => {
    stderr.write(ERASE_LINE);
    process.kill(process.pid, 'SIGTERM');
  };
  if (progress) process.once('SIGTERM', onTerminate);
  const exit = await main(process.argv.slice(2), {
    stdout,
    stderr,
    color,
    signal: interrupt.signal,
    leaveInterrupts: () =>
      process.removeListener('SIGINT', onInterrupt).removeListener('SIGTERM', onTerminate),
    ...(progress && { progress }),
  });
  process.exitCode = failedOutput ? EXIT.ENGINE : exit;
}

if (isMainModule()) await runProcess();
