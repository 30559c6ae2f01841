/** Far JMP, CALL, RET and IRET, through gates and tasks too: SDM vol. 2, and vol. 3, chapters 5 and 7. */
import { expect, it } from 'vitest';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, STACK } from '../support/guest.ts';
import {
  CODE_1,
  type Entry,
  FIRST,
  GDT,
  gate,
  RING0_STACK,
  readDwords,
  runProtected,
  SELECTOR,
  TSS,
  TSS2,
  tssEntry,
} from '../support/protected-mode.ts';

const NP = 11;
const GP = 13;
const TS = 10;
const SS = 12;

describeEachEngine('a far jump', engine => {
  const jump = (selector: number): string => `ea 20 10 00 00 ${hexByte(selector)} 00`;

  it('goes to a segment of the same ring and marks it as accessed', async () => {
    const accessed: number[] = [];
    const stop = runProtected(
      await engine.load(),
      { code: `${jump(FIRST)}`, gdt: [[0x0000ffff, 0x00cf9a00]], contents: { [CODE + 0x20]: 'f4' } },
      machine => accessed.push(...readDwords(machine, GDT + FIRST + 4, 1)),
    );
    expect(stop).toMatchObject({ kind: 'halt', instructions: 1 });
    expect(stop.cpu).toMatchObject({ eip: CODE + 0x20, segments: { cs: { selector: FIRST } } });
    expect(accessed).toEqual([0x00cf9b00]);
    expect(stop.trail).toEqual([CODE, CODE + 0x20]);
  });

  it('to a conforming segment of an inner ring keeps the CPL', async () => {
    const code = `${jump(FIRST | 3)}`;
    const stop = runProtected(await engine.load(), {
      code,
      ring: 3,
      gdt: [[0x0000ffff, 0x00cf9e00]],
      contents: { [CODE + 0x20]: 'f4' },
    });
    expect(stop).toMatchObject({ kind: 'privileged-instruction', rule: 'hlt' });
    expect(stop.cpu).toMatchObject({ cpl: 3, segments: { cs: { selector: FIRST | 3 } } });
  });

  const refused: readonly (readonly [string, number, Entry, number, number])[] = [
    ['another ring', FIRST, CODE_1, GP, FIRST],
    ['data', FIRST, [0x0000ffff, 0x00cf9300], GP, FIRST],
    ['what is not present', FIRST, [0x0000ffff, 0x00cf1b00], NP, FIRST],
    ['an offset beyond the limit', FIRST, [0x0000101f, 0x00409b00], GP, 0],
    ['beyond the GDT', FIRST + 8, CODE_1, GP, FIRST + 8],
    ['the null selector', 3, CODE_1, GP, 0],
    ['an interrupt gate', FIRST, gate(0xe, 0, SELECTOR.code0, CODE), GP, FIRST],
    ['a busy TSS', SELECTOR.tss, CODE_1, GP, SELECTOR.tss],
  ];
  it.each(refused)('to %s faults', async (_, selector, entry, vector, errorCode) => {
    const stop = runProtected(await engine.load(), { code: jump(selector), gdt: [entry] });
    expect(stop).toMatchObject({ exception: { vector, errorCode }, cpu: { eip: CODE }, instructions: 0 });
  });
});

const hexByte = (value: number): string => value.toString(16).padStart(2, '0');
const call = (selector: number): string => `9a 00 00 00 00 ${hexByte(selector)} 00`;

describeEachEngine('a call gate', engine => {
  const target = { [CODE + 0x40]: 'f4' };
  const inward = gate(0xc, 3, SELECTOR.code0, CODE + 0x40, 2);

  it('leads into ring 0 on the stack of the TSS, with the parameters', async () => {
    const words: number[] = [];
    const stop = runProtected(
      await engine.load(),
      {
        code: `68 22 00 00 00 68 11 00 00 00 ${call(FIRST)}`,
        ring: 3,
        gdt: [inward],
        contents: target,
      },
      machine => words.push(...readDwords(machine, RING0_STACK - 24, 6)),
    );
    expect(stop).toMatchObject({ kind: 'halt' });
    expect(stop.cpu).toMatchObject({
      cpl: 0,
      eip: CODE + 0x40,
      registers: { esp: RING0_STACK - 24 },
      segments: { cs: { selector: SELECTOR.code0 }, ss: { selector: SELECTOR.data0 } },
    });
    expect(words).toEqual([CODE + 17, SELECTOR.code3, 0x11, 0x22, STACK - 8, SELECTOR.data3]);
  });

  it('and a far return leads back, and takes the inner data segments away', async () => {
    const stop = runProtected(await engine.load(), {
      code: `68 22 00 00 00 68 11 00 00 00 ${call(FIRST)} 0f 20 c0`,
      ring: 3,
      gdt: [inward],
      // mov $0x10,%eax; mov %eax,%ds; lret $8
      contents: { [CODE + 0x40]: 'b8 10 00 00 00 8e d8 ca 08 00' },
    });
    expect(stop).toMatchObject({ kind: 'privileged-instruction', rule: 'mov-from-cr' });
    expect(stop.cpu).toMatchObject({
      cpl: 3,
      eip: CODE + 17,
      registers: { esp: STACK },
      segments: { cs: { selector: 0x1b }, ss: { selector: 0x23 }, es: { selector: 0x23 } },
    });
    expect(stop.cpu.segments.ds).toEqual({ selector: 0, descriptor: undefined });
  });

  const notPresent: Entry = [inward[0], inward[1] & ~0x8000];
  const refused: readonly (readonly [string, readonly Entry[], Record<number, number>, number, number])[] = [
    ['with DPL 0 is closed to ring 3', [gate(0xc, 0, 0x08, CODE)], {}, GP, FIRST],
    ['that is not present', [notPresent], {}, NP, FIRST],
    ['with a null selector', [gate(0xc, 3, 0, CODE)], {}, GP, 0],
    ['to data', [gate(0xc, 3, SELECTOR.data0, CODE)], {}, GP, SELECTOR.data0],
    ['with a null stack in the TSS', [inward], { 8: 0 }, TS, 0],
    ['with a stack of ring 3 in the TSS', [inward], { 8: SELECTOR.data3 }, TS, SELECTOR.data3 & 0xfffc],
    ['with a stack beyond the GDT', [inward], { 8: 0x100 }, TS, 0x100],
    ['with a stack that is not present', [inward, [0x0000ffff, 0x00cf1300]], { 8: FIRST + 8 }, SS, FIRST + 8],
    [
      'with a stack that is too small for the frame',
      [inward, [0x00000fff, 0x00409300]],
      { 4: 20, 8: FIRST + 8 },
      SS,
      FIRST + 8,
    ],
    ['to an offset beyond the limit', [gate(0xc, 3, FIRST + 8, 0x2000), [0x00001fff, 0x00409b00]], {}, GP, 0],
  ];
  it.each(refused)('%s faults', async (_, gdt, tss, vector, errorCode) => {
    const stop = runProtected(await engine.load(), {
      code: call(FIRST),
      ring: 3,
      gdt,
      tss,
      contents: target,
    });
    expect(stop).toMatchObject({ exception: { vector, errorCode }, cpu: { eip: CODE, cpl: 3 } });
  });
});

describeEachEngine('iret', engine => {
  const frame = (...values: number[]): string =>
    values
      .reverse()
      .map(v => `68 ${[0, 8, 16, 24].map(s => hexByte((v >>> s) & 0xff)).join(' ')}`)
      .join(' ');

  it('to ring 3 loads its stack and flags, and nulls the data segments of ring 0', async () => {
    const stop = runProtected(await engine.load(), {
      code: `${frame(CODE + 0x40, 0x1b, 0x3202, STACK - 0x200, 0x23)} cf`,
      contents: { [CODE + 0x40]: 'fa f4' },
    });
    expect(stop).toMatchObject({ kind: 'privileged-instruction', rule: 'hlt' });
    expect(stop.cpu).toMatchObject({
      cpl: 3,
      eip: CODE + 0x41,
      eflags: 0x3002,
      registers: { esp: STACK - 0x200 },
    });
    for (const name of ['ds', 'es', 'fs', 'gs'] as const) {
      expect(stop.cpu.segments[name]).toEqual({ selector: 0, descriptor: undefined });
    }
  });

  const refused: readonly (readonly [string, readonly number[], number, number])[] = [
    ['a null CS', [CODE, 0, 2], GP, 0],
    ['a CS that is data', [CODE, SELECTOR.data0, 2], GP, SELECTOR.data0],
    ['a null SS', [CODE, 0x1b, 2, STACK, 0], GP, 0],
    ['an SS with another RPL', [CODE, 0x1b, 2, STACK, 0x20], GP, 0x20],
    ['an SS of another ring', [CODE, 0x1b, 2, STACK, 0x13], GP, 0x10],
    ['an SS that is not present', [CODE, 0x1b, 2, STACK, FIRST | 3], SS, FIRST],
  ];
  it.each(refused)('with %s faults', async (_, values, vector, errorCode) => {
    const code = `${frame(...values)} cf`;
    const stop = runProtected(await engine.load(), { code, gdt: [[0x0000ffff, 0x00cf7300]] });
    expect(stop).toMatchObject({ exception: { vector, errorCode } });
    expect(stop.cpu.eip).toBe(CODE + 5 * values.length);
  });

  it('to virtual-8086 mode goes on there, where hlt is #GP(0)', async () => {
    const segments = [0x2000, 0x3000, 0x4000, 0x5000];
    const stop = runProtected(await engine.load(), {
      code: `${frame(0x40, 0x100, 0x20002, 0xfffe, 0x1000, ...segments)} cf`,
      // At 0x100 * 16 + 0x40: mov %cs,%ax; hlt
      contents: { [CODE + 0x40]: '8c c8 f4' },
    });
    expect(stop).toMatchObject({
      kind: 'privileged-instruction',
      rule: 'hlt',
      instruction: { address: CODE + 0x42 },
    });
    expect(stop.cpu).toMatchObject({ cpl: 3, eip: 0x42, registers: { esp: 0xfffe } });
    expect(stop.cpu.registers.eax & 0xffff).toBe(0x100);
    expect(stop.cpu.segments.es).toMatchObject({ selector: 0x2000, descriptor: { base: 0x20000 } });
  });
});

describeEachEngine('a task switch', engine => {
  const newTask = {
    32: CODE + 0x40,
    36: 0x2,
    40: 0x11111111,
    56: STACK - 0x100,
    72: SELECTOR.data0,
    76: SELECTOR.code0,
    80: SELECTOR.data0,
    84: SELECTOR.data0,
  };

  it('by CALL saves the old task, links back and sets NT, busy and CR0.TS', async () => {
    let saved: number[] = [];
    let link: number[] = [];
    let types: number[] = [];
    const stop = runProtected(
      await engine.load(),
      { code: call(FIRST), gdt: [tssEntry(TSS2)], tss2: newTask, contents: { [CODE + 0x40]: 'f4' } },
      machine => {
        saved = readDwords(machine, TSS + 0x20, 1);
        link = readDwords(machine, TSS2, 1);
        types = [SELECTOR.tss, FIRST].flatMap(s => readDwords(machine, GDT + s + 4, 1));
      },
    );
    expect(stop).toMatchObject({ kind: 'halt' });
    expect(stop.cpu).toMatchObject({
      eip: CODE + 0x40,
      eflags: 0x4002,
      registers: { eax: 0x11111111, esp: STACK - 0x100 },
      tr: { selector: FIRST },
      control: { cr0: 0x19 },
    });
    expect([saved, link]).toEqual([[CODE + 7], [SELECTOR.tss]]);
    expect(types).toEqual([0x00008b00, 0x00008b00]);
  });

  it('and IRET goes back to the task that called', async () => {
    const stop = runProtected(await engine.load(), {
      code: `${call(FIRST)} f4`,
      gdt: [tssEntry(TSS2)],
      tss2: newTask,
      contents: { [CODE + 0x40]: 'cf' },
    });
    expect(stop).toMatchObject({ kind: 'halt', cpu: { eip: CODE + 7, tr: { selector: SELECTOR.tss } } });
    expect(stop.cpu.registers.esp).toBe(STACK);
  });

  it('faults in the new task for a selector of the new task', async () => {
    const stop = runProtected(await engine.load(), {
      code: call(FIRST),
      gdt: [tssEntry(TSS2)],
      tss2: { ...newTask, 84: 0x100 },
    });
    expect(stop).toMatchObject({
      kind: 'segment-load',
      register: 'ds',
      exception: { vector: TS, errorCode: 0x100 },
    });
    expect(stop.cpu).toMatchObject({ eip: CODE + 0x40, tr: { selector: FIRST } });
  });

  it('to a TSS that is too small is #TS', async () => {
    const small: Entry = [(TSS2 << 16) | 0x66, 0x00008900];
    const stop = runProtected(await engine.load(), { code: call(FIRST), gdt: [small], tss2: newTask });
    expect(stop).toMatchObject({ exception: { vector: TS, errorCode: FIRST }, cpu: { eip: CODE } });
  });
});
