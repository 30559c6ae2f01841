import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { PROTOCOLS } from '../../../boot-protocols/index.ts';
import { stopJsonSchema } from '../../../src/report/schema/build.ts';
import { stopReport } from '../../../src/report/stop/json.ts';
import { ALL_STOPS, context, STOPS } from '../../support/stops.ts';

const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(stopJsonSchema());

describe('the published schema', () => {
  it.each(ALL_STOPS.map(stop => [stop.kind, stop] as const))('accepts the report of %s', (_, stop) => {
    validate(JSON.parse(JSON.stringify(stopReport(stop, context))));
    expect(validate.errors).toBeNull();
  });

  it.each(PROTOCOLS.map(protocol => [protocol.name, protocol] as const))(
    'accepts what %s makes of every kind',
    (_, protocol) => {
      for (const stop of ALL_STOPS) {
        const report = stopReport(stop, { ...context, protocol });
        validate(report);
        expect(validate.errors).toBeNull();
        expect(report.means.text).toMatch(/\.$/);
      }
    },
  );

  it('refuses a kind, a field and an address that it does not know', () => {
    const report = stopReport(STOPS.halt, context);
    expect(validate({ ...report, kind: 'nap' })).toBe(false);
    expect(validate({ ...report, extra: 1 })).toBe(false);
    expect(validate({ ...report, at: { address: '0x100001' } })).toBe(false);
  });
});

it('is plain JSON: nothing is lost on the way through text', () => {
  for (const stop of ALL_STOPS) {
    const report = stopReport(stop, context);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  }
});

it('is the same for the same stop', () => {
  expect(JSON.stringify(stopReport(STOPS.popf, context))).toBe(
    JSON.stringify(stopReport(STOPS.popf, context)),
  );
});

it('carries the rule behind a privileged instruction', () => {
  expect(stopReport(STOPS['privileged-instruction'], context).why.rule).toMatchObject({
    id: 'lgdt',
    class: 'privileged',
    result: '#GP(0)',
  });
});

it('carries what the protocol makes of the stop', () => {
  expect(stopReport(STOPS['iopl-sensitive-instruction'], context).means).toEqual({
    outcome: 'skips',
    text: 'lguest skips cli and goes on.',
    citation: 'Linux 4.13 drivers/lguest/x86/core.c',
  });
});

it('shows the syntax asked for in the code, and AT&T in the headline', () => {
  const report = stopReport(STOPS['privileged-instruction'], { ...context, syntax: 'intel' });
  expect(report.code.lines.find(line => line.current)?.text).toBe('lgdt   [0x100120]');
  expect(report.headline).toContain('lgdtl');
});

it('has no disassembly where the bytes at EIP cannot be read', () => {
  const { instruction: _, ...fault } = STOPS['page-fault'];
  const report = stopReport({ ...fault, code: { blockStart: 0x100001, bytes: new Uint8Array() } }, context);
  expect(report.code).toEqual({ syntax: 'att', lines: [], bytes: '', mark: -1 });
  expect(report.at.address).toBe('0x00100001');
});

it('tells where the CPU would deliver an exception that no hypervisor takes', () => {
  const gate = stopReport(
    { ...STOPS['privileged-instruction'], delivery: { to: 'gate', selector: 0x10, offset: 0x100040 } },
    context,
  );
  expect(gate.details).toContain(
    "the CPU delivers it to the kernel's own handler at 0x0010:startup_32+0x40 (0x00100040)",
  );
});

it('says so when an address comes from a register that no one promised', () => {
  const report = stopReport({ ...STOPS['page-fault'], address: 0xdead0013 }, context);
  expect(report.details).toContain(
    '0xdead0013 is near 0xdead0000: the pattern in registers for which lguest promises no value',
  );
  expect(stopReport(STOPS['page-fault'], context).details.join()).not.toContain('promises no value');
});

it('says "CPL is 3 here" once the kernel has left the ring that it was started in', () => {
  const stop = { ...STOPS['privileged-instruction'], cpu: { ...STOPS.halt.cpu, cpl: 3 as const } };
  expect(stopReport(stop, context).headline).toContain('lgdtl 0x100120 needs CPL 0, and CPL is 3 here');
});

it('keeps serial output byte for byte', () => {
  const serial = Uint8Array.from([0x48, 0x69, 0x0a, 0xff]);
  expect(stopReport(STOPS.halt, { ...context, serial }).serial).toBe('Hi\n\u00ff');
});
