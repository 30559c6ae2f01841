/** SYSENTER and SYSEXIT. Their MSRs are 0 unless the case, in ring 0, writes them; it clears IA32_SYSENTER_CS again. */
import { codeSelector, type OracleCase, RUNNER_CODE, STACK_TOP } from '../case.ts';
import { EAX, ECX, EDX, movImmediate } from './assemble.ts';
import { CaseBuilder, type Family } from './builder.ts';
import type { Draw } from './draw.ts';

const SYSENTER_CS = 0x174;
const SYSENTER_ESP = 0x175;
const SYSENTER_EIP = 0x176;

const writeMsr = (index: number, value: number): number[] => [
  ...movImmediate(ECX, index),
  ...movImmediate(EAX, value),
  ...movImmediate(EDX, 0),
  0x0f,
  0x30,
];

function withoutMsr(draw: Draw): OracleCase {
  const enter = draw.chance(60);
  const b = new CaseBuilder(draw, enter ? 'sysenter/null' : 'sysexit/null');
  return b.emit(0x0f, enter ? 0x34 : 0x35).end();
}

/** SYSENTER from ring 0 to ring 0. */
function enter(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'sysenter').inRing(0);
  const target = b.here + 0x80;
  b.emit(...writeMsr(SYSENTER_CS, RUNNER_CODE | draw.int(0, 3)));
  b.emit(...writeMsr(SYSENTER_ESP, STACK_TOP + 0x40), ...writeMsr(SYSENTER_EIP, target));
  b.emit(0x0f, 0x34);
  while (b.here < target) b.emit(0x90);
  return b.emit(...writeMsr(SYSENTER_CS, 0)).end();
}

/** SYSEXIT to ring 3, and back by SYSENTER. */
function exit(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'sysexit').inRing(0);
  // SYSEXIT takes the selectors 16 and 24 behind, SYSENTER itself and 8 behind.
  const base = (codeSelector(3) & ~3) - 16;
  const outside = b.here + 0x80;
  const inside = outside + 0x20;
  b.emit(...writeMsr(SYSENTER_CS, base), ...writeMsr(SYSENTER_ESP, STACK_TOP + 0x40));
  b.emit(...writeMsr(SYSENTER_EIP, inside), ...movImmediate(ECX, STACK_TOP), ...movImmediate(EDX, outside));
  b.emit(0x0f, 0x35);
  while (b.here < outside) b.emit(0x90);
  if (draw.chance(30)) b.emit(0xfa);
  // push %cs; pop %ebx; push %ss; pop %esi
  b.emit(0x0e, 0x5b, 0x16, 0x5e, 0x0f, 0x34);
  while (b.here < inside) b.emit(0x90);
  b.withIopl(3);
  return b.emit(...writeMsr(SYSENTER_CS, 0)).end();
}

export const fastCalls: Family = {
  name: 'fast-calls',
  weight: 3,
  build: draw => draw.pick([withoutMsr, withoutMsr, enter, exit])(draw),
};
