/** What passes silently outside ring 0 is counted, and set beside what a PC gives a kernel in ring 0. */
import { describe, expect, it } from 'vitest';
import type { EntryState } from '../../emulator/entry-state.ts';
import { Machine } from '../../emulator/machine.ts';
import type { Observation, Sight } from '../../emulator/observe/observation.ts';
import type { RunOptions } from '../../emulator/run-options.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, GDT, type GuestOptions, guestEntry, STACK } from '../support/guest.ts';

const IF = 0x200;
/** Where a pseudo-descriptor is put. */
const OPERAND = 0xa000;
/** hlt: privileged, so every program outside ring 0 ends there. */
const END = 'f4';

function run(library: UnicornLibrary, entry: EntryState, options: RunOptions = {}): Stop {
  using machine = Machine.open(library, entry);
  return machine.run(options);
}

/** Ring 1 with IF set, as lguest and Xen run a kernel. */
const ring1 = (code: string, options: Omit<GuestOptions, 'code'> = {}): EntryState =>
  guestEntry({ ring: 1, eflags: 2 | IF, gdt: 'open', ...options, code: `${code} ${END}` });

const LOOP = `
  b9 05 00 00 00   # mov $5,%ecx
  9c               # 1: pushf
  58               # pop %eax
  8c c8            # mov %cs,%eax
  49               # dec %ecx
  75 f9            # jnz 1b
`;

/** What a run in every mode has in common. */
const essence = ({ rule, count, first, place, saw, bare }: Observation): unknown => ({
  rule,
  count,
  first,
  place,
  saw,
  bare,
});

describeEachEngine('observations', engine => {
  const observe = async (
    code: string,
    options: Omit<GuestOptions, 'code'> = {},
  ): Promise<readonly Observation[]> => run(await engine.load(), ring1(code, options)).observations;
  const only = async (code: string, options: Omit<GuestOptions, 'code'> = {}): Promise<Observation> => {
    const [first, ...others] = await observe(code, options);
    if (!first || others.length > 0) throw new Error(`${others.length + 1} observations`);
    return first;
  };

  it('are counted exactly, in the order of their first places', async () => {
    const stop = run(await engine.load(), ring1(LOOP));
    expect(stop).toMatchObject({ kind: 'privileged-instruction', instructions: 1 + 5 * 5 });
    expect(stop.observations.map(essence)).toEqual([
      {
        rule: 'pushf',
        count: 5,
        first: { address: CODE + 5, bytes: Uint8Array.of(0x9c), instruction: 1 },
        place: { address: CODE + 5, bytes: Uint8Array.of(0x9c), instruction: 1 },
        saw: { what: 'flags', image: 0x202, operandSize: 32 },
        bare: { what: 'flags', image: 0x002, operandSize: 32 },
      },
      {
        rule: 'mov-from-segment',
        count: 5,
        first: { address: CODE + 7, bytes: Uint8Array.of(0x8c, 0xc8), instruction: 3 },
        place: { address: CODE + 7, bytes: Uint8Array.of(0x8c, 0xc8), instruction: 3 },
        saw: { what: 'selector', register: 'cs', selector: 0x09 },
        bare: { what: 'selector', register: 'cs', selector: 0x10 },
      },
    ]);
  });

  it('are the same in every mode that counts', async () => {
    const library = await engine.load();
    const { observations } = run(library, ring1(LOOP), { count: 'always' });
    for (const options of [
      { count: 'auto' },
      { instructions: Number.POSITIVE_INFINITY },
      { timeout: 1e9 },
      { stopOn: 'fault' },
    ] as const) {
      expect(run(library, ring1(LOOP), options).observations).toEqual(observations);
    }
  });

  it('without counting have lower bounds, and the same values', async () => {
    const library = await engine.load();
    const counted = run(library, ring1(LOOP)).observations;
    const options = { count: 'never', instructions: Number.POSITIVE_INFINITY } as const;
    const { observations } = run(library, ring1(LOOP), options);
    expect(observations.map(({ rule, saw, bare, first }) => [rule, saw, bare, first.address])).toEqual(
      counted.map(({ rule, saw, bare, first }) => [rule, saw, bare, first.address]),
    );
    for (const { count, counted: exact, first } of observations) {
      expect(exact).toBe(false);
      expect(count).toBeGreaterThanOrEqual(1);
      expect(count).toBeLessThanOrEqual(5);
      expect(first.instruction).toBe(0);
    }
  });

  it('are none in ring 0', async () => {
    const stop = run(await engine.load(), guestEntry({ code: `${LOOP} ${END}` }));
    expect([stop.kind, stop.observations]).toEqual(['halt', []]);
  });

  it('leave out what the end of the run kept from running', async () => {
    // pushf; mov 0x300000,%eax: there is no memory; sgdt 0x9800
    const stop = run(await engine.load(), ring1('9c a1 00 00 30 00 0f 01 05 00 98 00 00'));
    expect(stop.kind).toBe('memory-hole');
    expect(stop.observations.map(({ rule, count }) => [rule, count])).toEqual([['pushf', 1]]);
  });

  it('leave out an instruction that faults itself', async () => {
    // sgdt 0x300000: there is no memory
    const stop = run(await engine.load(), ring1('0f 01 05 00 00 30 00'));
    expect([stop.kind, stop.observations]).toEqual(['memory-hole', []]);
  });

  it('go on being counted in the next run', async () => {
    using machine = Machine.open(await engine.load(), ring1(LOOP));
    expect(machine.run({ instructions: 8 }).observations.map(o => o.count)).toEqual([2, 1]);
    expect(machine.run({ instructions: 9 }).observations.map(o => o.count)).toEqual([2, 2]);
    expect(machine.run().observations.map(o => o.count)).toEqual([5, 5]);
  });

  it('show the first place where anything differs', async () => {
    // xor %eax,%eax; cpuid; mov $1,%eax; cpuid
    const seen = await only('31 c0 0f a2 b8 01 00 00 00 0f a2', { platform: { cpuModel: 'i686-hv' } });
    expect(seen).toMatchObject({
      rule: 'cpuid',
      count: 2,
      first: { address: CODE + 2, instruction: 1 },
      place: { address: CODE + 9, instruction: 3 },
      saw: { what: 'cpuid', leaf: 1, hypervisor: true },
      bare: { what: 'cpuid', leaf: 1, hypervisor: false },
      differs: true,
    });
  });

  /** Every one of them in ring 1 of the guest of `test/support/guest.ts`, whose GDT has DPL 1 throughout. */
  const TABLE: readonly {
    readonly name: string;
    readonly code: string;
    readonly rule: string;
    readonly saw: Sight;
    readonly bare: Sight;
    readonly options?: Omit<GuestOptions, 'code'>;
  }[] = [
    {
      name: 'pushfw',
      code: '66 9c',
      rule: 'pushf',
      saw: { what: 'flags', image: 0x202, operandSize: 16 },
      bare: { what: 'flags', image: 0x002, operandSize: 16 },
    },
    {
      name: 'sgdt 0x9800',
      code: '0f 01 05 00 98 00 00',
      rule: 'sgdt',
      saw: { what: 'table', base: GDT, limit: 0x27 },
      bare: { what: 'boot-loader-table' },
    },
    {
      name: 'sidt 0x9800',
      code: '0f 01 0d 00 98 00 00',
      rule: 'sidt',
      saw: { what: 'table', base: 0, limit: 0 },
      bare: { what: 'table', base: 0, limit: 0 },
    },
    {
      name: 'sldt %eax',
      code: '0f 00 c0',
      rule: 'sldt',
      saw: { what: 'selector', register: 'ldtr', selector: 0 },
      bare: { what: 'selector', register: 'ldtr', selector: 0 },
    },
    {
      name: 'str %eax',
      code: '0f 00 c8',
      rule: 'str',
      saw: { what: 'selector', register: 'tr', selector: 0 },
      bare: { what: 'selector', register: 'tr', selector: 0x20 },
    },
    {
      name: 'smsw %eax with paging on',
      code: '0f 01 e0',
      rule: 'smsw',
      options: { paging: '32-bit' },
      saw: { what: 'cr0', value: 0x80000011, operandSize: 32 },
      bare: { what: 'cr0', value: 0x11, operandSize: 32 },
    },
    {
      name: 'smsw 0x9800',
      code: '0f 01 25 00 98 00 00',
      rule: 'smsw',
      options: { paging: '32-bit' },
      saw: { what: 'cr0', value: 0x11, operandSize: 16 },
      bare: { what: 'cr0', value: 0x11, operandSize: 16 },
    },
    {
      name: 'push %ss',
      code: '16',
      rule: 'push-segment',
      saw: { what: 'selector', register: 'ss', selector: 0x11 },
      bare: { what: 'selector', register: 'ss', selector: 0x18 },
    },
    {
      name: 'mov %bx,%ds with 0x21: other data of the GDT',
      code: 'bb 21 00 00 00 8e db',
      rule: 'mov-to-segment',
      saw: { what: 'segment-loaded', register: 'ds', selector: 0x21, dpl: 1 },
      bare: { what: 'segment-loaded', register: 'ds', selector: 0x20, dpl: 0 },
    },
    {
      name: 'mov %bx,%fs with the null selector',
      code: '31 db 8e e3',
      rule: 'mov-to-segment',
      saw: { what: 'segment-loaded', register: 'fs', selector: 0 },
      bare: { what: 'segment-loaded', register: 'fs', selector: 0 },
    },
    {
      name: 'lar %ebx,%eax of data with DPL 1',
      code: 'bb 11 00 00 00 0f 02 c3',
      rule: 'lar',
      saw: { what: 'descriptor', selector: 0x11, zf: 1, value: 0x00c0b300 },
      bare: { what: 'descriptor', selector: 0x11, zf: 1, value: 0x00c0b300 },
    },
    {
      name: 'verr %bx of a selector beyond the GDT',
      code: 'bb 81 00 00 00 0f 00 e3',
      rule: 'verr',
      saw: { what: 'descriptor', selector: 0x81, zf: 0 },
      bare: { what: 'descriptor', selector: 0x81, zf: 0 },
    },
    {
      name: 'ljmp to the next instruction',
      code: 'ea 07 10 00 00 09 00',
      rule: 'far-jump',
      saw: { what: 'transfer', selector: 0x09, cpl: 1 },
      bare: { what: 'transfer', selector: 0x10, cpl: 0 },
    },
    {
      name: 'into with OF clear',
      code: 'ce',
      rule: 'int',
      saw: { what: 'interrupt', vector: 4, taken: false },
      bare: { what: 'interrupt', vector: 4, taken: false },
    },
  ];

  it.each(TABLE)('$name', async ({ code, rule, saw, bare, options }) => {
    const seen = await only(code, options);
    expect(seen).toMatchObject({ rule, count: 1 });
    expect(seen.saw).toEqual(saw);
    expect(seen.bare).toEqual(bare);
    expect(seen.differs).toBe(JSON.stringify(saw) !== JSON.stringify(bare));
  });

  it('judge lsl in ring 3 by the real CPL, and a PC by CPL 0', async () => {
    // lsl %ebx,%eax of ring 0 data with RPL 0
    const table = `
      00 00 00 00 00 00 00 00   ff ff 00 00 00 fb cf 00   ff ff 00 00 00 f3 cf 00
      ff ff 00 00 00 93 cf 00   00 00 00 00 00 00 00 00
    `;
    const entry = guestEntry({
      ring: 3,
      gdt: 'none',
      code: `bb 18 00 00 00 0f 03 c3 ${END}`,
      contents: { [GDT]: table },
    });
    const { observations } = run(await engine.load(), { ...entry, gdtr: { base: GDT, limit: 0x27 } });
    expect(observations).toHaveLength(1);
    expect(observations[0]).toMatchObject({
      rule: 'lsl',
      saw: { what: 'descriptor', selector: 0x18, zf: 0 },
      bare: { what: 'descriptor', selector: 0x18, zf: 1, value: 0xffffffff },
    });
  });
});

/** popf with 0x2 on the stack: IF is asked to go. */
const LOSES_IF = '6a 02 9d';

describeEachEngine('stop on', engine => {
  it('loss: at a popf that loses IF, as without the option', async () => {
    const library = await engine.load();
    const stop = run(library, ring1(LOSES_IF), { stopOn: 'loss' });
    expect(stop).toMatchObject({ kind: 'popf', instructions: 1, observations: [] });
    expect(run(library, ring1(LOSES_IF))).toEqual(stop);
  });

  it('fault: runs on, and observes what was lost', async () => {
    const stop = run(await engine.load(), ring1(`${LOSES_IF} 9c`), { stopOn: 'fault' });
    expect(stop).toMatchObject({ kind: 'privileged-instruction', cpu: { eflags: 0x202 } });
    expect(stop.observations).toMatchObject([
      {
        rule: 'popf',
        count: 1,
        saw: { what: 'flags-loaded', before: 0x202, requested: 2, after: 0x202 },
        bare: { what: 'flags-loaded', before: 2, requested: 2, after: 2 },
        differs: true,
        lost: [{ flag: 'IF', before: 1, requested: 0, after: 1 }],
      },
      // The kernel has asked for IF 0 and is shown 1.
      { rule: 'pushf', saw: { image: 0x202 }, bare: { image: 2 } },
    ]);
  });

  it('fault: shows what a PC would, once the kernel has asked for interrupts', async () => {
    // push $0x202; popf; pushf: what it asked for it has
    const stop = run(await engine.load(), ring1('68 02 02 00 00 9d 9c'), { stopOn: 'fault' });
    expect(stop.observations).toMatchObject([
      { rule: 'popf', differs: false, saw: { after: 0x202 }, bare: { before: 2, after: 0x202 } },
      { rule: 'pushf', differs: false },
    ]);
  });

  it('fault: an iret that loses IOPL runs on', async () => {
    // push $0x3202; push $9; push $1f; iret; 1f:
    const code = '68 02 32 00 00 6a 09 68 0d 10 00 00 cf';
    const stop = run(await engine.load(), ring1(code), { stopOn: 'fault' });
    expect(stop).toMatchObject({ kind: 'privileged-instruction', cpu: { eip: CODE + 0xd, eflags: 0x202 } });
    expect(stop.observations).toMatchObject([
      { rule: 'iret', count: 1, lost: [{ flag: 'IOPL', before: 0, requested: 3, after: 0 }] },
    ]);
    expect(run(await engine.load(), ring1(code))).toMatchObject({ kind: 'iret' });
  });

  it('fault: a null segment without a GDT is loaded', async () => {
    const code = '31 c0 8e e0';
    const options = { gdt: 'none' } as const;
    const stop = run(await engine.load(), ring1(code, options), { stopOn: 'fault' });
    expect(stop).toMatchObject({
      kind: 'privileged-instruction',
      cpu: { segments: { fs: { selector: 0, descriptor: undefined } } },
      observations: [{ rule: 'mov-to-segment', count: 1 }],
    });
    expect(run(await engine.load(), ring1(code, options))).toMatchObject({
      kind: 'segment-load',
      problem: 'no-gdt',
    });
  });

  it('sensitive: at the first silent instruction outside ring 0', async () => {
    const library = await engine.load();
    for (const instructions of [50, Number.POSITIVE_INFINITY]) {
      expect(run(library, ring1(LOOP), { stopOn: 'sensitive', instructions })).toMatchObject({
        kind: 'sensitive',
        rule: 'pushf',
        instructions: 1,
        counted: true,
        cpu: { eip: CODE + 5, registers: { esp: STACK } },
        saw: { what: 'flags', image: 0x202 },
        bare: { what: 'flags', image: 2 },
        differs: true,
        observations: [],
      });
    }
  });

  it('sensitive: nothing is sensitive in ring 0', async () => {
    const entry = guestEntry({ code: `${LOOP} ${END}` });
    expect(run(await engine.load(), entry, { stopOn: 'sensitive' }).kind).toBe('halt');
  });

  it('sensitive: what faults comes first', async () => {
    // sgdt 0x300000 (no memory) stops as sensitive before it faults; cli faults
    expect(run(await engine.load(), ring1('fa 9c'), { stopOn: 'sensitive' })).toMatchObject({
      kind: 'iopl-sensitive-instruction',
      rule: 'cli',
    });
  });

  it('sensitive: goes on after an answer, and finds the next', async () => {
    using machine = Machine.open(await engine.load(), ring1('9c 0f 00 c0'));
    expect(machine.run({ stopOn: 'sensitive' })).toMatchObject({ kind: 'sensitive', rule: 'pushf' });
    machine.answer({ type: 'let-pass' });
    expect(machine.run({ stopOn: 'sensitive' })).toMatchObject({
      kind: 'sensitive',
      rule: 'sldt',
      observations: [{ rule: 'pushf', count: 1 }],
    });
  });
});

describeEachEngine('after an answered trap', engine => {
  it('a PC shows what the kernel asked for', async () => {
    // cli (skipped); pushf; pop %eax; sti
    using machine = Machine.open(await engine.load(), ring1('fa 9c 58 fb'));
    const skip = { type: 'done', effect: {} } as const;
    expect(machine.run()).toMatchObject({ rule: 'cli' });
    machine.answer(skip);
    expect(machine.run()).toMatchObject({
      rule: 'sti',
      observations: [{ rule: 'pushf', count: 1, saw: { image: 0x202 }, bare: { image: 2 } }],
    });
  });

  it('a PC has the table that the kernel loaded', async () => {
    // lgdt 0xa000 (skipped); sgdt 0x9810
    const code = '0f 01 15 00 a0 00 00 0f 01 05 10 98 00 00';
    const entry = ring1(code, { contents: { [OPERAND]: '2f 00 00 a0 0c 00' } });
    using machine = Machine.open(await engine.load(), entry);
    expect(machine.run()).toMatchObject({ rule: 'lgdt' });
    machine.answer({ type: 'done', effect: {} });
    expect(machine.run().observations).toMatchObject([
      {
        rule: 'sgdt',
        saw: { what: 'table', base: GDT, limit: 0x27 },
        bare: { what: 'table', base: 0x000ca000, limit: 0x2f },
      },
    ]);
  });

  it('the observations of a second pass are the same, whatever ended each run', async () => {
    // pushf; sldt %eax; inc %eax; mov 0x300000,%eax: the fault in the middle of a block takes a second pass
    const code = '9c 0f 00 c0 40 40 a1 00 00 30 00';
    using machine = Machine.open(await engine.load(), ring1(code));
    expect(machine.run({ stopOn: 'sensitive' })).toMatchObject({ kind: 'sensitive', rule: 'pushf' });
    machine.answer({ type: 'let-pass' });
    const stop = machine.run();
    expect(stop).toMatchObject({
      kind: 'memory-hole',
      instructions: 4,
      observations: [
        { rule: 'pushf', count: 1, first: { instruction: 0 } },
        { rule: 'sldt', count: 1, first: { instruction: 1 } },
      ],
    });
    expect(stop).toEqual(run(await engine.load(), ring1(code)));
  });
});

describe('cli and sti that the CPU carries out', () => {
  describeEachEngine('at IOPL 1', engine => {
    it('decide what a PC would show', async () => {
      const library = await engine.load();
      const pushfAfter = (code: string): Observation | undefined =>
        run(library, ring1(code, { eflags: 0x1202 })).observations.find(({ rule }) => rule === 'pushf');
      // As entered: a PC has IF 0. Then cli: 0 here too; cli, sti: 1 there too. IOPL was never asked for.
      expect(pushfAfter('9c')).toMatchObject({ saw: { image: 0x1202 }, bare: { image: 0x0002 } });
      expect(pushfAfter('fa 9c')).toMatchObject({ saw: { image: 0x1002 }, bare: { image: 0x0002 } });
      expect(pushfAfter('fa fb 9c')).toMatchObject({ saw: { image: 0x1202 }, bare: { image: 0x0202 } });
    });
  });
});
