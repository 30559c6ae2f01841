/** Real kernels as kexec starts them: on bare hardware, and from inside a deprivileged, paged guest. */
import { expect, test } from 'vitest';
import { Machine } from '../../emulator/machine.ts';
import { describeEachEngine } from '../support/engines.ts';
import { realImage } from '../support/real-input.ts';
import { protocolNamed, runImage } from '../support/real-run.ts';

const MIB = 1024 * 1024;

describeEachEngine('kexec', engine => {
  test('starts memtest86+ ia32 at 1 MiB, and it runs', async ctx => {
    const image = realImage(ctx, 'memtest86+ ia32');
    const budget = 1_000_000;
    const { entry, stop } = runImage(await engine.load(), image, 'kexec', {}, { instructions: budget });
    expect(entry.eip).toBe(0x100000);
    expect(stop).toMatchObject({ kind: 'budget', instructions: budget });
  });

  test("starts Debian's kernel at 16 MiB, its decompressor writing to the screen that kexec-tools names", async ctx => {
    const image = realImage(ctx, 'debian kernel');
    const library = await engine.load();
    const options = { memory: 128 * MIB, cmdline: 'nokaslr' };
    const entry = protocolNamed('kexec').entryState(image, options);
    // kernel_alignment is 16 MiB: the lowest multiple of it past 1 MiB.
    expect(entry.eip).toBe(16 * MIB);
    const machine = Machine.open(library, entry);
    try {
      machine.run({ instructions: 3_000_000 });
      // Every other byte is a character; warn() puts an empty line before the text.
      const screen = machine.readMemory(0xb8000, 80 * 25 * 2).filter((_, index) => index % 2 === 0);
      expect(Buffer.from(screen).toString('latin1')).toContain("KASLR disabled: 'nokaslr' on cmdline.");
    } finally {
      machine.close();
    }
  });

  test('in ring 1 with paging on it gets to the same first instruction that ring 0 would not stop', async ctx => {
    const image = realImage(ctx, 'debian kernel');
    const options = { memory: 128 * MIB, ring: 1, paging: '32-bit' } as const;
    const { entry, stop } = runImage(await engine.load(), image, 'kexec', options);
    expect(stop).toMatchObject({
      kind: 'iopl-sensitive-instruction',
      rule: 'cli',
      instruction: { address: entry.eip + 1 },
    });
    expect(stop.cpu).toMatchObject({ cpl: 1, control: { cr0: 0x80000033 } });
  });
});
