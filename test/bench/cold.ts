/** A cold start: the time from starting the program to its end, report included, and the most memory it held. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineName } from '../../emulator/unicorn/api.ts';
import { type Measured, ROOT } from './images.ts';
import { type Row, time } from './measure.ts';

const CLI = `${ROOT}dist/src/cli/main.js`;
/** Prints the peak of the resident set when the program ends, without changing the program. */
const PRINT_PEAK =
  'data:text/javascript,process.on("exit",()=>console.error(process.resourceUsage().maxRSS))';

const REACH_COLD_MS = 450;
const REACH_RSS_MIB = 200;

export async function coldRows(engine: EngineName, measured: Measured, protocol: string): Promise<Row[]> {
  const arguments_ = ['run', measured.path, '--as', protocol, '--engine', engine];
  const spawn = (nodeOptions: readonly string[] = []) => {
    const { status, stderr } = spawnSync(process.execPath, [...nodeOptions, CLI, ...arguments_], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`startup32 ${arguments_.join(' ')} exits with ${status}: ${stderr}`);
    return stderr;
  };
  const what = `run --as ${protocol}`;
  const timing = (
    await time([{ name: what, run: () => void spawn() }], {
      iterations: 9,
      time: 0,
      warmupIterations: 1,
    })
  ).get(what);
  if (timing === undefined) throw new Error('no timing');
  const peaks = [1, 2, 3].map(() => Number(spawn(['--import', PRINT_PEAK]).trim().split('\n').at(-1)) / 1024);
  const common = { image: measured.label, engine, what };
  return [
    {
      ...common,
      group: 'cold',
      value: timing.median,
      unit: 'ms',
      samples: timing.samples,
      ...(engine === 'unicorn.js' && { reach: REACH_COLD_MS }),
    },
    {
      ...common,
      group: 'memory',
      what: `${what}, peak RSS`,
      value: peaks.sort((a, b) => a - b)[1] ?? Number.NaN,
      unit: 'MiB',
      samples: peaks.length,
      reach: REACH_RSS_MIB,
    },
  ];
}

/** By whether the decoded payload is in the cache. */
const REACH_PAYLOAD_MS = { 'no-cache': 1500, cache: 500 } as const;

/** A cold start through `--payload`: the kernel proper is decoded, or taken from a cache of its own. */
export async function payloadRows(engine: EngineName, measured: Measured, protocol: string): Promise<Row[]> {
  const cache = mkdtempSync(join(tmpdir(), 'startup32-bench-'));
  const env = { ...process.env, XDG_CACHE_HOME: cache };
  const rows: Row[] = [];
  for (const kind of ['no-cache', 'cache'] as const) {
    const flags = kind === 'cache' ? ['--payload'] : ['--payload', '--no-cache'];
    const what = `run --as ${protocol} ${flags.join(' ')}`;
    const arguments_ = ['run', measured.path, '--as', protocol, ...flags, '--engine', engine];
    const run = () => {
      const { status, stderr } = spawnSync(process.execPath, [CLI, ...arguments_], { encoding: 'utf8', env });
      if (status !== 0) throw new Error(`startup32 ${arguments_.join(' ')} exits with ${status}: ${stderr}`);
    };
    // The run that warms up fills the cache.
    const timing = (await time([{ name: what, run }], { iterations: 9, time: 0, warmupIterations: 1 })).get(
      what,
    );
    if (timing === undefined) throw new Error('no timing');
    rows.push({
      image: measured.label,
      engine,
      what,
      group: 'cold',
      value: timing.median,
      unit: 'ms',
      samples: timing.samples,
      ...(engine === 'libunicorn' && { reach: REACH_PAYLOAD_MS[kind] }),
    });
  }
  rmSync(cache, { recursive: true, force: true });
  return rows;
}
