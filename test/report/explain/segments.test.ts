/** What the report says about segment loads: SDM vol. 2, MOV, JMP, CALL, RET, IRET; vol. 3, 3.4.2, 5.5 to 5.8. */
import { describe, expect, it } from 'vitest';
import type { SegmentName } from '../../../emulator/segmentation.ts';
import { flatCode, flatData } from '../../../emulator/segmentation.ts';
import type { SegmentLoadProblem, StopOf } from '../../../emulator/stop.ts';
import { stopReport } from '../../../src/report/stop/json.ts';
import { common, context, entryState } from '../../support/stops.ts';

const LRET = 'cb';
const LJMP = 'ea 05 00 10 00 08 00';
const MOV = '8e d8';

function load(
  hex: string,
  register: SegmentName,
  selector: number,
  problem: SegmentLoadProblem,
): StopOf<'segment-load'> {
  const descriptor = register === 'cs' ? flatCode(0) : flatData(0);
  return {
    ...common(hex),
    kind: 'segment-load',
    exception: { vector: 13, errorCode: selector & 0xfffc },
    register,
    selector,
    problem,
    ...(problem === 'no-gdt' || problem === 'null' ? {} : { descriptor }),
  };
}

const why = (stop: StopOf<'segment-load'>): string => stopReport(stop, context).why.text;

describe('a load of CS', () => {
  it('by a far return: RPL must not be below CPL', () => {
    const stop = load(LRET, 'cs', 0x60, 'rpl');
    expect(stopReport(stop, context).headline).toContain('RPL 0 is below CPL 1');
    expect(why(stop)).toContain('at least CPL');
    expect(why(stop)).not.toContain('SS');
  });

  it('by a far return: DPL must be the RPL', () => {
    expect(why(load(LRET, 'cs', 0x61, 'privilege'))).toContain('DPL = RPL');
  });

  it('by a far jump: DPL must be CPL', () => {
    expect(why(load(LJMP, 'cs', 0x08, 'privilege'))).toContain('DPL = CPL');
  });

  it.each([LRET, LJMP])('takes code: %s', hex => {
    expect(why(load(hex, 'cs', 0x68, 'type'))).toContain('CS takes code');
  });

  it.each(['rpl', 'privilege', 'type', 'null', 'not-present'] as const)(
    '%s names no data segment',
    problem => {
      expect(why(load(LRET, 'cs', 0x61, problem))).not.toMatch(/DS, ES|SS takes/);
    },
  );
});

describe('a load of a data segment or SS', () => {
  it('DS: DPL at least CPL and RPL', () => {
    expect(why(load(MOV, 'ds', 0x18, 'privilege'))).toContain('at least CPL and RPL');
  });

  it('SS: DPL is CPL, RPL is CPL', () => {
    expect(why(load('8e d0', 'ss', 0x19, 'privilege'))).toContain('DPL is CPL');
    expect(why(load('8e d0', 'ss', 0x18, 'rpl'))).toContain('RPL is CPL');
  });

  it('a segment that is not present is #SS for SS and #NP for the others', () => {
    expect(why(load('8e d0', 'ss', 0x19, 'not-present'))).toContain('#SS(selector)');
    expect(why(load(MOV, 'ds', 0x19, 'not-present'))).toContain('#NP(selector)');
  });
});

describe('without a GDT', () => {
  const entry = { ...entryState(), gdtr: { base: 0, limit: 0 }, knobs: { gdt: 'none' } };
  const none = { ...common(MOV).cpu, gdtr: { base: 0, limit: 0 } };
  const stop = load(MOV, 'ds', 0x18, 'no-gdt');

  it('names GDTR, and the knob that left it so', () => {
    const { text } = stopReport({ ...stop, cpu: none }, { ...context, entry }).why;
    expect(text).toContain('base 0x00000000 and limit 0x0');
    expect(text).toContain('lguest started the kernel so (--gdt none)');
  });

  it('names GDTR, and the kernel when it has loaded it', () => {
    const cpu = { ...none, gdtr: { base: 0x5000, limit: 7 } };
    const { text } = stopReport({ ...stop, cpu }, { ...context, entry }).why;
    expect(text).toContain('base 0x00005000 and limit 0x7');
    expect(text).toContain('the kernel has loaded GDTR');
    expect(text).not.toContain('--gdt');
  });

  it('says that a null selector loads without a fault', () => {
    const { exception: _, ...loaded } = load('8e e0', 'fs', 0, 'no-gdt');
    const report = stopReport({ ...loaded, cpu: none }, { ...context, entry });
    expect(report.headline).toMatch(/^segment load at .*fs/);
    expect(report.why.text).toContain('raises no fault');
  });
});

describe('vmcall', () => {
  it('is an invalid opcode, and the report names the hypercalls that there are', () => {
    const report = stopReport(
      { ...common('0f 01 c1'), kind: 'invalid-opcode', exception: { vector: 6 } },
      context,
    );
    expect(report.headline).toContain('#UD at startup_32+0x1 (0x00100001): vmcall is no hypercall here');
    expect(report.why.text).toContain('int $0x1f');
  });
});
