/**
 * `npm run oracle`: generated cases on startup32's engines and on QEMU, Bochs and, where asked for, KVM. The report is on
 * stdout; the exit status is 1 when a disagreement is neither an agreement nor in `differences.ts`.
 */
import { parseArgs } from 'node:util';
import type { EngineName } from '../../emulator/unicorn/api.ts';
import { EngineError } from '../../emulator/unicorn/errors.ts';
import { loadUnicorn } from '../../emulator/unicorn/load.ts';
import { availability, type Oracle } from './drivers/index.ts';
import { caseText, summaryText } from './print.ts';
import { indexesOf, runSuite } from './run.ts';

const USAGE = `usage: npm run oracle -- [options]
  --cases N           how many cases (default 64000)
  --seed S            of the generator (default 1)
  --topic T           only cases whose topic starts with T
  --case K            case number K of the seed alone, with everything about it
  --engines A,B       of unicorn.js, libunicorn (default both, as far as they are there)
  --oracles A,B       of qemu, bochs, kvm (default qemu,bochs)
  --accel kvm         kvm as well
  --jobs J            programs at a time (default 2)`;

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '64000' },
    seed: { type: 'string', default: '1' },
    topic: { type: 'string', default: '' },
    case: { type: 'string' },
    engines: { type: 'string', default: '' },
    oracles: { type: 'string', default: 'qemu,bochs' },
    accel: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    help: { type: 'boolean', default: false },
  },
});

function fail(message: string): never {
  process.stderr.write(`${message}\n${USAGE}\n`);
  process.exit(2);
}

function natural(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) fail(`--${name} ${text} is not a number`);
  return Number(text);
}

function members<T extends string>(name: string, text: string, known: readonly T[]): T[] {
  return text
    .split(',')
    .filter(Boolean)
    .map(word => known.find(item => item === word) ?? fail(`--${name}: there is no ${word}`));
}

if (values.help) {
  process.stdout.write(`${USAGE}\n`);
  process.exit(0);
}
if (values.accel !== undefined && values.accel !== 'kvm') fail(`--accel ${values.accel} is not kvm`);
const seed = natural('seed', values.seed);
const jobs = Math.max(1, natural('jobs', values.jobs));
const asked = members<Oracle>('oracles', values.oracles, ['qemu', 'bochs', 'kvm']);
if (values.accel === 'kvm' && !asked.includes('kvm')) asked.push('kvm');
const ENGINES: readonly EngineName[] = ['unicorn.js', 'libunicorn'];
const askedEngines = members<EngineName>('engines', values.engines, ENGINES);

/** What was named has to be there; of the default engines, what is there. */
async function usableEngines(): Promise<EngineName[]> {
  if (askedEngines.length > 0) return askedEngines;
  const usable: EngineName[] = [];
  for (const engine of ENGINES) {
    try {
      await loadUnicorn({ engine });
      usable.push(engine);
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      process.stderr.write(`without ${engine}: ${error.message}\n`);
    }
  }
  return usable;
}

for (const oracle of asked) {
  const missing = await availability(oracle);
  if (missing !== undefined) fail(`${oracle} cannot run here: ${missing}`);
}
const engines = await usableEngines();
const single = values.case === undefined ? undefined : natural('case', values.case);
const indexes =
  single === undefined ? indexesOf(seed, natural('cases', values.cases), values.topic) : [single];
const began = performance.now();
const seconds = (): number => (performance.now() - began) / 1000;
const summary = await runSuite({
  seed,
  indexes,
  engines,
  oracles: asked,
  jobs,
  worker: new URL('./worker.js', import.meta.url),
  onBatch: ({ cases, open }) =>
    process.stderr.write(
      `${cases} of ${indexes.length} cases, ${open.size} kinds open, ${seconds().toFixed(0)} s\n`,
    ),
  onCase: run => {
    if (single !== undefined) process.stdout.write(`${run.oracleCase.topic}\n${caseText(seed, run)}\n\n`);
  },
});
process.stdout.write(`${summaryText(seed, summary, seconds())}\n`);
process.exitCode = summary.open.size > 0 ? 1 : 0;
