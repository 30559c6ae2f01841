/** Random programs end in the same Stop on both engines, byte for byte, however the run is made. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { EntryState } from '../../emulator/entry-state.ts';
import { Guest } from '../../emulator/guest.ts';
import { Machine } from '../../emulator/machine.ts';
import { Session } from '../../emulator/run/session.ts';
import type { RunOptions, StopOn } from '../../emulator/run-options.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { engines } from '../support/engines.ts';
import { CODE, DATA, type GuestOptions, guestEntry } from '../support/guest.ts';
import { program } from '../support/programs.ts';

const BUDGET = 200;
const SEED = 32;

interface Result {
  readonly stop: Stop;
  readonly memory: Uint8Array;
  readonly serial: readonly number[];
}

function run(library: UnicornLibrary, entry: EntryState, options: RunOptions): Result {
  const serial: number[] = [];
  using machine = Machine.open(library, entry, { onSerial: bytes => serial.push(...bytes) });
  return { stop: machine.run(options), memory: machine.readMemory(DATA, 0x1200), serial };
}

function runInSteps(library: UnicornLibrary, entry: EntryState, stopOn: StopOn): Result {
  const serial: number[] = [];
  const guest = new Guest(library, entry, { onSerial: byte => serial.push(byte) });
  try {
    const session = new Session(guest, { instructions: BUDGET, stopOn }, { inSlices: true, stepFrom: 0 });
    for (;;) {
      const end = session.slice(Number.POSITIVE_INFINITY);
      if (end.type === 'stop') return { stop: end.stop, memory: guest.readLinear(DATA, 0x1200), serial };
      if (end.type !== 'slice') throw new Error(`stepping ended in ${end.type}`);
    }
  } finally {
    guest.close();
  }
}

/** What a run without counting tells too. */
const uncounted = ({ stop: { kind, cpu, exception, observations }, memory, serial }: Result): unknown => ({
  kind,
  cpu,
  exception,
  observations: observations.map(({ rule, first, place, saw, bare, differs }) => ({
    rule,
    first: first.address,
    place: place.address,
    saw,
    bare,
    differs,
  })),
  memory,
  serial,
});

const surroundings: fc.Arbitrary<Omit<GuestOptions, 'code'>> = fc.record({
  paging: fc.constantFrom('off', '32-bit', 'pae'),
  ring: fc.constantFrom(0, 0, 0, 1, 2, 3),
  gdt: fc.constantFrom('guarded', 'guarded', 'open', 'none'),
  eflags: fc.constantFrom(2, 2, 0x3002, 0x202),
  // Some programs cross into another page.
  at: fc.constantFrom(CODE, CODE, CODE + 0xfe0),
});
const stopOns = fc.constantFrom<StopOn>('loss', 'fault', 'sensitive');
const registers = {
  eax: 1,
  ecx: 3,
  edx: 0,
  ebx: DATA,
  ebp: DATA + 0x100,
  esi: DATA + 0x40,
  edi: DATA + 0x80,
};

it('the same Stop on every engine and in every mode', async () => {
  const libraries = await Promise.all(engines.map(engine => engine.load()));
  const kinds = new Set<string>();
  const observed = new Set<string>();
  fc.assert(
    fc.property(program, surroundings, stopOns, (code, around, stopOn) => {
      const entry = guestEntry({ code, registers, ...around });
      const results = libraries.map(library => run(library, entry, { instructions: BUDGET, stopOn }));
      const [first] = results;
      if (!first) throw new Error('there is no engine');
      kinds.add(first.stop.kind);
      for (const { rule } of first.stop.observations) observed.add(rule);
      for (const other of results) expect(other).toEqual(first);
      for (const library of libraries) {
        expect(runInSteps(library, entry, stopOn)).toEqual(first);
        // Without a limit only what ends by itself.
        if (first.stop.kind === 'budget') continue;
        const limit = { instructions: Number.POSITIVE_INFINITY, stopOn };
        expect(run(library, entry, limit)).toEqual(first);
        expect(uncounted(run(library, entry, { ...limit, count: 'never' }))).toEqual(uncounted(first));
      }
    }),
    { numRuns: 120, seed: SEED },
  );
  // The seed is fixed, so that this says something about the programs and not about luck.
  expect(kinds.size).toBeGreaterThan(8);
  expect(observed.size).toBeGreaterThan(6);
});
