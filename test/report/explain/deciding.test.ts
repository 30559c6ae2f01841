/** The line of the rule's table that decided: SDM vol. 3, 2.5 (UMIP, OSXSAVE), 20.2 and 20.3 (virtual-8086 mode). */
import { describe, expect, it } from 'vitest';
import type { CpuState } from '../../../emulator/cpu-state.ts';
import { flatCode } from '../../../emulator/segmentation.ts';
import type { Stop } from '../../../emulator/stop.ts';
import { stopReport } from '../../../src/report/stop/json.ts';
import { common, context, cpuState } from '../../support/stops.ts';

const GP0 = { vector: 13, errorCode: 0 };
const UD = { vector: 6 };
const AT = 'at startup_32+0x1 (0x00100001): ';
const VM86 = 0x20002;

const cr4 = (value: number): Partial<CpuState> => ({ control: { ...cpuState().control, cr4: value } });
const report = (stop: Stop) => stopReport(stop, context);
const refused = (rule: string, hex: string, changes: Partial<CpuState>): Stop => ({
  kind: 'privileged-instruction',
  rule,
  ...common(hex, changes),
  exception: GP0,
});
const undefinedHere = (hex: string, changes: Partial<CpuState> = {}): Stop => ({
  kind: 'invalid-opcode',
  ...common(hex, changes),
  exception: UD,
});

it('names CR4.UMIP where it makes smsw fault', () => {
  const { headline, why } = report(refused('smsw', '0f 01 e0', cr4(0x800)));
  expect(headline).toBe(`#GP(0) ${AT}smsw %eax is refused: CPL > 0, CR4.UMIP = 1`);
  expect(why.text).toBe(
    'SMSW under the condition "CPL > 0, CR4.UMIP = 1": #GP(0). Here CPL is 1, IOPL is 0 and CR4 is 0x00000800. (SDM vol. 2, SMSW)',
  );
  expect(why.rule).toMatchObject({ id: 'smsw', when: 'CPL > 0, CR4.UMIP = 1', result: '#GP(0)' });
});

it('speaks of a gate’s DPL where one can refuse: outside ring 0', () => {
  const int = (cpl: 0 | 1): string => {
    const stop: Stop = {
      kind: 'software-interrupt',
      ...common('cd 21', { cpl }),
      exception: GP0,
      vector: 0x21,
    };
    return report(stop).why.text;
  };
  expect(int(1)).toContain('gate 0x21 of the IDT, whose DPL must be at least CPL');
  expect(int(0)).toContain('gate 0x21 of the IDT, which must be there and present');
});

describe('virtual-8086 mode', () => {
  const vm86 = { eflags: VM86, cpl: 3 } as const;

  it('names VM and IOPL where popf faults', () => {
    const stop: Stop = {
      kind: 'iopl-sensitive-instruction',
      rule: 'popf',
      ...common('9d', vm86),
      exception: GP0,
    };
    const { headline, why } = report(stop);
    expect(headline).toBe(`#GP(0) ${AT}popf is refused: VM86 = 1, IOPL < 3`);
    expect(why.text).toMatch(/: #GP\(0\)\. Here CPL is 3, IOPL is 0 and EFLAGS\.VM is 1\. /);
    expect(why.text).not.toContain('without a fault');
  });

  it('explains int n by IOPL, and not by a gate', () => {
    const stop: Stop = { kind: 'software-interrupt', ...common('cd 21', vm86), exception: GP0, vector: 0x21 };
    const { headline, why, facts } = report(stop);
    expect(headline).toBe(`#GP(0) ${AT}int $0x21 is refused: VM86 = 1, IOPL < 3`);
    expect(why.text).not.toContain('DPL must be');
    expect(facts).toEqual({ rule: 'int', vector: '0x21' });
  });

  it('is 16-bit code in the headline and in the listing', () => {
    const stop = refused('lgdt', '0f 01 16 10 00', vm86);
    const { headline, code } = report(stop);
    expect(headline).toContain('lgdtl 0x10 needs CPL 0');
    expect(code.lines.find(({ current }) => current)).toMatchObject({ bytes: '0f 01 16 10 00' });
  });
});

it('disassembles a 16-bit code segment as 16-bit code', () => {
  const { segments } = cpuState();
  const descriptor = { ...flatCode(1), big: false };
  const stop = refused('lgdt', '0f 01 16 68 00', {
    segments: { ...segments, cs: { selector: 0x29, descriptor } },
  });
  expect(report(stop).headline).toContain('lgdtl 0x68 needs CPL 0');
});

describe('#UD by a rule', () => {
  it.each([
    ['xsetbv', '0f 01 d1', cr4(0), 'xsetbv is undefined: CR4.OSXSAVE = 0'],
    ['mov-test-register', '0f 26 f0', {}, 'mov %eax,%tr6 is undefined: any CPL, on a Pentium or later'],
    ['clac', '0f 01 ca', {}, 'clac is undefined: CPL > 0'],
  ] as const)('%s', (rule, hex, changes, claim) => {
    const { headline, facts, why } = report(undefinedHere(hex, changes));
    expect(headline).toBe(`#UD ${AT}${claim}`);
    expect(facts).toEqual({ rule });
    expect(why.rule?.id).toBe(rule);
  });

  it('is the CPU model where the conditions let it pass', () => {
    const { facts, why } = report(undefinedHere('0f 01 c8', { cpl: 0 }));
    expect(facts).toEqual({ rule: 'monitor' });
    expect(why.text).toBe(
      'A CPU whose CPUID does not show MONITOR raises #UD at any CPL. The CPU model is pentium3. (SDM vol. 2, MONITOR)',
    );
    expect(why.rule?.when).toBeUndefined();
  });
});

it('has words for the reason that there is no gate, and one headline for one fault', () => {
  const stop: Stop = {
    kind: 'segment-load',
    ...common('8e d0'),
    exception: GP0,
    delivery: { to: 'shutdown', reason: 'idt-limit' },
    register: 'ss',
    selector: 0,
    problem: 'null',
  };
  const { headline, details } = report(stop);
  expect(headline).toBe(`#GP(0) ${AT}loading ss with selector 0x0000: it is null`);
  expect(details).toContain(
    "the kernel's IDT has no usable gate for it (its gate lies beyond the IDT limit): the CPU would shut down",
  );
});

it.each([
  ['no-progress', 'no instruction gets done'],
  ['paging-not-identity', 'page tables that are not 1:1'],
] as const)('has words for the engine limit %s', (limit, words) => {
  const { headline } = report({ kind: 'engine-limit', ...common(), limit, detail: 'x'.repeat(80) });
  expect(headline).toContain(`: the emulator cannot go on: ${words}`);
});

it.each([
  ['no-ldt', 'there is no LDT'],
  ['no-gdt', 'there is no GDT'],
] as const)('has words for %s in the shortest headline too', (problem, words) => {
  const stop: Stop = {
    kind: 'segment-load',
    ...common('8e d8'),
    exception: GP0,
    register: 'ss',
    selector: 4,
    problem,
  };
  const { headline } = report(stop);
  expect(headline).toMatch(new RegExp(`: loading ss with selector 0x0004: .*${words}`));
  expect(headline).not.toContain(`(${problem})`);
});
