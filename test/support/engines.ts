/** The engines that tests run on: the embedded one always, the native one where it is found. */
import { describe } from 'vitest';
import type { EngineName, UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { EngineError } from '../../emulator/unicorn/errors.ts';
import { loadUnicorn } from '../../emulator/unicorn/load.ts';

export interface TestEngine {
  readonly name: EngineName;
  load(): Promise<UnicornLibrary>;
}

const engine = (name: EngineName): TestEngine => ({ name, load: () => loadUnicorn({ engine: name }) });

/** Why there is no native engine here; `undefined` when there is one. */
export const nativeMissing: string | undefined = await loadUnicorn({ engine: 'libunicorn' }).then(
  () => undefined,
  (error: unknown) => {
    if (!(error instanceof EngineError)) throw error;
    if (process.env.CI === 'true')
      throw new Error(`with CI=true the native engine has to be there: ${error.message}`);
    return error.message;
  },
);

export const engines: readonly TestEngine[] = [
  engine('unicorn.js'),
  ...(nativeMissing === undefined ? [engine('libunicorn')] : []),
];

/** Describes the same tests once for each engine; without a native one they are listed as skipped, with the reason. */
export function describeEachEngine(name: string, body: (engine: TestEngine) => void): void {
  for (const each of engines) describe(`${name} (${each.name})`, () => body(each));
  if (nativeMissing !== undefined) {
    console.warn(`skipped on libunicorn: ${name}: ${nativeMissing}`);
    describe.skip(`${name} (libunicorn): ${nativeMissing}`, () => body(engine('libunicorn')));
  }
}
