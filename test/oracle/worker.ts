/** A child process that runs cases on one engine: engines keep memory of every CPU they open, so no process runs many. */
import type { EngineName } from '../../emulator/unicorn/api.ts';
import { loadUnicorn } from '../../emulator/unicorn/load.ts';
import { generateCase } from './generate/index.ts';
import { READY } from './ready.ts';
import type { CaseResult } from './result.ts';
import { Startup32 } from './startup32.ts';

export interface WorkerJob {
  readonly engine: EngineName;
  readonly seed: number;
  readonly indexes: readonly number[];
}

/** One message a case: when the process dies, the case after the last one did it. */
export interface WorkerAnswer {
  readonly index: number;
  readonly result: CaseResult;
}

process.once('message', job => {
  void run(job as WorkerJob);
});

async function run({ engine, seed, indexes }: WorkerJob): Promise<void> {
  const startup32 = new Startup32(await loadUnicorn({ engine }));
  process.send?.(READY);
  for (const index of indexes) {
    const answer: WorkerAnswer = { index, result: startup32.run(generateCase(seed, index)) };
    await new Promise<void>((resolve, reject) => {
      process.send?.(answer, undefined, undefined, error => (error ? reject(error) : resolve()));
    });
  }
  process.disconnect();
}
