/** EFLAGS.VIF and VIP: SDM vol. 3, 20.3.2 and 20.4. */
import { expect, it } from 'vitest';
import { describeEachEngine } from '../support/engines.ts';
import { CODE } from '../support/guest.ts';
import { runProtected, SELECTOR } from '../support/protected-mode.ts';

const PVI = 0x2;
const VIF = 0x80000;
const VIP = 0x100000;
const VALUE = (value: number): string =>
  [0, 8, 16, 24].map(shift => ((value >>> shift) & 0xff).toString(16).padStart(2, '0')).join(' ');

/** From ring 0 with IRET to `nop` in ring 3, with these flags. */
const enter = (cr4: number, eflags: number): string => `
  0f 20 e0 83 c8 ${VALUE(cr4).slice(0, 2)} 0f 22 e0       # mov %cr4,%eax; or $cr4,%eax; mov %eax,%cr4
  68 ${VALUE(SELECTOR.data3)} 68 ${VALUE(0xb000)}          # push $ss; push $esp
  68 ${VALUE(eflags)} 68 ${VALUE(SELECTOR.code3)}          # push $eflags; push $cs
  68 ${VALUE(CODE + 0x80)} cf                              # push $eip; iret
`;

describeEachEngine('VIF and VIP', engine => {
  const run = async (cr4: number, eflags: number) =>
    runProtected(await engine.load(), { code: enter(cr4, eflags), contents: { [CODE + 0x80]: '90 90 f4' } });

  it('both at CPL 3 with CR4.PVI are a #GP(0) before the next instruction', async () => {
    const stop = await run(PVI, VIF | VIP | 2);
    expect(stop).toMatchObject({ exception: { vector: 13, errorCode: 0 }, cpu: { eip: CODE + 0x80 } });
  });

  it.each([
    ['VIF alone', PVI, VIF],
    ['VIP alone', PVI, VIP],
    ['both without CR4.PVI', 0, VIF | VIP],
  ])('%s: the next instructions run', async (_name, cr4, flags) => {
    const stop = await run(cr4, flags | 2);
    expect(stop).toMatchObject({ kind: 'privileged-instruction', rule: 'hlt', cpu: { eip: CODE + 0x82 } });
  });
});
