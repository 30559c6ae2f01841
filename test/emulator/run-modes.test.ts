/** However a run is made – counted or not, in slices, step by step, again – it ends in the same Stop. */
import { expect, it } from 'vitest';
import { CPU_MODELS } from '../../emulator/cpu-models/index.ts';
import type { EntryState } from '../../emulator/entry-state.ts';
import { Guest } from '../../emulator/guest.ts';
import { Machine } from '../../emulator/machine.ts';
import { Session } from '../../emulator/run/session.ts';
import type { RunOptions } from '../../emulator/run-options.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { describeEachEngine, engines } from '../support/engines.ts';
import { CODE, guestEntry, listing } from '../support/guest.ts';

function run(library: UnicornLibrary, entry: EntryState, options?: RunOptions): Stop {
  using machine = Machine.open(library, entry);
  return machine.run(options);
}

/** The same, one instruction at a time from the entry. */
function runInSteps(library: UnicornLibrary, entry: EntryState, options: RunOptions): Stop {
  const guest = new Guest(library, entry, { onSerial: () => {} });
  try {
    const session = new Session(guest, { ...options, count: 'always' }, { inSlices: true, stepFrom: 0 });
    for (;;) {
      const end = session.slice(Number.POSITIVE_INFINITY);
      if (end.type === 'stop') return end.stop;
      if (end.type !== 'slice') throw new Error(`stepping ended in ${end.type}`);
    }
  } finally {
    guest.close();
  }
}

/** Loops, a repeated string instruction, a call, and instructions that have to be looked at, in 49 instructions. */
const MIXED = guestEntry({
  code: `
    fc               # cld
    bf 00 9c 00 00   # mov $0x9c00,%edi
    bb 03 00 00 00   # mov $3,%ebx
    b9 05 00 00 00   # 1: mov $5,%ecx               offset 11
    f3 aa            # rep stosb
    0f 31            # rdtsc
    50               # push %eax
    0f a2            # cpuid: changes ebx
    5b               # pop %ebx
    83 e3 7f         # and $0x7f,%ebx
    e8 02 00 00 00   # call 2f
    eb 0a            # jmp 3f
    0f c7 f0         # 2: rdrand %eax               offset 34
    01 05 00 98 00 00 # add %eax,0x9800
    c3               # ret
    ff 05 10 98 00 00 # 3: incl 0x9810              offset 44
    83 3d 10 98 00 00 03 # cmpl $3,0x9810
    75 d0            # jne 1b
    f4               # hlt
  `,
});

/** 3 + 3 * (mov, rep stosb, rdtsc, push, cpuid, pop, and, call, rdrand, add, ret, jmp, incl, cmpl, jne). */
const MIXED_LENGTH = 3 + 3 * 15;

describeEachEngine('a run', engine => {
  it('ends where the program does', async () => {
    expect(run(await engine.load(), MIXED)).toMatchObject({ kind: 'halt', instructions: MIXED_LENGTH });
  });

  it('has an exact budget, the same as in single steps', async () => {
    const library = await engine.load();
    for (let budget = 0; budget <= 50; budget++) {
      const stop = run(library, MIXED, { instructions: budget });
      const kind = budget <= MIXED_LENGTH ? 'budget' : 'halt';
      expect([budget, stop.kind, stop.instructions]).toEqual([budget, kind, Math.min(budget, MIXED_LENGTH)]);
      expect(stop).toEqual(runInSteps(library, MIXED, { instructions: budget }));
    }
  });

  it('goes on where the one before stopped', async () => {
    const library = await engine.load();
    using machine = Machine.open(library, MIXED);
    for (let budget = 0; budget < MIXED_LENGTH; budget += 3) {
      expect(machine.run({ instructions: budget })).toEqual(run(library, MIXED, { instructions: budget }));
    }
    expect(machine.run()).toEqual(run(library, MIXED));
    // A halt is not left: the same Stop again.
    expect(machine.run()).toEqual(run(library, MIXED));
  });

  it('counts the same in every mode', async () => {
    const library = await engine.load();
    const counted = run(library, MIXED, { count: 'always' });
    expect(run(library, MIXED, { count: 'auto' })).toEqual(counted);
    expect(run(library, MIXED, { instructions: Number.POSITIVE_INFINITY })).toEqual(counted);
    expect(run(library, MIXED, { timeout: 1e9 })).toEqual(counted);
  });

  it('without counting ends in the same state', async () => {
    const library = await engine.load();
    const { cpu, kind } = run(library, MIXED, { count: 'always' });
    expect(run(library, MIXED, { count: 'never', instructions: Number.POSITIVE_INFINITY })).toMatchObject({
      kind,
      cpu,
    });
    const stop = run(library, MIXED, { count: 'never' });
    expect(stop).toMatchObject({ kind, cpu, instructions: 0, counted: false, trail: [cpu.eip] });
  });

  it('that is long counts in a second pass, and says its output once', async () => {
    const library = await engine.load();
    // mov $0x41,%al; mov $0x3f8,%dx; out; mov $600000,%ecx; loop: dec; jz over; jmp loop; out; hlt
    const code = `
      b0 41            # mov $'A',%al
      66 ba f8 03      # mov $0x3f8,%dx
      ee               # out %al,(%dx)
      b9 c0 27 09 00   # mov $600000,%ecx
      49               # 1: dec %ecx
      74 02            # jz 2f
      eb fb            # jmp 1b
      fe c0            # 2: inc %al
      ee               # out %al,(%dx)
      f4               # hlt
    `;
    const output: number[] = [];
    using machine = Machine.open(library, guestEntry({ code }), { onSerial: bytes => output.push(...bytes) });
    const stop = machine.run({ instructions: Number.POSITIVE_INFINITY });
    // 4, then 599,999 rounds of 3 and one of 2, then 2.
    expect(stop).toMatchObject({ kind: 'halt', instructions: 4 + 599_999 * 3 + 2 + 2, counted: true });
    expect(stop).toEqual(run(library, guestEntry({ code }), { count: 'always' }));
    expect(String.fromCharCode(...output)).toBe('AB');
  });
});

describeEachEngine('until', engine => {
  const at = async (until: number, code: string): Promise<Machine & { next: () => Stop }> => {
    const machine = Machine.open(await engine.load(), guestEntry({ code }));
    return Object.assign(machine, { next: () => machine.run({ until, instructions: 100 }) });
  };

  it('is met in the middle of a block, with the state before the instruction', async () => {
    // mov $1,%eax; xor %eax,%eax; inc %eax; hlt
    using machine = await at(CODE + 7, 'b8 01 00 00 00 31 c0 40 f4');
    const stop = machine.next();
    expect(stop).toMatchObject({ kind: 'reached', address: CODE + 7, instructions: 2 });
    expect([stop.cpu.eip, stop.cpu.registers.eax, stop.cpu.eflags]).toEqual([CODE + 7, 0, 0x46]);
    expect(machine.next()).toMatchObject({ kind: 'halt', instructions: 3 });
  });

  it('is met at the entry', async () => {
    using machine = await at(CODE, '40 f4');
    expect(machine.next()).toMatchObject({ kind: 'reached', instructions: 0, trail: [CODE] });
    expect(machine.next()).toMatchObject({ kind: 'halt', instructions: 1 });
  });

  it('is met in each round of a loop', async () => {
    // mov $3,%ecx; 1: inc %eax; inc %edx; loop 1b; hlt
    for (const [offset, before] of [
      [5, 0],
      [6, 1],
      [7, 2],
    ] as const) {
      using machine = await at(CODE + offset, 'b9 03 00 00 00 40 42 e2 fc f4');
      for (const round of [0, 1, 2]) {
        expect(machine.next()).toMatchObject({ kind: 'reached', instructions: 1 + 3 * round + before });
      }
      expect(machine.next()).toMatchObject({ kind: 'halt', instructions: 10 });
    }
  });

  it('inside an instruction is never met', async () => {
    using machine = await at(CODE + 1, 'b8 01 00 00 00 f4');
    expect(machine.next()).toMatchObject({ kind: 'halt', instructions: 1 });
  });

  it('does not end a second pass of a later run early', async () => {
    // 1: inc %eax; jmp 2f; 2: cmp $2,%eax; jne 1b; mov 0x300000,%eax
    const code = '31 c0 40 eb 00 83 f8 02 75 f8 a1 00 00 30 00';
    using machine = await at(CODE + 2, code);
    expect(machine.next()).toMatchObject({ kind: 'reached', instructions: 1 });
    expect(machine.next()).toMatchObject({ kind: 'reached', instructions: 5 });
    expect(machine.next()).toMatchObject({ kind: 'memory-hole', instructions: 9 });
  });
});

describeEachEngine('a machine', engine => {
  /** 1: jmp 1b */
  const FOREVER = guestEntry({ code: 'eb fe' });

  it('runs in slices as in one go', async () => {
    const library = await engine.load();
    using machine = Machine.open(library, MIXED);
    expect(await machine.runAsync()).toEqual(run(library, MIXED));
    // mov $2000000,%ecx; 1: loop 1b; hlt: longer than a slice
    const long = guestEntry({ code: 'b9 80 84 1e 00 e2 fe f4' });
    using other = Machine.open(library, long);
    expect(await other.runAsync({ count: 'never' })).toMatchObject({ kind: 'halt', cpu: { eip: CODE + 7 } });
  });

  it('is interrupted by a signal, and goes on afterwards', async () => {
    using machine = Machine.open(await engine.load(), FOREVER);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 10);
    const stop = await machine.runAsync({ signal: controller.signal, instructions: 1e12 });
    expect(stop).toMatchObject({ kind: 'interrupted', cpu: { eip: CODE } });
    const limit = stop.instructions + 5;
    expect(machine.run({ instructions: limit })).toMatchObject({ kind: 'budget', instructions: limit });
    expect(await machine.runAsync({ signal: AbortSignal.abort() })).toMatchObject({
      kind: 'interrupted',
      instructions: limit,
    });
  });

  it('stops when its time is over', async () => {
    using machine = Machine.open(await engine.load(), FOREVER);
    expect(machine.run({ timeout: 5, instructions: Number.POSITIVE_INFINITY })).toMatchObject({
      kind: 'timeout',
      milliseconds: 5,
    });
  });

  it('is closed once, and does not run after that', async () => {
    const library = await engine.load();
    const machine = Machine.open(library, MIXED);
    machine.close();
    machine.close();
    expect(() => machine.run()).toThrow('the machine is closed');
    await expect(machine.runAsync()).rejects.toThrow('the machine is closed');
    expect(() => machine.readMemory(CODE, 1)).toThrow('the machine is closed');
    {
      await using other = Machine.open(library, MIXED);
      expect(other.run().kind).toBe('halt');
    }
  });

  it('fills undefined memory with a pattern only when asked', async () => {
    for (const [poison, byte] of [
      [true, 0xcc],
      [false, 0],
    ] as const) {
      using machine = Machine.open(await engine.load(), guestEntry({ code: 'f4', poison }));
      expect([...machine.readMemory(CODE, 2)]).toEqual([0xf4, byte]);
      expect(machine.readMemory(0x50000, 4)).toEqual(new Uint8Array(4).fill(byte));
    }
  });

  it('gives a virtual time-stamp counter: the number of retired instructions', async () => {
    // nop; nop; rdtsc; mov %eax,%ebx; rdtsc; hlt
    const stop = run(await engine.load(), guestEntry({ code: '90 90 0f 31 89 c3 0f 31 f4' }), {
      count: 'never',
      instructions: Number.POSITIVE_INFINITY,
    });
    expect([stop.cpu.registers.ebx, stop.cpu.registers.eax]).toEqual([2, 4]);
  });

  it.each(CPU_MODELS)('answers cpuid as $name', async model => {
    const leaf1 = run(
      await engine.load(),
      guestEntry({ code: 'b8 01 00 00 00 0f a2 f4', platform: { cpuModel: model.name } }),
    );
    const { eax, ebx, ecx, edx } = leaf1.cpu.registers;
    expect({ eax, ebx, ecx, edx }).toEqual(model.cpuid(1, 0));
    // CPUID.1:ECX.31, the hypervisor bit; CPUID.1:EDX.25 SSE and .6 PAE.
    const p6 = model.name === 'i486' || model.name === 'i586' ? 0 : 1;
    expect([ecx >>> 31, (edx >>> 25) & 1, (edx >>> 6) & 1]).toEqual([
      /-(hv|xen)$/.test(model.name) ? 1 : 0,
      p6,
      p6,
    ]);
  });
});

it('random numbers are the same in every run, on every engine', async () => {
  // rdrand %eax; rdseed %ecx; hlt
  const entry = guestEntry({ code: listing('0f c7 f0 0f c7 f9 f4') });
  const values: string[] = [];
  for (const engine of engines) {
    for (const _ of [1, 2]) {
      const { registers, eflags } = run(await engine.load(), entry).cpu;
      expect(eflags & 1).toBe(1);
      expect(registers.eax).not.toBe(registers.ecx);
      values.push(`${registers.eax} ${registers.ecx}`);
    }
  }
  expect(new Set(values).size).toBe(1);
});
