/** Intel SDM vol. 2, MOV to CRn, WRMSR, SYSENTER, IRET, and vol. 3, 6.15: why the CPU raises the exception. */
import { expect, it } from 'vitest';
import type { Exception, Stop } from '../../../emulator/stop.ts';
import { stopReport } from '../../../src/report/stop/json.ts';
import { common, context, cpuState } from '../../support/stops.ts';

const GP0: Exception = { vector: 13, errorCode: 0 };
const registers = cpuState().registers;

const refused = (hex: string, changes: Partial<ReturnType<typeof cpuState>>, exception = GP0): Stop => ({
  ...common(hex, { cpl: 0, ...changes }),
  kind: 'exception',
  exception,
});

it.each([
  [
    'PG without PE',
    refused('0f 22 c0', { registers: { ...registers, eax: 0x80000000 } }),
    /CR0\.PG .*CR0\.PE/,
  ],
  [
    'NW without CD',
    refused('0f 22 c0', { registers: { ...registers, eax: 0x20000001 } }),
    /CR0\.NW .*CR0\.CD/,
  ],
  [
    'reserved bits of CR4',
    refused('0f 22 e1', { registers: { ...registers, ecx: 0x800020 } }),
    /reserved .*\(0x00800000\)/,
  ],
  [
    'EFER := 0x00000000:00000002',
    refused('0f 30', { registers: { ...registers, eax: 2, ecx: 0xc0000080, edx: 0 } }),
    /IA32_EFER that is reserved/,
  ],
  ['IA32_SYSENTER_CS is null', refused('0f 34', {}), /IA32_SYSENTER_CS \(MSR 0x174\)/],
  ['IA32_SYSENTER_CS is null', refused('0f 35', {}), /^SYSEXIT takes/],
  ['NT is set', refused('cf', { eflags: 0x4002 }, { vector: 10, errorCode: 0 }), /EFLAGS\.NT is set/],
  [
    'single step: EFLAGS.TF',
    refused('90', { eflags: 0x102 }, { vector: 1 }),
    /after the instruction before the one shown/,
  ],
  ['DR7.GD', refused('0f 21 f8', {}, { vector: 1 }), /^DR7\.GD \(bit 13\) is set/],
  ['the divisor is 0', refused('f7 f1', {}, { vector: 0 }), /#DE/],
])('says %s', (claim, stop, why) => {
  const result = stopReport(stop, context);
  expect(result.headline).toContain(claim);
  expect(result.headline.length).toBeLessThanOrEqual(100);
  expect(result.why.text).toMatch(why);
});

it('keeps the operands of what needs a privilege', () => {
  const privileged: Stop = {
    ...common('0f 20 c0'),
    kind: 'privileged-instruction',
    rule: 'mov-from-cr',
    exception: GP0,
  };
  expect(stopReport(privileged, context).headline).toContain('mov %cr0,%eax needs CPL 0');
  const outs: Stop = { ...common('f3 6e'), kind: 'iopl-sensitive-instruction', rule: 'outs', exception: GP0 };
  expect(stopReport(outs, context).headline).toMatch(/: rep outsb .*needs CPL <= IOPL/);
});
