/** `--trace FILE` and `--trace-hash`: the events of a run as lines of a file, and their hash. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { createTraceHash, formatTraceEvent, type TraceSink } from '../../../emulator/trace.ts';
import { UsageError } from '../errors.ts';

/** Characters that are kept before they are written. */
const BUFFER_SIZE = 65536;

export interface TraceRecorder extends Disposable {
  /** Absent when no one asked for a trace. */
  readonly sink?: TraceSink;
  /** With `--trace-hash`: of the events so far. */
  hash(): string | undefined;
}

/** @throws {UsageError} when the file cannot be written */
export function recordTrace(flags: { readonly trace?: string; readonly traceHash?: boolean }): TraceRecorder {
  const file = flags.trace === undefined ? undefined : openLines(flags.trace);
  const hash = flags.traceHash === true ? createTraceHash() : undefined;
  return {
    ...((file || hash) && {
      sink: event => {
        file?.add(formatTraceEvent(event));
        hash?.add(event);
      },
    }),
    hash: () => hash?.digest(),
    [Symbol.dispose]: () => file?.close(),
  };
}

function openLines(path: string): { add(line: string): void; close(): void } {
  const attempt = <T>(action: () => T): T => {
    try {
      return action();
    } catch (error) {
      const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error);
      throw new UsageError('unwritable-trace', `--trace names ${path}, which cannot be written (${reason})`);
    }
  };
  const descriptor = attempt(() => openSync(path, 'w'));
  let buffer = '';
  const flush = (): void => {
    for (let rest = Buffer.from(buffer, 'latin1'); rest.length > 0; ) {
      rest = rest.subarray(attempt(() => writeSync(descriptor, rest)));
    }
    buffer = '';
  };
  return {
    add(line) {
      buffer += `${line}\n`;
      if (buffer.length >= BUFFER_SIZE) flush();
    },
    close() {
      try {
        flush();
      } finally {
        closeSync(descriptor);
      }
    },
  };
}
