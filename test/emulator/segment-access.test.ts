/** What the segments, alignment and the code segment's limit refuse: SDM vol. 3, 5.3 to 5.5 and 6.15. */
import { expect, it } from 'vitest';
import { decodeDescriptor } from '../../emulator/segmentation.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, DATA } from '../support/guest.ts';
import { CODE_0, CODE_3, DATA_3, type Entry, FIRST, runProtected } from '../support/protected-mode.ts';

/** Data segments of 16 bytes at DATA: expand-up, and of 64 KiB - 16 bytes: expand-down. */
const SMALL: Entry = [((DATA & 0xffff) << 16) | 0x000f, 0x00409300];
const DOWN: Entry = [((DATA & 0xffff) << 16) | 0x000f, 0x00009700];
const loadEs = 'b8 30 00 00 00 8e c0';
const LOADED = 7;

describeEachEngine('a repeated string instruction', engine => {
  it('does what it can before it faults', async () => {
    const written: number[] = [];
    const stop = runProtected(
      await engine.load(),
      // mov $5,%ecx; xor %edi,%edi; or $0xff,%eax; rep stos %eax,%es:(%edi)
      { code: `${loadEs} b9 05 00 00 00 31 ff 83 c8 ff f3 ab`, gdt: [SMALL] },
      machine => written.push(...machine.readMemory(DATA, 18)),
    );
    expect(stop).toMatchObject({
      kind: 'segment-access',
      register: 'es',
      problem: 'limit',
      offset: 16,
      exception: { vector: 13, errorCode: 0 },
      instructions: 5,
    });
    expect(stop.cpu).toMatchObject({ eip: CODE + LOADED + 10, registers: { ecx: 1, edi: 16 } });
    expect(written).toEqual([...Array<number>(16).fill(0xff), 16, 17]);
  });

  it('that ends for its condition before the limit does not fault', async () => {
    const stop = runProtected(await engine.load(), {
      // mov $20,%ecx; xor %edi,%edi; mov $3,%al; repne scas %es:(%edi),%al; hlt
      code: `${loadEs} b9 14 00 00 00 31 ff b0 03 f2 ae f4`,
      gdt: [SMALL],
    });
    expect(stop).toMatchObject({ kind: 'halt', cpu: { registers: { ecx: 16, edi: 4 } }, instructions: 6 });
  });

  it('that comes to the limit exactly with its last element runs, and is one instruction', async () => {
    const stop = runProtected(await engine.load(), {
      code: `${loadEs} b9 04 00 00 00 31 ff f3 ab f4`,
      gdt: [SMALL],
    });
    expect(stop).toMatchObject({ kind: 'halt', cpu: { registers: { ecx: 0, edi: 16 } }, instructions: 5 });
  });
});

describeEachEngine('a segment that is not flat', engine => {
  const refused: readonly (readonly [string, string, Entry, 'limit' | 'read-only' | undefined])[] = [
    ['takes its last dword', '26 a1 0c 00 00 00 f4', SMALL, undefined],
    ['refuses a dword beyond it', '26 a1 0d 00 00 00 f4', SMALL, 'limit'],
    ['expand-down refuses below its limit', '26 a1 0f 00 00 00 f4', DOWN, 'limit'],
    ['expand-down takes above it', '26 a1 10 00 00 00 f4', DOWN, undefined],
    ['expand-down of 16 bits ends at 64 KiB', '26 a1 fd ff 00 00 f4', DOWN, 'limit'],
    ['wraps 16-bit addresses around', '67 26 a1 0c 00 f4', SMALL, undefined],
    ['that is read-only refuses writes', '26 a3 00 00 00 00 f4', [SMALL[0], 0x00409100], 'read-only'],
    // bt %eax,%es:(0) with %eax = 0x80: the dword 16 bytes on
    ['checks bit strings where the bit is', 'b8 80 00 00 00 26 0f a3 05 00 00 00 00 f4', SMALL, 'limit'],
  ];
  it.each(refused)('%s', async (_, code, entry, problem) => {
    const stop = runProtected(await engine.load(), { code: `${loadEs} ${code}`, gdt: [entry] });
    if (problem === undefined) expect(stop.kind).toBe('halt');
    else
      expect(stop).toMatchObject({
        kind: 'segment-access',
        problem,
        exception: { vector: 13, errorCode: 0 },
      });
  });

  it('as a stack is #SS(0), and a 16-bit one goes by SP', async () => {
    const stack = (esp: string): string => `b8 30 00 00 00 8e d0 bc ${esp}`;
    const library = await engine.load();
    const small16: Entry = [SMALL[0], 0x00009300];
    for (const [code, entry, fault] of [
      [`${stack('14 00 00 00')} 50`, SMALL, true],
      [`${stack('10 00 00 00')} 50 f4`, SMALL, false],
      [`${stack('10 00 03 00')} 50 f4`, small16, false],
      [`${stack('0e 00 00 00')} 58`, SMALL, true],
      [`${stack('10 00 00 00')} 60`, SMALL, true],
    ] as const) {
      const stop = runProtected(library, { code, gdt: [entry] });
      expect([code, stop.kind]).toEqual([code, fault ? 'segment-access' : 'halt']);
      if (fault) expect(stop.exception).toEqual({ vector: 12, errorCode: 0 });
    }
  });
});

describeEachEngine('the code segment', engine => {
  const limited = (limit: number): Entry => [limit, 0x00409b00];
  const cs = (limit: number) => {
    const [low, high] = limited(limit);
    return { cs: { selector: FIRST, descriptor: decodeDescriptor(low, high), promised: true } };
  };

  it('ends at its limit: the instruction that goes beyond it is #GP(0)', async () => {
    const options = { code: '90 b8 01 00 00 00 f4', gdt: [limited(CODE + 4)], segments: cs(CODE + 4) };
    const stop = runProtected(await engine.load(), options);
    expect(stop).toMatchObject({
      kind: 'segment-access',
      register: 'cs',
      access: 'fetch',
      exception: { vector: 13, errorCode: 0 },
      cpu: { eip: CODE + 1 },
      instructions: 1,
    });
  });

  it('refuses near branches out of it, where they are', async () => {
    const library = await engine.load();
    for (const [code, at] of [
      ['eb 20', 0],
      ['31 c0 74 20', 2],
      ['e8 20 00 00 00', 0],
      ['b8 40 10 00 00 ff e0', 5],
      ['68 40 10 00 00 c3', 5],
    ] as const) {
      const segments = cs(CODE + 0x1f);
      const stop = runProtected(library, { code, gdt: [limited(CODE + 0x1f)], segments });
      expect([code, stop.cpu.eip, stop.exception]).toEqual([code, CODE + at, { vector: 13, errorCode: 0 }]);
    }
    // jne is not taken.
    const stop = runProtected(library, {
      code: '31 c0 75 20 f4',
      gdt: [limited(CODE + 0x1f)],
      segments: cs(CODE + 0x1f),
    });
    expect(stop.kind).toBe('halt');
  });

  it('may have another base than 0', async () => {
    const based: Entry = [0x1000ffff, 0x00409b00];
    const stop = runProtected(await engine.load(), {
      // ljmp $0x30,$0x20: linear 0x1020
      code: 'ea 20 00 00 00 30 00',
      gdt: [based],
      // 1: inc %eax; jmp 2f; 2: call 3f; 3: hlt
      contents: { [CODE + 0x20]: '40 eb 01 90 e8 01 00 00 00 90 f4' },
    });
    expect(stop).toMatchObject({
      kind: 'halt',
      instruction: { address: CODE + 0x2a },
      cpu: { eip: 0x2a, segments: { cs: { selector: FIRST } } },
      instructions: 4,
    });
  });
});

describeEachEngine('alignment', engine => {
  const CR0_AM = 1 << 18;
  // pushf; orl $0x40000,(%esp); popf
  const setAc = '9c 81 0c 24 00 00 04 00 9d';
  const run = async (ring: 0 | 3, code: string) => {
    // mov %cr0,%eax; or $AM,%eax; mov %eax,%cr0, then by IRET to ring 3 or on in ring 0
    const enableAm = `0f 20 c0 0d 00 00 ${(CR0_AM >>> 16).toString(16).padStart(2, '0')} 00 0f 22 c0`;
    const toRing3 = '6a 23 68 00 c0 00 00 68 02 00 00 00 6a 1b 68 40 10 00 00 cf';
    const inRing3 = `6a 23 1f ${setAc} ${code}`;
    return runProtected(
      await engine.load(),
      ring === 3
        ? { code: `${enableAm} ${toRing3}`, contents: { [CODE + 0x40]: inRing3 } }
        : { code: `${enableAm} ${setAc} ${code}` },
    );
  };

  it('is checked at CPL 3 with CR0.AM and EFLAGS.AC: #AC(0)', async () => {
    expect(await run(3, 'a1 01 90 00 00')).toMatchObject({
      kind: 'exception',
      exception: { vector: 17, errorCode: 0 },
      cpu: { cpl: 3 },
    });
    expect(await run(3, 'a1 04 90 00 00 a0 01 90 00 00 f4')).toMatchObject({ rule: 'hlt' });
    expect(await run(0, 'a1 01 90 00 00 f4')).toMatchObject({ kind: 'halt' });
  });
});

describeEachEngine('an instruction of more than 15 bytes', engine => {
  it('is #GP(0), and one of 15 bytes runs', async () => {
    const library = await engine.load();
    const prefixes = (count: number): string => Array<string>(count).fill('2e').join(' ');
    expect(runProtected(library, { code: `${prefixes(14)} 90 f4` })).toMatchObject({ kind: 'halt' });
    for (const code of [`${prefixes(15)} 90`, `${prefixes(11)} b8 01 00 00 00`]) {
      expect(runProtected(library, { code })).toMatchObject({
        kind: 'exception',
        exception: { vector: 13, errorCode: 0 },
        cpu: { eip: CODE },
      });
    }
  });
});

it('the descriptors of these tests are what they are called', () => {
  for (const [[low, high], dpl] of [
    [CODE_0, 0],
    [CODE_3, 3],
    [DATA_3, 3],
  ] as const) {
    expect(decodeDescriptor(low, high)).toMatchObject({ dpl, base: 0, limit: 0xffffffff, present: true });
  }
});
