/** A guest that owns ring 0 of a virtual machine: the hypervisor's MSR, VMCALL, a TSS behind a null selector. */
import { expect, test } from 'vitest';
import { Machine } from '../../emulator/machine.ts';
import { TYPE_TSS32_BUSY } from '../../emulator/segmentation.ts';
import { describeEachEngine } from '../support/engines.ts';
import { guestEntry } from '../support/guest.ts';

const MSR = 0x40000000;
/** `vmcall; ret`, and nothing else. */
const PAGE = Uint8Array.from({ length: 4096 }, (_, i) => [0x0f, 0x01, 0xc1, 0xc3][i] ?? 0xcc);

/** wrmsr of an address to the MSR, and a call to 0x3000. */
const code = (address: string, high = '00'): string => `
  b9 00 00 00 40        # mov $0x40000000,%ecx
  b8 ${address}         # mov $address,%eax
  ba ${high} 00 00 00   # mov $high,%edx
  0f 30                 # wrmsr
  b8 00 30 00 00        # mov $0x3000,%eax
  ff d0                 # call *%eax
`;

describeEachEngine('a hypervisor’s MSR', engine => {
  const run = async (program: string, paging: 'off' | '32-bit' = 'off') => {
    const platform = { vmcall: true, hypercallMsr: { index: MSR, page: PAGE } };
    using machine = Machine.open(await engine.load(), guestEntry({ code: program, paging, platform }));
    return machine.run();
  };

  test.each(['off', '32-bit'] as const)('fills the page that WRMSR names, paging %s', async paging => {
    const stop = await run(code('00 30 00 00'), paging);
    expect(stop).toMatchObject({ kind: 'hypercall', via: 'vmcall', number: 0x3000, instructions: 6 });
    expect(stop.instruction?.address).toBe(0x3000);
    // SDM vol. 3, 25.1.2: in VMX non-root operation VMCALL is a VM exit at any CPL, and no exception.
    expect(stop.exception).toBeUndefined();
  });

  test('knows one page: another number in bits 11:0 is #GP(0)', async () => {
    const stop = await run(code('01 30 00 00'));
    expect(stop).toMatchObject({
      kind: 'exception',
      exception: { vector: 13, errorCode: 0 },
      instructions: 3,
    });
  });

  test('writes nothing above 4 GiB', async () => {
    // The call finds zeros: add %al,(%eax), on and on to the hole behind memory.
    expect((await run(code('00 30 00 00', '01'))).kind).not.toBe('hypercall');
  });
});

describeEachEngine('a TSS behind selector 0', engine => {
  test('is in TR’s hidden part, and STR shows 0', async () => {
    const tss = {
      base: 0,
      limit: 0x67,
      type: TYPE_TSS32_BUSY,
      codeOrData: false,
      dpl: 0,
      present: true,
      available: false,
      long: false,
      big: false,
      granular: false,
    } as const;
    const entry = { ...guestEntry({ code: '0f 00 c8 f4' }), tr: { selector: 0, descriptor: tss } };
    using machine = Machine.open(await engine.load(), entry);
    const stop = machine.run();
    expect(stop.kind).toBe('halt');
    expect(stop.cpu.registers.eax & 0xffff).toBe(0);
    expect(stop.cpu.tr).toEqual({ selector: 0, descriptor: tss });
  });
});
