/** Unmodified kernels where they belong: ring 0 of a PC. */
import { expect, test } from 'vitest';
import { describeEachEngine } from '../support/engines.ts';
import { realImage } from '../support/real-input.ts';
import { runImage } from '../support/real-run.ts';

const CR0_PG = 0x80000000;
const CR4_PAE = 0x20;
const EFER_LME = 0x100;

describeEachEngine('a real kernel in ring 0', engine => {
  test('memtest86+ ia32 runs millions of instructions into its C code', async ctx => {
    const image = realImage(ctx, 'memtest86+ ia32');
    const budget = 3_000_000;
    const { stop } = runImage(await engine.load(), image, 'pc', { cpu: 'i686' }, { instructions: budget });

    expect(stop).toMatchObject({ kind: 'budget', limit: budget, instructions: budget, counted: true });
    // In its own code and bss: init_size bytes from 0x100000.
    const initSize = image.format === 'bzimage' ? image.setup.initSize : undefined;
    expect(initSize).toBeGreaterThan(0);
    expect(stop.cpu.eip).toBeGreaterThanOrEqual(0x100000);
    expect(stop.cpu.eip).toBeLessThan(0x100000 + (initSize ?? 0));
    expect(stop.cpu).toMatchObject({ cpl: 0 });
    expect(stop.trail).toHaveLength(32);
  });

  test('memtest86+ x64 runs its 32-bit entry until it enters long mode', async ctx => {
    const image = realImage(ctx, 'memtest86+ x64');
    const { stop } = runImage(await engine.load(), image, 'pc');

    expect(stop.kind).toBe('long-mode');
    // At `mov %eax,%cr0` that sets CR0.PG, with PAE and EFER.LME on already: the stop is before what it would do.
    expect(stop.instruction).toEqual({ address: 0x100078, bytes: Uint8Array.of(0x0f, 0x22, 0xc0) });
    expect(stop.cpu.control.cr4 & CR4_PAE).toBe(CR4_PAE);
    expect(stop.cpu.control.efer & EFER_LME).toBe(EFER_LME);
    expect(stop.cpu.control.cr0 & CR0_PG).toBe(0);
    expect((stop.cpu.registers.eax & CR0_PG) >>> 0).toBe(CR0_PG);
  });

  test("the Debian kernel's decompressor prints over the serial port", async ctx => {
    const image = realImage(ctx, 'debian kernel');
    const library = await engine.load();
    // The first line comes after the decompressor has moved itself and read the command line. Debian builds without
    // X86_VERBOSE_BOOTUP, so that it is the warning of choose_random_location() (Linux 6.1, boot/compressed/kaslr.c);
    // warn() puts an empty line before and after it, and the UART driver a carriage return before every line feed.
    const budget = 3_000_000;
    const { stop, serial } = runImage(
      library,
      image,
      'pc',
      { cmdline: 'console=ttyS0 earlyprintk=serial,ttyS0,115200 nokaslr' },
      { instructions: budget },
    );

    expect(serial).toBe("\r\n\r\nKASLR disabled: 'nokaslr' on cmdline.\r\n\r\n");
    expect(stop).toMatchObject({ kind: 'budget', limit: budget, instructions: budget, counted: true });
  });
});
