/**
 * Instructions per second over one window of a real kernel, in ring 0: bare, with detection, and counted.
 *
 * The window runs from the entry to an address that the kernel reaches for the first time after a second or so. Such
 * addresses are found by looking at every new block of a bare run once, before anything is timed, so that the window needs
 * no knowledge of the kernel's version. The counted run says how many instructions it has.
 */
import { findProtocol } from '../../boot-protocols/index.ts';
import { GENERAL_REGISTERS } from '../../emulator/cpu-state.ts';
import type { EntryState } from '../../emulator/entry-state.ts';
import { Machine, type RunOptions } from '../../emulator/machine.ts';
import type { EngineName, UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { BareMachine } from './bare.ts';
import type { Measured } from './images.ts';
import { type Row, time } from './measure.ts';

const REACH_DETECTION: Readonly<Record<EngineName, number>> = { libunicorn: 1.1, 'unicorn.js': 1.4 };
const REACH_COUNTED = 3;

/** Windows that are tried, in milliseconds of a run in which new blocks are looked at, the longest first. */
const WINDOWS: Readonly<Record<EngineName, readonly number[]>> = {
  libunicorn: [3000, 1500, 700, 300, 100],
  // Here that look costs a call for every block, and the bare run of the same window takes a quarter of the time.
  'unicorn.js': [10_000, 5000, 2500, 1200, 600],
};

const ITERATIONS = 5;
/** Natively a counted run is many times as long. */
const COUNTED_ITERATIONS = 2;

interface Window {
  readonly until: number;
  readonly instructions: number;
}

export async function speedRows(
  library: UnicornLibrary,
  measured: Measured,
  cmdline: string,
  notes: string[],
): Promise<Row[]> {
  const pc = findProtocol('pc');
  if (pc === undefined) throw new Error('no boot protocol is named pc');
  const entry = pc.entryState(measured.image, { cmdline });
  const window = findWindow(library, entry);
  if (window === undefined) {
    notes.push(`no speed rows for ${measured.label} on ${library.name}: bare runs take another path`);
    return [];
  }
  const { until, instructions } = window;
  notes.push(
    `${measured.label} on ${library.name}: ${instructions} instructions, from the entry to 0x${until.toString(16)}`,
  );

  let bare: BareMachine | undefined;
  let machine: Machine | undefined;
  const open = () => {
    machine = Machine.open(library, entry);
  };
  const close = () => machine?.close();
  const run = (count: RunOptions['count'] & string) => () => {
    const stop = machine?.run({ until, count, instructions: Number.POSITIVE_INFINITY });
    if (stop?.kind !== 'reached') throw new Error(`the run ends with ${stop?.kind}`);
  };
  const fast = await time(
    [
      {
        name: 'bare',
        before: () => {
          bare = new BareMachine(library, entry);
        },
        run: () => void bare?.run(until),
        after: () => bare?.close(),
      },
      { name: 'detection', before: open, run: run('never'), after: close },
    ],
    { iterations: ITERATIONS, time: 0, warmupIterations: 0 },
  );
  const counted = await time([{ name: 'counted', before: open, run: run('always'), after: close }], {
    iterations: COUNTED_ITERATIONS,
    time: 0,
    warmupIterations: 0,
  });
  const timings = new Map([...fast, ...counted]);

  const bareTime = timings.get('bare')?.median ?? Number.NaN;
  const onDebian = measured.label === 'debian kernel';
  return [...timings].map(([what, { median, samples }]): Row => {
    const reach = what === 'counted' ? REACH_COUNTED : onDebian ? REACH_DETECTION[library.name] : undefined;
    return {
      group: 'speed',
      image: measured.label,
      engine: library.name,
      what,
      value: instructions / (median / 1000),
      unit: 'instructions/s',
      samples,
      ratioToBare: median / bareTime,
      ...(what !== 'bare' && reach !== undefined && { reach }),
    };
  });
}

/**
 * The longest window in which the bare engine and the Machine do the same, judged by the registers at its end. They may
 * not where the kernel looks at CPUID or the time-stamp counter, which only the Machine answers the same every time.
 */
function findWindow(library: UnicornLibrary, entry: EntryState): Window | undefined {
  const scout = new BareMachine(library, entry);
  const windows = WINDOWS[library.name];
  const visits = scout.firstVisits(windows[0] ?? 0);
  scout.close();
  for (const milliseconds of windows) {
    const until = visits.findLast(visit => visit.at < milliseconds)?.address;
    if (until === undefined) continue;
    const bare = new BareMachine(library, entry);
    const expected = bare.run(until);
    bare.close();
    const machine = Machine.open(library, entry);
    const stop = machine.run({
      until,
      count: 'always',
      instructions: Number.POSITIVE_INFINITY,
      timeout: 120_000,
    });
    machine.close();
    const same = GENERAL_REGISTERS.every(name => stop.cpu.registers[name] === expected[name]);
    if (stop.kind === 'reached' && stop.counted && same) return { until, instructions: stop.instructions };
  }
  return undefined;
}
