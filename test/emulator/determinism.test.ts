/** One run, one way: a thousand repeats on either engine, traced or not, counted or not, give one trace hash and one Stop. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findProtocol } from '../../boot-protocols/index.ts';
import type { EntryState } from '../../emulator/entry-state.ts';
import { Machine, type RunOptions } from '../../emulator/machine.ts';
import type { Stop } from '../../emulator/stop.ts';
import { createTraceHash, type TraceEvent } from '../../emulator/trace.ts';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { expectationTitle, imageCatalog } from '../../images/catalog.ts';
import { readKernelImage } from '../../src/kernel-image/index.ts';
import { engines } from '../support/engines.ts';
import { CODE, DATA, guestEntry, STACK } from '../support/guest.ts';
import { program } from '../support/programs.ts';
import { realImage } from '../support/real-input.ts';

const UNLIMITED = { instructions: Number.POSITIVE_INFINITY };
/** Milliseconds: no run takes so long, but one with a deadline is cut into slices. */
const HOUR = 3_600_000;
const BUDGET = 300;
const SEED = 7;

interface Traced {
  readonly stop: Stop;
  readonly hash: string;
}

function traced(library: UnicornLibrary, entry: EntryState, options: RunOptions): Traced {
  using machine = Machine.open(library, entry);
  const hash = createTraceHash();
  const stop = machine.run({ ...options, trace: event => hash.add(event) });
  return { stop, hash: hash.digest() };
}

function untraced(library: UnicornLibrary, entry: EntryState, options: RunOptions): Stop {
  using machine = Machine.open(library, entry);
  return machine.run(options);
}

/** What a run that does not count tells as well. */
const uncounted = ({ kind, cpu, exception, operand }: Stop): unknown => ({ kind, cpu, exception, operand });

/** One guest in every way; every Stop has to be the first one. */
class Repeats {
  readonly hashes = new Set<string>();
  readonly #entry: EntryState;
  readonly #first: Stop;
  count = 1;

  constructor(library: UnicornLibrary, entry: EntryState, options: RunOptions) {
    this.#entry = entry;
    this.#first = untraced(library, entry, options);
  }

  trace(library: UnicornLibrary, options: RunOptions): void {
    const { stop, hash } = traced(library, this.#entry, options);
    this.hashes.add(hash);
    this.#check(stop, options);
  }

  run(library: UnicornLibrary, options: RunOptions): void {
    this.#check(untraced(library, this.#entry, options), options);
  }

  #check(stop: Stop, { count }: RunOptions): void {
    this.count++;
    if (count === 'never') expect(uncounted(stop)).toEqual(uncounted(this.#first));
    else expect(stop).toEqual(this.#first);
  }
}

it('a thousand repeats of random programs: one hash and one Stop each', async () => {
  const libraries = await Promise.all(engines.map(engine => engine.load()));
  const registers = {
    eax: 1,
    ecx: 3,
    edx: 0,
    ebx: DATA,
    ebp: DATA + 0x100,
    esi: DATA + 0x40,
    edi: DATA + 0x80,
  };
  const ring = fc.constantFrom(0 as const, 1 as const, 3 as const);
  const paging = fc.constantFrom('off' as const, '32-bit' as const);
  let total = 0;
  let ended = 0;
  fc.assert(
    fc.property(program, ring, paging, (code, level, mode) => {
      const entry = guestEntry({ code, registers, ring: level, paging: mode });
      const [library] = libraries;
      if (!library) throw new Error('there is no engine');
      const limited = { instructions: BUDGET };
      const endless = untraced(library, entry, limited).kind === 'budget';
      if (!endless) ended++;
      // Without a limit only what ends by itself: such a run may take another pass.
      const limit = endless ? limited : UNLIMITED;
      const repeats = new Repeats(library, entry, limit);
      for (const each of libraries) {
        for (const count of ['auto', 'always', 'never'] as const) {
          repeats.trace(each, { ...limit, count });
          repeats.run(each, { ...limit, count });
        }
        repeats.trace(each, { ...limit, timeout: HOUR });
      }
      expect(repeats.hashes.size).toBe(1);
      total += repeats.count;
    }),
    { numRuns: Math.ceil(1000 / (1 + 7 * libraries.length)), seed: SEED },
  );
  expect(total).toBeGreaterThanOrEqual(1000);
  expect(ended).toBeGreaterThan(20);
});

describe('the images', () => {
  for (const image of imageCatalog()) {
    it.each(image.expected.map(each => [expectationTitle(each), each] as const))(
      `${image.name}: %s`,
      async (_, { as, knobs, cmdline }) => {
        const libraries = await Promise.all(engines.map(engine => engine.load()));
        const kernel = readKernelImage(new Uint8Array(readFileSync(image.file)), { name: image.name });
        const entry = findProtocol(as).entryState(kernel, {
          ...knobs,
          ...(cmdline === undefined ? {} : { cmdline }),
        });
        const [library] = libraries;
        if (!library) throw new Error('there is no engine');
        const repeats = new Repeats(library, entry, {});
        for (const each of libraries) repeats.trace(each, UNLIMITED);
        expect(repeats.hashes.size).toBe(1);
      },
    );
  }
});

/**
 * A sum over a table, with a call for each element and the time at the end:
 * mov $2000,%ecx; 1: push %ecx; call 2f; pop %ecx; loop 1b; rdtsc; cpuid; hlt; 2: add %ecx,%eax; rep stosb; ret
 */
const LOOP = `
  b9 d0 07 00 00   # 1000: mov $2000,%ecx
  51               # 1005: push %ecx
  e8 09 00 00 00   # 1006: call 1014
  59               # 100b: pop %ecx
  e2 f7            # 100c: loop 1005
  0f 31            # 100e: rdtsc
  0f a2            # 1010: cpuid
  f4               # 1012: hlt
  90               # 1013: nop
  01 c8            # 1014: add %ecx,%eax
  b9 05 00 00 00   # 1016: mov $5,%ecx
  bf 00 90 00 00   # 101b: mov $0x9000,%edi
  f3 aa            # 1020: rep stosb
  c3               # 1022: ret
`;

it('the trace of a loop has every iteration, on both engines', async () => {
  const entry = guestEntry({ code: LOOP, ring: 0, registers: { esp: STACK, eax: 0 } });
  for (const engine of engines) {
    using machine = Machine.open(await engine.load(), entry);
    const events: TraceEvent[] = [];
    const stop = machine.run({ ...UNLIMITED, trace: event => events.push(event) });
    const runs = events.filter(event => event.type === 'run');
    // 1000; then 1014 and 100b for each round, and 1005 for each but the first; then 100e.
    expect(runs.length).toBe(1 + 2000 * 2 + 1999 + 1);
    expect(runs.reduce((sum, { instructions }) => sum + instructions, 0)).toBe(stop.instructions);
    expect(events.filter(event => event.type === 'answer').map(event => event.address)).toEqual([
      CODE + 0x0e,
      CODE + 0x10,
    ]);
  }
});

it('a real kernel, until it has decompressed a part of itself', async ctx => {
  const image = realImage(ctx, 'debian kernel');
  const entry = findProtocol('pc').entryState(image, {});
  const hashes = new Set<string>();
  const stops: Stop[] = [];
  for (const engine of engines) {
    const library = await engine.load();
    for (let i = 0; i < 3; i++) {
      const { stop, hash } = traced(library, entry, { instructions: 300_000 });
      hashes.add(hash);
      stops.push(stop, untraced(library, entry, { instructions: 300_000 }));
    }
  }
  expect(hashes.size).toBe(1);
  for (const stop of stops) expect(stop).toEqual(stops[0]);
});
