/** DR7 is followed as a register; what it would arm is beyond the engines. */
import { expect, it } from 'vitest';
import { Machine } from '../../emulator/machine.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, guestEntry } from '../support/guest.ts';

describeEachEngine('quirk hardware-breakpoints', engine => {
  it('arming an execution breakpoint ends the run before it is armed', async () => {
    const code = `
      b8 14 10 00 00   # mov $CODE+0x14,%eax
      0f 23 c0         # mov %eax,%dr0
      b8 02 04 00 00   # mov $0x402,%eax: G0
      0f 23 f8         # mov %eax,%dr7
      90 90 90 90 90 90
    `;
    using machine = Machine.open(await engine.load(), guestEntry({ code }));
    const stop = machine.run({ instructions: 100 });
    expect(stop.kind === 'engine-limit' && stop.limit).toBe('hardware-breakpoint');
    expect(stop.instruction?.address).toBe(CODE + 13);
    expect(stop.instructions).toBe(3);
  });

  it('DR7 without an enabled breakpoint is a register like any other', async () => {
    const code = `
      b8 00 04 0d 00   # mov $0xd0400,%eax: RW0 and LEN0
      0f 23 f8         # mov %eax,%dr7
      0f 21 f9         # mov %dr7,%ecx
      f4               # hlt
    `;
    using machine = Machine.open(await engine.load(), guestEntry({ code }));
    const stop = machine.run();
    expect(stop.kind).toBe('halt');
    expect(stop.cpu.registers.ecx).toBe(0x000d0400);
  });
});
