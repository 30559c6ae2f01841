/** Machine.answer: a run goes on after a Stop as it was answered, and repeats its answers where it has to start again. */
import { expect, it } from 'vitest';
import { type Continuation, Machine } from '../../emulator/machine.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, DATA, type GuestOptions, guestEntry, HOLE, MEMORY, mapping } from '../support/guest.ts';

const SKIP: Continuation = { type: 'done', effect: {} };
const LET_PASS: Continuation = { type: 'let-pass' };

/** Runs to the first Stop, gives each answer in turn, and returns all Stops. */
function stops(
  library: UnicornLibrary,
  options: GuestOptions,
  answers: readonly Continuation[],
  run: Parameters<Machine['run']>[0] = {},
): Stop[] {
  using machine = Machine.open(library, guestEntry({ ring: 1, ...options }));
  const found = [machine.run(run)];
  for (const answer of answers) {
    machine.answer(answer);
    found.push(machine.run(run));
  }
  return found;
}

const placed = (found: readonly Stop[]): (readonly [kind: string, offset: number, instructions: number])[] =>
  found.map(({ kind, cpu, instructions }) => [kind, cpu.eip - CODE, instructions]);

const TWO_TRAPS = `
  40                    # inc %eax
  fa                    # cli
  40                    # inc %eax
  0f 20 c3              # mov %cr0,%ebx
  40                    # inc %eax
  0f 0b                 # ud2
`;

describeEachEngine('an answered Stop', engine => {
  it('counts what was stepped over as retired', async () => {
    const found = stops(await engine.load(), { code: TWO_TRAPS, registers: { eax: 0 } }, [SKIP, SKIP]);
    expect(placed(found)).toEqual([
      ['iopl-sensitive-instruction', 1, 1],
      ['privileged-instruction', 3, 3],
      ['invalid-opcode', 7, 5],
    ]);
    expect(found.at(-1)?.cpu.registers.eax).toBe(3);
  });

  it('takes what the effect gives', async () => {
    const read: Continuation = { type: 'done', effect: { registers: { ebx: 0x11 } } };
    const found = stops(await engine.load(), { code: TWO_TRAPS }, [SKIP, read]);
    expect(found.at(-1)?.cpu.registers.ebx).toBe(0x11);
  });

  it('does not count an instruction whose fault was delivered', async () => {
    const deliver: Continuation = { type: 'delivered', effect: { eip: CODE + 7 } };
    const found = stops(await engine.load(), { code: TWO_TRAPS }, [deliver]);
    expect(placed(found).at(-1)).toEqual(['invalid-opcode', 7, 1]);
    expect(found.at(-1)?.trail).toEqual([CODE, CODE + 7]);
  });

  it('lets the CPU do an instruction without a look at it: a port access of ring 1', async () => {
    // mov $0x3f8,%edx; mov $0x41,%al; out %al,(%dx); ud2
    const code = 'ba f8 03 00 00 b0 41 ee 0f 0b';
    const sent: number[] = [];
    using machine = Machine.open(await engine.load(), guestEntry({ ring: 1, code }), {
      onSerial: bytes => sent.push(...bytes),
    });
    expect(machine.run().kind).toBe('iopl-sensitive-instruction');
    machine.answer(LET_PASS);
    expect(machine.run()).toMatchObject({ kind: 'invalid-opcode', instructions: 3 });
    expect(sent).toEqual([0x41]);
  });

  it('reads ones from an empty bus and loses what is written to it', async () => {
    const code = `
      c7 05 00 00 30 00 78 56 34 12   # movl $0x12345678,0x300000
      a1 00 00 30 00                  # mov 0x300000,%eax
      0f 0b                           # ud2
    `;
    const bus: Continuation = { type: 'let-pass', emptyBus: { address: HOLE, size: 4 } };
    const found = stops(await engine.load(), { code }, [bus, bus]);
    expect(placed(found)).toEqual([
      ['memory-hole', 0, 0],
      ['memory-hole', 10, 1],
      ['invalid-opcode', 15, 2],
    ]);
    expect(found.at(-1)?.cpu.registers.eax).toBe(0xffffffff);
  });

  it('is refused where there is nothing to answer', async () => {
    using machine = Machine.open(await engine.load(), guestEntry({ ring: 1, code: TWO_TRAPS }));
    expect(() => machine.answer(SKIP)).toThrow(RangeError);
    expect(machine.run({ until: CODE + 1 }).kind).toBe('reached');
    expect(() => machine.answer(SKIP)).toThrow('a reached stop is the end of a run and asks for no answer');
    machine.run();
    machine.answer(SKIP);
    expect(() => machine.answer(SKIP)).toThrow('the machine has not stopped at anything');
  });

  it('reads MSRs that an effect has written; the time-stamp counter goes on from there', async () => {
    using machine = Machine.open(await engine.load(), guestEntry({ ring: 1, code: TWO_TRAPS }));
    machine.run();
    const msrs = [
      { index: 0x8b, value: 0x1122334455667788n },
      { index: 0x10, value: 1000n },
    ];
    machine.answer({ type: 'done', effect: { msrs } });
    expect(machine.readMsr(0x8b)).toBe(0x1122334455667788n);
    machine.run();
    // The answered instruction and one more.
    expect(machine.readMsr(0x10)).toBe(1002n);
  });

  // A fault in the middle of a block leaves no exact state: the run starts again from the entry and steps to it.
  const MIDDLE_OF_BLOCK = `
    fa                    # cli
    40                    # inc %eax
    8b 1d 00 00 30 00     # mov 0x300000,%ebx: a hole
    40                    # inc %eax
    fb                    # sti
    40                    # inc %eax
    89 1d 00 00 30 00     # mov %ebx,0x300000
    fa                    # cli
    0f 0b                 # ud2
  `;

  it('is given again in a second pass', async () => {
    const set: Continuation = { type: 'done', effect: { registers: { ecx: 7 } } };
    const answers = [set, SKIP, SKIP, SKIP, SKIP];
    const found = stops(await engine.load(), { code: MIDDLE_OF_BLOCK, registers: { eax: 0 } }, answers);
    expect(placed(found)).toEqual([
      ['iopl-sensitive-instruction', 0, 0],
      ['memory-hole', 2, 2],
      ['iopl-sensitive-instruction', 9, 4],
      ['memory-hole', 11, 6],
      ['iopl-sensitive-instruction', 17, 7],
      ['invalid-opcode', 18, 8],
    ]);
    expect(found.at(-1)?.cpu.registers).toMatchObject({ eax: 3, ecx: 7 });
  });

  it('gives the same in runs with and without a budget, and in slices', async () => {
    const library = await engine.load();
    const answers = [SKIP, SKIP, SKIP, SKIP, SKIP];
    const options = { code: MIDDLE_OF_BLOCK };
    const counted = stops(library, options, answers);
    expect(stops(library, options, answers, { instructions: Number.POSITIVE_INFINITY })).toEqual(counted);
    using machine = Machine.open(library, guestEntry({ ring: 1, ...options }));
    const sliced = [await machine.runAsync()];
    for (const answer of answers) {
      machine.answer(answer);
      sliced.push(await machine.runAsync());
    }
    expect(sliced).toEqual(counted);
  });

  it('is not lost when the run after it is interrupted', async () => {
    const out = 'ba f8 03 00 00 b0 41 ee 0f 0b'; // mov $0x3f8,%edx; mov $0x41,%al; out %al,(%dx); ud2
    using machine = Machine.open(await engine.load(), guestEntry({ ring: 1, code: out }));
    machine.run();
    machine.answer(LET_PASS);
    const aborted = await machine.runAsync({ signal: AbortSignal.abort() });
    expect(aborted.kind).toBe('interrupted');
    expect(machine.run()).toMatchObject({ kind: 'invalid-opcode', instructions: 3 });
  });

  it('turns paging on by an effect, and the run follows the new mapping', async () => {
    const code = `
      0f 22 c0              # mov %eax,%cr0
      a1 00 90 00 00        # mov 0x9000,%eax
      0f 0b                 # ud2
    `;
    const paged = guestEntry({ ring: 1, code, paging: '32-bit', mappings: [mapping(0, 0, MEMORY)] });
    const off = { ...paged, control: { ...paged.control, cr0: 0x11 } };
    using machine = Machine.open(await engine.load(), off);
    machine.run();
    machine.answer({ type: 'done', effect: { control: { cr0: 0x80000011 } } });
    const stop = machine.run();
    expect(stop.kind).toBe('invalid-opcode');
    expect(stop.cpu.control.cr0 >>> 0).toBe(0x80000011);
    expect(stop.cpu.registers.eax).toBe(0x03020100);
    expect(machine.readMemory(DATA, 4)).toEqual(Uint8Array.of(0, 1, 2, 3));
  });
});
