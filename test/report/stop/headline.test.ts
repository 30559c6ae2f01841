import { describe, expect, it } from 'vitest';
import { HEADLINE_COLUMNS, headline } from '../../../src/report/stop/headline.ts';
import { stopReport } from '../../../src/report/stop/json.ts';
import { ALL_STOPS, context, STOPS } from '../../support/stops.ts';

const AT = 0x100001;

describe('a headline', () => {
  it('takes the longest wording that fits', () => {
    expect(headline('halt', 'f', AT, ['long '.repeat(20), 'short'])).toBe('halt at f (0x00100001): short');
    expect(headline('halt', 'f', AT, ['the longer wording', 'short'])).toBe(
      'halt at f (0x00100001): the longer wording',
    );
  });

  it('has the bare address where no symbol is near', () => {
    expect(headline('halt', undefined, AT, ['why'])).toBe('halt at 0x00100001: why');
  });

  it('cuts a long symbol in the middle and keeps its offset', () => {
    const text = headline('halt', `${'very_long_name_'.repeat(8)}+0x1c`, AT, ['hlt with interrupts off']);
    expect(text).toHaveLength(HEADLINE_COLUMNS);
    expect(text).toMatch(/^halt at very_long_name_.*…\+0x1c \(0x00100001\): hlt with interrupts off$/);
  });

  it('leaves a symbol out that could only be cut to nothing', () => {
    const claim = 'x'.repeat(70);
    expect(headline('halt', `${'n'.repeat(50)}+0x1`, AT, [claim])).toBe(`halt at 0x00100001: ${claim}`);
  });
});

it('does not print what objdump prints for bytes that are no instruction', () => {
  const stop = { ...STOPS['invalid-opcode'], instruction: { address: AT, bytes: Uint8Array.of(0xff, 0xff) } };
  expect(stopReport(stop, context).headline).toBe(
    '#UD at startup_32+0x1 (0x00100001): the bytes ff ff are no instruction',
  );
});

describe('every kind of stop', () => {
  it.each([
    [
      'privileged-instruction',
      '#GP(0) at startup_32+0x1 (0x00100001): lgdtl 0x100120 needs CPL 0; under lguest CPL is 1',
    ],
    [
      'iopl-sensitive-instruction',
      '#GP(0) at startup_32+0x1 (0x00100001): cli needs CPL <= IOPL; under lguest CPL is 1 and IOPL 0',
    ],
    ['popf', 'popf at startup_32+0x1 (0x00100001): IF stays 1 (asked: 0); no fault says so at CPL 1, IOPL 0'],
    ['iret', 'iret at startup_32+0x1 (0x00100001): IF stays 1 (asked: 0), IOPL stays 0 (asked: 3), silently'],
    [
      'segment-load',
      '#GP(0x18) at startup_32+0x1 (0x00100001): loading ds with selector 0x0018: there is no GDT',
    ],
    [
      'segment-access',
      '#GP(0) at startup_32+0x1 (0x00100001): read at gs:0x00000014: gs holds a null selector (0x0000)',
    ],
    ['page-fault', '#PF(0x2) at startup_32+0x1 (0x00100001): write to 0x00101300, which is not mapped'],
    ['forced-emulation', '#UD at startup_32+0x1 (0x00100001): ud2 "xen" cpuid asks Xen to emulate cpuid'],
    [
      'software-interrupt',
      '#GP(0x402) at startup_32+0x1 (0x00100001): int $0x80: hypercalls of lguest use 0x1f',
    ],
    [
      'hypercall',
      'hypercall at startup_32+0x1 (0x00100001): LHCALL_LGUEST_INIT (0) through int $0x1f, ebx=0x1234',
    ],
    ['halt', 'halt at startup_32+0x1 (0x00100001): hlt with interrupts off: nothing wakes this CPU again'],
    ['shutdown', 'shutdown at startup_32+0x1 (0x00100001): #GP(0) has no handler: triple fault'],
    [
      'exception',
      '#DE at startup_32+0x1 (0x00100001): div %ecx: the divisor is 0, or the quotient does not fit',
    ],
    ['reached', 'reached at startup_32+0x1 (0x00100001): cli is next; nothing trapped before'],
    [
      'long-mode',
      'long mode at startup_32+0x1 (0x00100001): mov %eax,%cr0 turns on long mode, which is not run here',
    ],
    [
      'memory-hole',
      'memory hole at startup_32+0x1 (0x00100001): 4-byte read of 0xf0000000, where no memory is',
    ],
    ['budget', 'budget spent at startup_32+0x1 (0x00100001): nothing trapped in 50000000 instructions'],
  ] as const)('%s', (kind, expected) => {
    expect(stopReport(STOPS[kind], context).headline).toBe(expected);
  });

  it.each(ALL_STOPS.map(stop => [stop.kind, stop] as const))('%s fits into 100 columns', (_, stop) => {
    expect(stopReport(stop, context).headline.length).toBeLessThanOrEqual(HEADLINE_COLUMNS);
  });
});
