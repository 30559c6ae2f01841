/** Logs on stderr through pino, which is loaded only when `--log-level` asks for it. */
import type { Output } from './io.ts';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Log {
  info(values: object, message: string): void;
  debug(values: object, message: string): void;
}

const SILENT: Log = { info: () => {}, debug: () => {} };

/** No time, process id or host name: the same run logs the same lines. */
export async function createLog(level: LogLevel | undefined, stderr: Output): Promise<Log> {
  if (level === undefined) return SILENT;
  const { pino } = await import('pino');
  const logger = pino(
    { name: 'startup32', level, base: null, timestamp: false },
    { write: line => stderr.write(line) },
  );
  return {
    info: (values, message) => logger.info(values, message),
    debug: (values, message) => logger.debug(values, message),
  };
}
