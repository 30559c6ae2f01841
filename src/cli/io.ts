/** What a command may touch of the world outside. */
export interface Output {
  write(chunk: string | Uint8Array): unknown;
}

/** What `--format json` writes. */
export const jsonText = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;

/** A terminal on stderr that takes a line of progress. */
export interface ProgressTerminal {
  /** Milliseconds, from any start, never backwards. */
  now(): number;
  /** How many there are now: the window may change. */
  columns(): number;
}

export interface Io {
  /** The report, and nothing else. */
  readonly stdout: Output;
  /** Errors, logs, the guest's serial output. */
  readonly stderr: Output;
  /** Whether stdout takes ANSI colour. */
  readonly color: boolean;
  /** Absent: stderr is no terminal, or one that cannot erase a line. */
  readonly progress?: ProgressTerminal;
  /** Aborted by Ctrl-C. */
  readonly signal?: AbortSignal;
  /** Work that no event can reach is about to begin: from now on Ctrl-C ends the process at once. */
  readonly leaveInterrupts?: () => void;
}
