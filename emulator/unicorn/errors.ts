import type { EngineName, UcError } from './api.ts';
import { UC_ERR_OK } from './constants.ts';

/** Everything that can go wrong in getting a CPU, with a code that programs can rely on. */
export type EngineErrorCode =
  /** No libunicorn on this machine (or not under the path that was given). */
  | 'engine-not-found'
  /** A libunicorn whose version is known to go wrong. */
  | 'engine-too-old'
  /** The file is there, and is not a library that can be loaded here. */
  | 'engine-load-failed'
  /** The engine's internal state is not where it was found in the versions that are known. */
  | 'engine-calibration-failed'
  /** A call of Unicorn's C API failed that should not. */
  | 'engine-call-failed'
  /** The engine has no such function; see `EngineCapabilities`. */
  | 'engine-unsupported'
  /** The CPU could not be put in the state that was asked for. */
  | 'engine-state-rejected'
  /** The embedded engine could not be made from its package. */
  | 'engine-generate-failed';

/** One sentence: what was found, and what was expected. */
export class EngineError extends Error {
  readonly code: EngineErrorCode;

  constructor(code: EngineErrorCode, message: string) {
    super(message);
    this.name = 'EngineError';
    this.code = code;
  }
}

/** @returns throws `engine-call-failed` for a result of Unicorn's C API that is not UC_ERR_OK */
export const checkedBy =
  (engine: EngineName) =>
  (error: UcError, call: string): void => {
    if (error !== UC_ERR_OK) {
      throw new EngineError('engine-call-failed', `${engine}: ${call} failed with error ${error}.`);
    }
  };
