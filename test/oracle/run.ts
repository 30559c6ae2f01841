/** Runs cases on all the CPUs there are, and compares. */
import type { EngineName } from '../../emulator/unicorn/api.ts';
import type { OracleCase } from './case.ts';
import { type Oracle, runCases } from './drivers/index.ts';
import { generateCase } from './generate/index.ts';
import { runInProcesses } from './processes.ts';
import type { CaseResult } from './result.ts';
import { type CaseRun, Summary } from './summary.ts';

export interface SuiteOptions {
  readonly seed: number;
  /** Which cases of the seed. */
  readonly indexes: readonly number[];
  readonly engines: readonly EngineName[];
  readonly oracles: readonly Oracle[];
  /** Programs at a time. */
  readonly jobs: number;
  /** `worker.ts` as JavaScript. */
  readonly worker: string | URL;
  /** Default: {@link generateCase}. The worker makes its own. */
  readonly caseAt?: (seed: number, index: number) => OracleCase;
  readonly onBatch?: (summary: Summary) => void;
  readonly onCase?: (run: CaseRun) => void;
}

/** Cases that are compared before the next ones are made. */
const BATCH = 4000;

/** The first `count` cases whose topic starts with `topic`. */
export function indexesOf(seed: number, count: number, topic: string): number[] {
  if (topic === '') return Array.from({ length: count }, (_, index) => index);
  const indexes: number[] = [];
  const most = 2000 + 500 * count;
  for (let index = 0; indexes.length < count && index < most; index++) {
    if (generateCase(seed, index).topic.startsWith(topic)) indexes.push(index);
  }
  return indexes;
}

export async function runSuite(options: SuiteOptions): Promise<Summary> {
  const summary = new Summary();
  for (let at = 0; at < options.indexes.length; at += BATCH) {
    await runBatch(options, options.indexes.slice(at, at + BATCH), summary);
    options.onBatch?.(summary);
  }
  return summary;
}

async function runBatch(options: SuiteOptions, indexes: readonly number[], summary: Summary): Promise<void> {
  const { seed, engines, oracles, worker } = options;
  const caseAt = options.caseAt ?? generateCase;
  const cases = indexes.map(index => caseAt(seed, index));
  const byEngine = new Map<EngineName, ReadonlyMap<number, CaseResult>>();
  const byOracle = new Map<Oracle, ReadonlyMap<OracleCase, CaseResult>>();
  const work = [
    ...oracles.map(oracle => async () => void byOracle.set(oracle, await oracleResults(oracle, cases))),
    ...engines.map(engine => async () => {
      byEngine.set(engine, await runInProcesses({ engine, seed, indexes, jobs: 1, worker }));
    }),
  ];
  await Promise.all(Array.from({ length: options.jobs }, () => lane(work)));
  for (const [place, index] of indexes.entries()) {
    const missing: CaseResult = { failure: 'error', detail: 'no result' };
    const oracleCase = cases[place] as OracleCase;
    const able = oracles.filter(oracle => !oracleCase.without.includes(oracle));
    const run: CaseRun = {
      index,
      oracleCase,
      engines: new Map(engines.map(engine => [engine, byEngine.get(engine)?.get(index) ?? missing])),
      oracles: new Map(able.map(oracle => [oracle, byOracle.get(oracle)?.get(oracleCase) ?? missing])),
    };
    summary.add(run);
    options.onCase?.(run);
  }
}

async function lane(work: (() => Promise<void>)[]): Promise<void> {
  for (let next = work.shift(); next; next = work.shift()) await next();
}

async function oracleResults(
  oracle: Oracle,
  all: readonly OracleCase[],
): Promise<ReadonlyMap<OracleCase, CaseResult>> {
  const cases = all.filter(({ without }) => !without.includes(oracle));
  const results = await runCases(oracle, cases);
  return new Map(
    results.map((result, place) => [
      cases[place] as OracleCase,
      'wedged' in result ? { failure: 'wedged', detail: result.wedged } : result,
    ]),
  );
}
