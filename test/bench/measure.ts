/** What the benchmark prints: one row a measurement, and the way to make one. */
import { Bench } from 'tinybench';

export interface Row {
  readonly group: 'cold' | 'first-trap' | 'speed' | 'memory';
  readonly image: string;
  readonly engine: string;
  /** What was done, e.g. `run --as lguest` or `detection to 0x1fef1a0`. */
  readonly what: string;
  /** The median of the samples. */
  readonly value: number;
  readonly unit: 'ms' | 'instructions/s' | 'MiB';
  readonly samples: number;
  /** Time of this run over the time of the bare run of the same window, in the same process. */
  readonly ratioToBare?: number;
  /** The value or ratio to reach, from the project's promises. */
  readonly reach?: number;
}

export interface Task<Name extends string> {
  readonly name: Name;
  readonly run: () => unknown;
  /** Not timed. */
  readonly before?: () => void;
  readonly after?: () => void;
}

export interface Timing {
  readonly median: number;
  readonly samples: number;
}

/** Runs each task at least `iterations` times and for at least `time` milliseconds; times are in milliseconds. */
export async function time<Name extends string>(
  tasks: readonly Task<Name>[],
  options: { readonly iterations: number; readonly time: number; readonly warmupIterations: number },
): Promise<Map<Name, Timing>> {
  const bench = new Bench({
    iterations: options.iterations,
    time: options.time,
    warmup: options.warmupIterations > 0,
    warmupIterations: options.warmupIterations,
    warmupTime: 0,
    throws: true,
  });
  for (const { name, run, before, after } of tasks)
    bench.add(name, run, { ...(before && { beforeEach: before }), ...(after && { afterEach: after }) });
  await bench.run();
  const timings = new Map<Name, Timing>();
  for (const { name } of tasks) {
    const result = bench.getTask(name)?.result;
    if (result?.state !== 'completed') throw new Error(`${name} ended as ${result?.state}`);
    timings.set(name, { median: result.latency.p50, samples: result.latency.samplesCount });
  }
  return timings;
}
