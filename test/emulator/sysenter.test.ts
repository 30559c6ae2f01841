/** SYSENTER and SYSEXIT: SDM vol. 2. The MSRs are 0x174 (CS), 0x175 (ESP) and 0x176 (EIP). */
import { expect, it } from 'vitest';
import { FLAG_IF } from '../../emulator/flags.ts';
import { Machine } from '../../emulator/machine.ts';
import { flatCode, flatData } from '../../emulator/segmentation.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, guestEntry, STACK } from '../support/guest.ts';
import { runProtected } from '../support/protected-mode.ts';

/** mov $index,%ecx; mov $value,%eax; xor %edx,%edx; wrmsr */
function writeMsr(index: number, value: number): string {
  const dword = (v: number): string =>
    [0, 8, 16, 24].map(s => ((v >>> s) & 0xff).toString(16).padStart(2, '0')).join(' ');
  return `b9 ${dword(index)} b8 ${dword(value)} 31 d2 0f 30`;
}

describeEachEngine('sysenter and sysexit', engine => {
  it('are #GP(0) while IA32_SYSENTER_CS is null', async () => {
    const library = await engine.load();
    for (const code of ['0f 34', '0f 35', `${writeMsr(0x174, 3)} 0f 34`]) {
      expect(runProtected(library, { code })).toMatchObject({ exception: { vector: 13, errorCode: 0 } });
    }
  });

  it('sysexit is #GP(0) outside ring 0', async () => {
    const stop = runProtected(await engine.load(), { code: '0f 35', ring: 3 });
    expect(stop).toMatchObject({ kind: 'privileged-instruction', rule: 'sysexit' });
  });

  it('sysexit goes to flat segments of ring 3, and sysenter back to those of ring 0', async () => {
    using machine = Machine.open(
      await engine.load(),
      guestEntry({
        code: `
          ${writeMsr(0x174, 0x60)}
          ${writeMsr(0x175, STACK - 0x800)}
          ${writeMsr(0x176, CODE + 0x100)}
          b9 00 b0 00 00            # mov $0xb000,%ecx: the new stack pointer
          ba 80 10 00 00            # mov $CODE+0x80,%edx
          fb                        # sti
          0f 35                     # sysexit
        `,
        gdt: 'none',
        contents: { [CODE + 0x80]: '0f 34', [CODE + 0x100]: 'f4' },
      }),
    );
    const until = machine.run({ until: CODE + 0x80, stopOn: 'fault' });
    expect(until.cpu).toMatchObject({
      cpl: 3,
      eip: CODE + 0x80,
      registers: { esp: 0xb000 },
      segments: {
        cs: { selector: 0x73, descriptor: flatCode(3) },
        ss: { selector: 0x7b, descriptor: flatData(3) },
      },
    });
    expect(until.cpu.eflags & FLAG_IF).toBe(FLAG_IF);
    const stop = machine.run({ stopOn: 'fault' });
    expect(stop).toMatchObject({ kind: 'halt', instructions: 3 * 4 + 5 });
    expect(stop.cpu).toMatchObject({
      cpl: 0,
      eip: CODE + 0x100,
      eflags: until.cpu.eflags & ~FLAG_IF,
      registers: { esp: STACK - 0x800 },
      segments: {
        cs: { selector: 0x60, descriptor: flatCode(0) },
        ss: { selector: 0x68, descriptor: flatData(0) },
      },
    });
  });
});
