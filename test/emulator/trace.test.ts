/** The way of a run, as events that no engine's way of cutting code shows in. */
import { describe, expect, it } from 'vitest';
import { Machine, type RunOptions } from '../../emulator/machine.ts';
import { createTraceHash, Fnv1a64, formatTraceEvent, type TraceEvent, Tracer } from '../../emulator/trace.ts';
import { describeEachEngine, type TestEngine } from '../support/engines.ts';
import { CODE, type GuestOptions, guestEntry } from '../support/guest.ts';

/** `run 00001000 3`: straight-line code and what retired in it. */
async function trace(engine: TestEngine, guest: GuestOptions, ...runs: RunOptions[]): Promise<string[][]> {
  using machine = Machine.open(await engine.load(), guestEntry(guest));
  return (runs.length === 0 ? [{}] : runs).map(options => {
    const lines: string[] = [];
    machine.run({ ...options, trace: event => lines.push(formatTraceEvent(event)) });
    return lines;
  });
}

describe('FNV-1a', () => {
  // Test vectors of the FNV authors (draft-eastlake-fnv, appendix C).
  it.each([
    ['', 'cbf29ce484222325'],
    ['a', 'af63dc4c8601ec8c'],
    ['foobar', '85944171f73967e8'],
  ])('of "%s"', (text, digest) => {
    const hash = new Fnv1a64();
    hash.add(text);
    expect(hash.digest()).toBe(digest);
  });

  it('of a trace is that of its lines, each with its newline', () => {
    const events: TraceEvent[] = [
      { type: 'run', start: 0x100000, instructions: 3 },
      { type: 'answer', address: 0x100007, registers: { eax: 0x10, edx: 0 } },
      { type: 'stop', kind: 'halt', address: 0x100009, instructions: 4 },
    ];
    const hash = createTraceHash();
    for (const event of events) hash.add(event);
    const text = new Fnv1a64();
    text.add('run 00100000 3\nanswer 00100007 eax=00000010 edx=00000000\nstop 00100009 halt 4\n');
    expect(hash.digest()).toBe(text.digest());
  });
});

describeEachEngine('a trace', engine => {
  it('has straight-line code by where it begins and how much of it retired, and the stop', async () => {
    const code = `
      b9 02 00 00 00   # 1000: mov $2,%ecx
      49               # 1005: dec %ecx
      75 fd            # 1006: jnz 1005
      f4               # 1008: hlt
    `;
    expect(await trace(engine, { code, ring: 0 })).toEqual([
      ['run 00001000 3', 'run 00001005 2', 'stop 00001008 halt 5'],
    ]);
  });

  it('counts a repeated string instruction once', async () => {
    const code = `
      b9 09 00 00 00   # 1000: mov $9,%ecx
      bf 00 90 00 00   # 1005: mov $0x9000,%edi
      f3 aa            # 100a: rep stosb
      90               # 100c: nop
      f4               # 100d: hlt
    `;
    expect(await trace(engine, { code, ring: 0 })).toEqual([['run 00001000 4', 'stop 0000100d halt 4']]);
  });

  it('does not show where an engine cuts a long line of code', async () => {
    // 6000 nops: several pages, and more than either engine translates in one block.
    const code = new Uint8Array(6001).fill(0x90);
    code[6000] = 0xf4;
    expect(await trace(engine, { code, ring: 0 })).toEqual([
      ['run 00001000 6000', 'stop 00002770 halt 6000'],
    ]);
  });

  it('has what the Machine did in place of the CPU, with the registers that it set', async () => {
    const code = `
      0f 31            # 1000: rdtsc
      eb 00            # 1002: jmp 1004
      0f 31            # 1004: rdtsc
      f4               # 1006: hlt
    `;
    expect(await trace(engine, { code, ring: 0 })).toEqual([
      [
        'answer 00001000 eax=00000000 edx=00000000',
        'run 00001000 2',
        'answer 00001004 eax=00000002 edx=00000000',
        'run 00001004 1',
        'stop 00001006 halt 3',
      ],
    ]);
  });

  it('of a second run begins where that begins', async () => {
    const code = `
      40 40 40 40      # 1000: inc %eax, four times
      eb 00            # 1004: jmp 1006
      f4               # 1006: hlt
    `;
    const runs = [{ until: CODE + 2 }, {}];
    expect(await trace(engine, { code, ring: 0 }, ...runs)).toEqual([
      ['run 00001000 2', 'stop 00001002 reached 2'],
      ['run 00001002 3', 'stop 00001006 halt 5'],
    ]);
  });

  it('has every event once, although a fault in the middle of a block takes a second pass', async () => {
    const code = `
      31 c0                  # 1000: xor %eax,%eax
      eb 00                  # 1002: jmp 1004
      40                     # 1004: inc %eax
      f7 f0                  # 1005: div %eax
      31 c9                  # 1007: xor %ecx,%ecx
      f7 f1                  # 1009: div %ecx      #DE
    `;
    const registers = { edx: 0 };
    expect(await trace(engine, { code, ring: 0, registers })).toEqual([
      ['run 00001000 2', 'run 00001004 3', 'stop 00001009 exception 5'],
    ]);
  });

  it.each(['auto', 'always', 'never'] as const)('is the same with count %s', async count => {
    const code = `
      b9 64 00 00 00   # 1000: mov $100,%ecx
      e2 fe            # 1005: loop 1005
      f4               # 1007: hlt
    `;
    const [lines = []] = await trace(
      engine,
      { code, ring: 0 },
      {
        count,
        instructions: Number.POSITIVE_INFINITY,
      },
    );
    expect(lines.length).toBe(101);
    expect(lines.at(0)).toBe('run 00001000 2');
    expect(lines.at(1)).toBe('run 00001005 1');
    expect(lines.at(-1)).toBe('stop 00001007 halt 101');
  });
});

it('a pass that does not repeat the one before it is an error', () => {
  const tracer = new Tracer(() => {}, { retired: 0, address: 0x1000 });
  tracer.enter(0x2000, 3);
  tracer.restart();
  expect(() => tracer.enter(0x2000, 4)).toThrow('a second pass over the run went another way than the first');
});
