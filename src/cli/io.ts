/** What a command may touch of the world outside. */
export interface Output {
  write(chunk: string | Uint8Array): unknown;
}

/** What `--format json` writes. */
export const jsonText = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;

export interface Io {
  /** The report, and nothing else. */
  readonly stdout: Output;
  /** Errors, logs, the guest's serial output. */
  readonly stderr: Output;
  /** Whether stdout takes ANSI colour. */
  readonly color: boolean;
  /** Aborted by Ctrl-C. */
  readonly signal?: AbortSignal;
}
