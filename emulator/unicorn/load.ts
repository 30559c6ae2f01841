/** Chooses the engine. Each library is loaded once in a process. */
import type { EngineName, UnicornLibrary } from './api.ts';
import { EngineError } from './errors.ts';
import { loadUnicornJs } from './unicorn-js.ts';

export interface EngineChoice {
  /** `auto`: the native library when there is an acceptable one, else the embedded engine. */
  readonly engine?: 'auto' | EngineName;
  /** Path of a libunicorn; when it cannot be used that is an error, never a reason to take another engine. */
  readonly libunicorn?: string;
}

const loaded = new Map<string, Promise<UnicornLibrary>>();

function once(key: string, load: () => Promise<UnicornLibrary>): Promise<UnicornLibrary> {
  let library = loaded.get(key);
  if (!library) {
    library = load();
    loaded.set(key, library);
    library.catch(() => loaded.delete(key));
  }
  return library;
}

/**
 * @param choice default: `auto`, and a libunicorn named by STARTUP32_LIBUNICORN or known to the system's loader
 * @throws {EngineError} `engine-not-found`, `engine-too-old`, `engine-load-failed`
 */
export async function loadUnicorn(choice: EngineChoice = {}): Promise<UnicornLibrary> {
  const engine = choice.engine ?? 'auto';
  if (engine === 'unicorn.js') return once('unicorn.js', loadUnicornJs);
  const path = choice.libunicorn ?? libunicornOfEnvironment();
  const native = (): Promise<UnicornLibrary> =>
    once(`libunicorn ${path ?? ''}`, async () => (await import('./libunicorn.ts')).loadLibunicorn(path));
  if (engine === 'libunicorn' || path !== undefined) return native();
  try {
    return await native();
  } catch (error) {
    if (error instanceof EngineError) return once('unicorn.js', loadUnicornJs);
    throw error;
  }
}

/** In a browser there is no process, and no native library. */
function libunicornOfEnvironment(): string | undefined {
  return typeof process === 'undefined' ? undefined : process.env.STARTUP32_LIBUNICORN || undefined;
}
