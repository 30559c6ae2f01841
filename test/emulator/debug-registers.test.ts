/** MOV to and from debug registers: SDM vol. 2, MOV—Move to/from Debug Registers; vol. 3, 17.2. */
import { expect, it } from 'vitest';
import { evaluate } from '../../emulator/sensitive/index.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE } from '../support/guest.ts';
import { runProtected } from '../support/protected-mode.ts';
import { situation } from '../support/situation.ts';

const DE = 0x8;
const HLT = 'f4';

describeEachEngine('debug registers', engine => {
  it('DR4 and DR5 are DR6 and DR7 without CR4.DE', async () => {
    // mov $0xffffeff1,%eax; mov %eax,%dr4; mov $0x700,%eax; mov %eax,%dr5; mov %dr6,%ecx; mov %dr7,%edx
    const stop = runProtected(await engine.load(), {
      code: `b8 f1 ef ff ff 0f 23 e0 b8 00 07 00 00 0f 23 e8 0f 21 f1 0f 21 fa ${HLT}`,
    });
    // DR6 has bit 12 clear and bits 31:16 and 11:4 set, whatever is written: SDM vol. 3, figure 17-1.
    expect(stop).toMatchObject({ kind: 'halt', cpu: { registers: { ecx: 0xffffeff1, edx: 0x700 } } });
  });

  it('DR4 and DR5 show DR6 and DR7', async () => {
    // mov $0xffff4ff0,%eax; mov %eax,%dr6; mov $0x330400,%eax; mov %eax,%dr7; mov %dr4,%ecx; mov %dr5,%edx
    const stop = runProtected(await engine.load(), {
      code: `b8 f0 4f ff ff 0f 23 f0 b8 00 04 33 00 0f 23 f8 0f 21 e1 0f 21 ea ${HLT}`,
    });
    expect(stop).toMatchObject({ kind: 'halt', cpu: { registers: { ecx: 0xffff4ff0, edx: 0x330400 } } });
  });

  it.each([['0f 23 e0'], ['0f 21 e8']])('with CR4.DE there is no DR4 and no DR5: %s is #UD', async code => {
    // mov %cr4,%eax; or $8,%eax; mov %eax,%cr4
    const stop = runProtected(await engine.load(), { code: `0f 20 e0 83 c8 0${DE} 0f 22 e0 ${code} ${HLT}` });
    expect(stop).toMatchObject({ kind: 'invalid-opcode', exception: { vector: 6 } });
  });

  it('outside ring 0 they are #GP(0)', async () => {
    const stop = runProtected(await engine.load(), { code: '0f 23 e8', ring: 3 });
    expect(stop).toMatchObject({
      kind: 'privileged-instruction',
      rule: 'mov-to-dr',
      exception: { vector: 13, errorCode: 0 },
    });
  });

  it('DR7.GD makes the next access a #DB', async () => {
    // mov $0x2400,%eax; mov %eax,%dr7; mov %dr0,%ecx
    const stop = runProtected(await engine.load(), { code: 'b8 00 24 00 00 0f 23 f8 0f 21 c1' });
    expect(stop).toMatchObject({ kind: 'exception', exception: { vector: 1 }, cpu: { eip: CODE + 8 } });
  });
});

it('the #DB of DR7.GD sets DR6.BD, and GD is clear for the handler', () => {
  // mov %dr0,%ecx
  const access = situation({ bytes: [0x0f, 0x21, 0xc1], ring: 0 });
  const verdict = evaluate({ ...access, debug: index => (index === 7 ? 0x2400 : 0xffff0ff0) });
  expect(verdict).toMatchObject({
    type: 'stop',
    effect: { eip: access.cpu.eip, debug: { dr6: 0xffff2ff0, dr7: 0x400 } },
  });
});
