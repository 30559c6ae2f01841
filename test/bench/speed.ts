/**
 * Instructions per second over one window of a real kernel, in ring 0: bare, with detection, and counted.
 *
 * The window runs from the entry to the end of the longest loop of the first seconds: the block that is new after the
 * longest time without a new one. It is found by looking at every new block of a bare run once, before anything is timed,
 * so that the window needs no knowledge of the kernel's version. A counted run says how many instructions it has.
 */
import { findProtocol } from '../../boot-protocols/index.ts';
import { GENERAL_REGISTERS } from '../../emulator/cpu-state.ts';
import type { EntryState } from '../../emulator/entry-state.ts';
import { Machine } from '../../emulator/machine.ts';
import type { EngineName, UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { BareMachine, type Visit } from './bare.ts';
import type { Measured } from './images.ts';
import { type Row, type Timing, time } from './measure.ts';

const REACH_DETECTION: Readonly<Record<EngineName, number>> = { libunicorn: 1.1, 'unicorn.js': 1.4 };
const REACH_COUNTED = 3;

/** Windows that are tried, in milliseconds of a run in which new blocks are looked at, the longest first. */
const WINDOWS: Readonly<Record<EngineName, readonly number[]>> = {
  libunicorn: [1500, 700, 300, 100],
  // Here that look costs a call for every block, and the bare run of the same window takes a quarter of the time.
  'unicorn.js': [5000, 2500, 1200, 600],
};

/** A kernel that reads the time-stamp counter is counted whatever is asked for: a short window is enough. */
const SHORT_WINDOWS: readonly number[] = [100, 30];

/** Of fewer, a rate says nothing. */
const FEWEST_INSTRUCTIONS = 1_000_000;

const ITERATIONS = 3;
/** Natively a counted run is many times as long. */
const COUNTED_ITERATIONS = 2;
/** A window whose counted run takes longer, in milliseconds, is too long to be measured several times. */
const COUNTED_LIMIT = 10_000;

interface Window {
  readonly until: number;
  /** Absent where counting them takes too long. */
  readonly instructions?: number;
}

/**
 * @param decompressor the image unpacks itself, in seconds, without a look at CPUID or the time-stamp counter: then
 *   detection is also measured over the longest window there is, which a counted run need not reach
 */
export async function speedRows(
  library: UnicornLibrary,
  measured: Measured,
  options: { readonly cmdline: string; readonly decompressor: boolean },
  notes: string[],
): Promise<Row[]> {
  const pc = findProtocol('pc');
  if (pc === undefined) throw new Error('no boot protocol is named pc');
  const entry = pc.entryState(measured.image, { cmdline: options.cmdline });
  const windows = options.decompressor ? WINDOWS[library.name] : SHORT_WINDOWS;
  const visits = withBare(library, entry, bare => bare.firstVisits(windows[0] ?? 0));
  const counted = findWindow(library, entry, visits, 'always', windows);
  const longest = options.decompressor ? findWindow(library, entry, visits, 'never', windows) : undefined;
  if (counted === undefined)
    notes.push(
      `no counted rows for ${measured.label} on ${library.name}: no window that is long enough and the same in a bare run`,
    );

  const rows: Row[] = [];
  for (const window of longest && longest.until !== counted?.until ? [counted, longest] : [counted]) {
    if (window === undefined) continue;
    const { until, instructions } = window;
    const end = `to 0x${until.toString(16)}`;
    notes.push(`${measured.label} on ${library.name}: ${instructions ?? 'uncounted'} instructions ${end}`);
    const timings = await timeWindow(library, entry, window);
    const bare = timings.get('bare')?.median ?? Number.NaN;
    for (const [what, { median, samples }] of timings) {
      const isLongest = until === (longest ?? counted)?.until;
      const reach = {
        bare: undefined,
        counted: REACH_COUNTED,
        detection: options.decompressor && isLongest ? REACH_DETECTION[library.name] : undefined,
      }[what];
      rows.push({
        group: 'speed',
        image: measured.label,
        engine: library.name,
        what: `${what} ${end}`,
        value: instructions === undefined ? median : instructions / (median / 1000),
        unit: instructions === undefined ? 'ms' : 'instructions/s',
        samples,
        ratioToBare: median / bare,
        ...(reach !== undefined && { reach }),
      });
    }
  }
  return rows;
}

type Way = 'bare' | 'detection' | 'counted';

async function timeWindow(
  library: UnicornLibrary,
  entry: EntryState,
  { until, instructions }: Window,
): Promise<Map<Way, Timing>> {
  let bare: BareMachine | undefined;
  let machine: Machine | undefined;
  const onMachine = (name: Way, count: 'always' | 'never') => ({
    name,
    before: () => {
      machine = Machine.open(library, entry);
    },
    run: () => {
      const stop = machine?.run({ until, count, instructions: Number.POSITIVE_INFINITY });
      if (stop?.kind !== 'reached') throw new Error(`the run ends with ${stop?.kind}`);
    },
    after: () => machine?.close(),
  });
  const onBare = {
    name: 'bare' as const,
    before: () => {
      bare = new BareMachine(library, entry);
    },
    run: () => void bare?.run(until),
    after: () => bare?.close(),
  };
  const once = { time: 0, warmupIterations: 0 };
  const fast = await time([onBare, onMachine('detection', 'never')], { ...once, iterations: ITERATIONS });
  if (instructions === undefined) return fast;
  const counted = await time([onMachine('counted', 'always')], { ...once, iterations: COUNTED_ITERATIONS });
  return new Map([...fast, ...counted]);
}

function withBare<T>(library: UnicornLibrary, entry: EntryState, work: (bare: BareMachine) => T): T {
  const bare = new BareMachine(library, entry);
  try {
    return work(bare);
  } finally {
    bare.close();
  }
}

/**
 * The longest window in which the bare engine and the Machine do the same, judged by the registers at its end. They may
 * not where the kernel looks at CPUID or the time-stamp counter, which only the Machine answers the same every time; in
 * a counted window, a loop that waits for the counter shows as a number of blocks that differs between two bare runs.
 */
function findWindow(
  library: UnicornLibrary,
  entry: EntryState,
  visits: readonly Visit[],
  count: 'always' | 'never',
  windows: readonly number[],
): Window | undefined {
  for (const milliseconds of windows) {
    const until = endOfLongestLoop(visits.filter(visit => visit.at < milliseconds));
    if (until === undefined) continue;
    const machine = Machine.open(library, entry);
    const stop = machine.run({
      until,
      count,
      instructions: Number.POSITIVE_INFINITY,
      // Only a counted run is so much longer than the bare one, and to look at the clock is work of its own.
      ...(count === 'always' && { timeout: COUNTED_LIMIT }),
    });
    machine.close();
    if (stop.kind !== 'reached') continue;
    const registers = withBare(library, entry, bare => bare.run(until));
    if (!GENERAL_REGISTERS.every(name => stop.cpu.registers[name] === registers[name])) continue;
    if (count === 'never') return { until };
    const [first, second] = [0, 1].map(() => withBare(library, entry, bare => bare.countBlocks(until)));
    if (stop.counted && first === second && stop.instructions >= FEWEST_INSTRUCTIONS) {
      return { until, instructions: stop.instructions };
    }
  }
  return undefined;
}

/** The block that is new after the longest time without a new one. */
function endOfLongestLoop(visits: readonly Visit[]): number | undefined {
  let longest = 0;
  let end: number | undefined;
  for (const [index, { address, at }] of visits.entries()) {
    const gap = at - (visits[index - 1]?.at ?? at);
    if (gap <= longest) continue;
    longest = gap;
    end = address;
  }
  return end;
}
