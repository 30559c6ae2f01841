/**
 * Unmodified kernels in ring 1, every trap answered. What a monitor carries through is held against the same kernel in
 * ring 0, which asks no one: after as many instructions it is at the same place with the same registers.
 */
import { expect, test } from 'vitest';
import type { HostName } from '../../boot-protocols/hosts/index.ts';
import { Machine } from '../../emulator/machine.ts';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { runThroughTraps, type TrapsResult } from '../../src/traps.ts';
import { describeEachEngine } from '../support/engines.ts';
import { realImage } from '../support/real-input.ts';
import { protocolNamed, runImage } from '../support/real-run.ts';

/** Past memtest86+'s paging, its PCI scan and its console. */
const MEMTEST_INSTRUCTIONS = 900_000;

async function through(
  library: UnicornLibrary,
  image: KernelImage,
  answer: HostName,
  instructions: number,
): Promise<TrapsResult> {
  using machine = Machine.open(library, protocolNamed('pc').entryState(image, { ring: 1 }));
  return await runThroughTraps(machine, { answer, instructions });
}

const rulesOf = ({ traps }: TrapsResult): string[] =>
  traps.map(({ stop }) => ('rule' in stop ? String(stop.rule) : stop.kind));

describeEachEngine('a real kernel with every trap answered', engine => {
  test('memtest86+ under a monitor in ring 1 is where it is in ring 0', async ctx => {
    const library = await engine.load();
    const image = realImage(ctx, 'memtest86+ ia32');
    const { stop } = await through(library, image, 'monitor', MEMTEST_INSTRUCTIONS);
    const bare = runImage(library, image, 'pc', {}, { instructions: MEMTEST_INSTRUCTIONS }).stop;
    expect(stop.kind).toBe('budget');
    expect(stop.cpu.eip).toBe(bare.cpu.eip);
    expect(stop.cpu.registers).toEqual(bare.cpu.registers);
    expect(stop.cpu.control).toEqual(bare.cpu.control);
    expect(stop.cpu.gdtr).toEqual(bare.cpu.gdtr);
    expect(stop.cpu.idtr).toEqual(bare.cpu.idtr);
  });

  // As `objdump -d` shows the decompressor: cli; lgdt; mov %eax to ds, es, fs, gs, ss; lgdt again in the copy.
  test("the Debian kernel's decompressor has eight traps in its first hundred instructions", async ctx => {
    const library = await engine.load();
    const image = realImage(ctx, 'debian kernel');
    const result = await through(library, image, 'monitor', 100);
    expect(rulesOf(result)).toEqual([
      'cli',
      'lgdt',
      ...Array.from({ length: 5 }, () => 'segment-load'),
      'lgdt',
    ]);
  });

  test('neither Xen nor lguest carries them past lgdt', async ctx => {
    const library = await engine.load();
    for (const input of ['memtest86+ ia32', 'debian kernel'] as const) {
      const image = realImage(ctx, input);
      expect(rulesOf(await through(library, image, 'xen', 1000))).toEqual(['cli']);
      expect(rulesOf(await through(library, image, 'lguest', 1000))).toEqual(['cli', 'lgdt']);
    }
  });
});
