/** startup32's side of a run, in child processes of limited length. A case that kills or blocks its process is a result. */
import { type ChildProcess, fork } from 'node:child_process';
import type { EngineName } from '../../emulator/unicorn/api.ts';
import { READY } from './ready.ts';
import type { CaseResult } from './result.ts';
import type { WorkerAnswer, WorkerJob } from './worker.ts';

/** Cases of one process: half a megabyte of memory stays with each. */
const CHUNK = 1000;
/** A case takes some milliseconds; loading the engine less than a second. */
const PATIENCE_MS = 30_000;

export interface ProcessOptions {
  readonly engine: EngineName;
  readonly seed: number;
  readonly indexes: readonly number[];
  /** Processes at a time. */
  readonly jobs: number;
  /** The worker as JavaScript. */
  readonly worker: string | URL;
}

/** The results by index. */
export async function runInProcesses(options: ProcessOptions): Promise<ReadonlyMap<number, CaseResult>> {
  const { indexes, jobs } = options;
  const results = new Map<number, CaseResult>();
  const chunks: (readonly number[])[] = [];
  for (let at = 0; at < indexes.length; at += CHUNK) chunks.push(indexes.slice(at, at + CHUNK));
  const lane = async (): Promise<void> => {
    for (;;) {
      const chunk = chunks.shift();
      if (!chunk) return;
      await runChunk(options, chunk, results);
    }
  };
  await Promise.all(Array.from({ length: jobs }, lane));
  return results;
}

/** Goes on behind a case that ended its process. */
async function runChunk(
  options: ProcessOptions,
  chunk: readonly number[],
  results: Map<number, CaseResult>,
): Promise<void> {
  let left = chunk;
  while (left.length > 0) {
    const end = await runProcess(options, left, results);
    const done = left.findIndex(index => !results.has(index));
    if (done < 0) return;
    const culprit = left[done];
    if (culprit !== undefined) results.set(culprit, { failure: 'wedged', detail: end });
    left = left.slice(done + 1);
  }
}

/** @returns how the process ended */
function runProcess(
  { engine, seed, worker }: ProcessOptions,
  indexes: readonly number[],
  results: Map<number, CaseResult>,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = fork(worker, [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    let errors = '';
    let wedged = false;
    let ready = false;
    const giveUp = (): void => {
      wedged = true;
      child.kill('SIGKILL');
    };
    let timer = setTimeout(giveUp, PATIENCE_MS);
    child.stderr?.on('data', (data: Buffer) => {
      errors = `${errors}${data.toString()}`.slice(-2000);
    });
    child.on('message', message => {
      if (message === READY) {
        ready = true;
        return;
      }
      const { index, result } = message as WorkerAnswer;
      results.set(index, result);
      clearTimeout(timer);
      timer = setTimeout(giveUp, PATIENCE_MS);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (wedged) return resolve(`no answer in ${PATIENCE_MS / 1000} s`);
      const last =
        errors
          .trim()
          .split('\n')
          .find(line => /^\w*Error/.test(line)) ?? '';
      if (!ready) return reject(new Error(`a process for ${engine} does not start: ${last}`));
      resolve(`the process ended with ${signal ?? code}: ${last}`);
    });
    const job: WorkerJob = { engine, seed, indexes };
    child.send(job);
  });
}
