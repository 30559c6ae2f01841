/** `pvh` against QEMU's own loader of a kernel with PHYS32_ENTRY: hw/i386/x86.c and the option ROM pvh.bin. */
import { expect, test } from 'vitest';
import { pvh } from '../../../boot-protocols/pvh/protocol.ts';
import type { KernelImage } from '../../../src/kernel-image/kernel-image.ts';
import { findRealInput, realImage } from '../../support/real-input.ts';
import { committedImage, textAt, viewAt } from './memory.ts';
import { brokenPromises } from './promises.ts';
import { atEntry, MEMORY, requireQemu } from './qemu.ts';

const KERNEL = 'images/pvh-hello/pvh-hello.elf';
const INITRD = new Uint8Array(5000).fill(0x5a);

/**
 * pvh.pandoc asks for a limit of 0x67. The option ROM loads no task register, and what a CPU has after a reset stays:
 * limit 0xffff (SDM vol. 3, table 9-1). No kernel of QEMU's counts on it.
 */
const TR_AFTER_RESET = ['tr limit: 0xffff, promised 0x67'];

async function expectPvh(path: string, image: KernelImage): Promise<void> {
  const entry = pvh.entryState(image, { memory: MEMORY, cmdline: 'x y', initrd: INITRD });
  await atEntry(
    {
      arguments: ['-kernel', path, '-append', 'x y', '-initrd', '{initrd}'],
      files: { initrd: INITRD },
      entry: entry.eip,
    },
    async real => {
      expect(await brokenPromises(entry, real, ['ebx'])).toEqual(TR_AFTER_RESET);
      const address = real.registers.general.ebx;
      const info = await viewAt(real, address, 0x38);
      const word = (offset: number): number => info.getUint32(offset, true);
      const pointer = (offset: number): number => Number(info.getBigUint64(offset, true));
      expect([word(0x00), word(0x04), word(0x08)]).toEqual([0x336ec578, 1, 0]);
      expect(await textAt(real, pointer(0x18))).toBe('x y');

      expect(word(0x0c), 'nr_modules').toBe(1);
      const module = await viewAt(real, pointer(0x10), 0x20);
      expect(Number(module.getBigUint64(0x08, true))).toBe(INITRD.length);
      expect(await real.read(Number(module.getBigUint64(0x00, true)), INITRD.length)).toEqual(INITRD);

      // A PC's map, where a Xen domain has RAM from 0 on and its special pages.
      expect(word(0x30), 'memmap_entries').toBeGreaterThan(0);
      const first = await viewAt(real, pointer(0x28), 0x18);
      expect(first.getBigUint64(0, true)).toBe(0n);
      expect(first.getUint32(0x10, true), 'RAM').toBe(1);
      expect(pointer(0x20), 'rsdp_paddr').not.toBe(0);
    },
  );
}

test('QEMU keeps every promise of the state but one, and hands over hvm_start_info version 1', async context => {
  requireQemu(context);
  await expectPvh(KERNEL, committedImage(KERNEL));
});

test('and so with a kernel that others made: grub-i386-xen_pvh.bin', async context => {
  requireQemu(context);
  const image = realImage(context, 'grub-i386-xen_pvh');
  await expectPvh(findRealInput('grub-i386-xen_pvh')?.path ?? '', image);
});
