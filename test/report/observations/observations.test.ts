/** What passed silently, in JSON and text; and the EFLAGS table of POPF and IRET. */
import { describe, expect, it } from 'vitest';
import type { Observation, Sight } from '../../../emulator/observe/observation.ts';
import { sightReport } from '../../../src/report/observations/sights.ts';
import { stopReportSchema } from '../../../src/report/schema/stop.ts';
import { stopReport } from '../../../src/report/stop/json.ts';
import { textReport } from '../../../src/report/stop/text.ts';
import { BASE, bytes, context, STOPS } from '../../support/stops.ts';

const place = (offset: number, hex: string, instruction: number) => ({
  address: BASE + offset,
  bytes: bytes(hex),
  instruction,
});

const PUSHF: Observation = {
  rule: 'pushf',
  count: 3,
  counted: true,
  first: place(0x10, '9c', 4),
  place: place(0x10, '9c', 4),
  saw: { what: 'flags', image: 0x202, operandSize: 32 },
  bare: { what: 'flags', image: 0x2, operandSize: 32 },
  differs: true,
};

/** mov %ds,%eax with the null selector first; mov %cs,%eax later. */
const MOV: Observation = {
  rule: 'mov-from-segment',
  count: 2,
  counted: true,
  first: place(0x14, '8c d8', 6),
  place: place(0x18, '8c c8', 9),
  saw: { what: 'selector', register: 'cs', selector: 0x61 },
  bare: { what: 'selector', register: 'cs', selector: 0x10 },
  differs: true,
};

const POPF: Observation = {
  rule: 'popf',
  count: 1,
  counted: true,
  first: place(0x20, '9d', 12),
  place: place(0x20, '9d', 12),
  saw: { what: 'flags-loaded', before: 0x202, requested: 0x3002, after: 0x202 },
  bare: { what: 'flags-loaded', before: 0x2, requested: 0x3002, after: 0x3002 },
  differs: true,
  lost: [
    { flag: 'IF', before: 1, requested: 0, after: 1 },
    { flag: 'IOPL', before: 0, requested: 3, after: 0 },
  ],
};

const SIDT: Observation = {
  rule: 'sidt',
  count: 1,
  counted: true,
  first: place(0x30, '0f 01 0d 00 98 00 00', 20),
  place: place(0x30, '0f 01 0d 00 98 00 00', 20),
  saw: { what: 'table', base: 0, limit: 0 },
  bare: { what: 'table', base: 0, limit: 0 },
  differs: false,
};

const OBSERVATIONS = [PUSHF, MOV, POPF, SIDT];
const report = (observations: readonly Observation[] = OBSERVATIONS) =>
  stopReport({ ...STOPS['privileged-instruction'], observations }, context);

/** The lines of the block under `passed silently`. */
function block(text: string): string[] {
  const lines = text.split('\n');
  const from = lines.indexOf('passed silently');
  if (from < 0) return [];
  return lines.slice(from + 1, lines.indexOf('', from));
}

describe('what passed silently', () => {
  it('is an entry a rule in JSON, which the schema accepts', () => {
    const json = report();
    expect(stopReportSchema.parse(json)).toEqual(json);
    expect(json.observations[0]).toEqual({
      rule: 'pushf',
      count: 3,
      counted: true,
      first: {
        address: '0x00100010',
        symbol: 'startup_32+0x10',
        bytes: '9c',
        text: 'pushf',
        instructions: 4,
      },
      saw: { text: '0x00000202 (IF 1, IOPL 0)', values: { image: '0x00000202', if: 1, iopl: 0 } },
      bare: { text: '0x00000002 (IF 0, IOPL 0)', values: { image: '0x00000002', if: 0, iopl: 0 } },
      differs: true,
    });
    expect(json.observations[1]?.place).toEqual({
      address: '0x00100018',
      symbol: 'startup_32+0x18',
      bytes: '8c c8',
      text: 'mov %cs,%eax',
      instructions: 9,
    });
    expect(json.observations[2]?.lost).toEqual(POPF.lost);
  });

  it('stands after the trap in the text, an entry a rule', () => {
    expect(block(textReport(report()))).toEqual([
      '   3 x pushf at startup_32+0x10: saw 0x00000202 (IF 1, IOPL 0); bare 0x00000002 (IF 0, IOPL 0)',
      '   2 x mov %ds,%eax at startup_32+0x14; mov %cs,%eax at startup_32+0x18: saw 0x0061 (RPL 1); bare',
      '      0x0010 (RPL 0)',
      '   1 x popf at startup_32+0x20: IF stays 1 (asked: 0), IOPL stays 0 (asked: 3); saw EFLAGS',
      '      0x00000202 (IF 1, IOPL 0); bare EFLAGS 0x00003002 (IF 0, IOPL 3)',
      '   1 x sidtl 0x9800 at startup_32+0x30: base 0x00000000, limit 0x0, the same on bare hardware',
    ]);
  });

  it('has lower bounds and no ordinals when the run was not counted', () => {
    const json = report([{ ...PUSHF, count: 1, counted: false }]);
    expect(json.observations[0]).toMatchObject({ count: 1, counted: false });
    expect(json.observations[0]?.first).not.toHaveProperty('instructions');
    expect(block(textReport(json))[0]).toMatch(/^ {3}>= 1 x pushf at startup_32\+0x10: /);
  });

  it('is left out of the text when nothing passed', () => {
    expect(report([]).observations).toEqual([]);
    expect(textReport(report([]))).not.toContain('passed silently');
  });
});

describe('the EFLAGS table', () => {
  it('has a row for every flag that is asked to change or is not given', () => {
    const json = stopReport(STOPS.iret, context);
    expect(json.eflags).toEqual([
      { flag: 'IF', before: 1, requested: 0, after: 1 },
      { flag: 'IOPL', before: 0, requested: 3, after: 0 },
    ]);
    expect(textReport(json)).toContain(
      [
        '',
        'EFLAGS  before  requested  after',
        'IF      1       0          1',
        'IOPL    0       3          0',
        '',
      ].join('\n'),
    );
  });

  it('is of popf and iret alone', () => {
    expect(report()).not.toHaveProperty('eflags');
    expect(textReport(report())).not.toContain('EFLAGS  before');
  });
});

describe('the stop at a sensitive instruction', () => {
  const json = stopReport(STOPS.sensitive, context);

  it('says in one line what it gives and what a PC gives', () => {
    expect(json.headline).toBe(
      'sensitive at startup_32+0x1 (0x00100001): pushf gives 0x00000202 (IF 1, IOPL 0) at CPL 1',
    );
  });

  it('says why with the rule and its citation', () => {
    expect(json.why.rule?.id).toBe('pushf');
    expect(json.why.text).toContain(
      'It gives 0x00000202 (IF 1, IOPL 0); in ring 0, as a PC boot loader starts a kernel, it gives 0x00000002 (IF 0, IOPL 0).',
    );
    expect(json.why.text).toContain('SDM vol. 2, PUSHF');
  });

  it('has its values as facts', () => {
    expect(json.facts).toEqual({
      rule: 'pushf',
      saw: '0x00000202 (IF 1, IOPL 0)',
      bare: '0x00000002 (IF 0, IOPL 0)',
      differs: true,
    });
  });
});

describe('every sight in words', () => {
  const SIGHTS: readonly (readonly [Sight, string])[] = [
    [{ what: 'flags', image: 0x3202, operandSize: 16 }, '0x3202 (IF 1, IOPL 3)'],
    [{ what: 'boot-loader-table' }, "the boot loader's table"],
    [{ what: 'table', base: 0xff800000, limit: 0xff }, 'base 0xff800000, limit 0xff'],
    [{ what: 'selector', register: 'tr', selector: 0xe008 }, '0xe008 (RPL 0)'],
    [{ what: 'segment-loaded', register: 'ds', selector: 0x69, dpl: 1 }, '0x0069 (DPL 1)'],
    [{ what: 'segment-loaded', register: 'ds', selector: 0 }, 'the null selector 0x0000'],
    [{ what: 'transfer', selector: 0x61, cpl: 1 }, 'CS 0x0061 at CPL 1'],
    [{ what: 'task-switch', selector: 0x28 }, 'the task of 0x0028'],
    [{ what: 'task-switch' }, 'the task that called this one'],
    [{ what: 'interrupt', vector: 4, taken: false }, 'no interrupt: OF is 0'],
    [{ what: 'interrupt', vector: 0x80, taken: true }, 'vector 0x80'],
    [{ what: 'cr0', value: 0x80050033, operandSize: 32 }, 'CR0 0x80050033'],
    [{ what: 'cr0', value: 0x33, operandSize: 16 }, 'CR0 0x0033'],
    [{ what: 'descriptor', selector: 0x18, zf: 0 }, 'ZF 0 for 0x0018'],
    [{ what: 'descriptor', selector: 0x18, zf: 1, value: 0xcf9300 }, 'ZF 1 and 0x00cf9300 for 0x0018'],
    [{ what: 'xcr', number: 0, value: 1 }, 'XCR0 0x1'],
    [
      { what: 'cpuid', leaf: 1, eax: 1, ebx: 2, ecx: 0x80000000, edx: 4, hypervisor: true },
      'leaf 0x1: hypervisor bit 1',
    ],
    [
      { what: 'cpuid', leaf: 0, eax: 7, ebx: 1, ecx: 2, edx: 3 },
      'leaf 0x0: EAX 0x00000007, EBX 0x00000001, ECX 0x00000002, EDX 0x00000003',
    ],
  ];

  it.each(SIGHTS)('%j', (sight, text) => {
    expect(sightReport(sight).text).toBe(text);
  });
});
