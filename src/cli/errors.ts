/** What a command says when it cannot do its work: one sentence, a stable code, an exit code. */
import { CommanderError } from 'commander';
import { printable } from '../printable.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

/** The command line is wrong. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export interface Failure {
  readonly code: string;
  readonly sentence: string;
  readonly exit: ExitCode;
  /** A second line: what would work. */
  readonly hint?: string;
}

/** A protocol cannot start the image; others may. */
export class UnstartableError extends Error {
  override readonly name = 'UnstartableError';
  readonly code: string;
  /** One sentence: who can start it. */
  readonly hint: string;
  constructor(cause: Coded, hint: string) {
    super(cause.message, { cause });
    this.code = cause.code;
    this.hint = hint;
  }
}

/** Typed errors by name, so that reporting one does not load the module that throws it. */
const EXITS: Readonly<Record<string, ExitCode>> = {
  UsageError: EXIT.USAGE,
  KernelImageError: EXIT.IMAGE,
  ProtocolError: EXIT.IMAGE,
  UnstartableError: EXIT.IMAGE,
  EngineError: EXIT.ENGINE,
};

interface Coded extends Error {
  readonly code: string;
}

const isCoded = (error: unknown): error is Coded =>
  error instanceof Error &&
  Object.hasOwn(EXITS, error.name) &&
  'code' in error &&
  typeof error.code === 'string';

export function failureOf(error: unknown): Failure {
  if (error instanceof CommanderError) return commanderFailure(error);
  // A run that is interrupted ends in a Stop; this is about other work.
  if (error instanceof Error && error.name === 'AbortError')
    return { code: 'interrupted', sentence: 'ended by Ctrl-C before it was done', exit: EXIT.INTERRUPTED };
  if (isCoded(error)) {
    const usage = 'usage' in error && error.usage === true;
    return {
      code: error.code,
      sentence: oneLine(error.message),
      exit: usage ? EXIT.USAGE : (EXITS[error.name] ?? EXIT.ENGINE),
      ...(error instanceof UnstartableError && { hint: oneLine(error.hint) }),
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'internal', sentence: `unexpected error: ${oneLine(message)}`, exit: EXIT.ENGINE };
}

/** `commander.unknownOption`, "error: unknown option '--foo'\n(Did you mean --format?)". */
function commanderFailure(error: CommanderError): Failure {
  const code = error.code
    .replace(/^commander\./, '')
    .replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
  return { code, sentence: oneLine(error.message.replace(/^error: /, '')), exit: EXIT.USAGE };
}

const oneLine = (text: string): string => printable(text.replaceAll(/\s*\n\s*/g, ' ').trim());
