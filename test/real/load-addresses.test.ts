/** A relocatable kernel does the same wherever a PC loader puts it. */
import { expect, test } from 'vitest';
import type { ElfImage, KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { createNames } from '../../src/report/names.ts';
import { unpackKernel } from '../../src/unpack.ts';
import { describeEachEngine } from '../support/engines.ts';
import { realImage } from '../support/real-input.ts';
import { runImage } from '../support/real-run.ts';

const MIB = 1024 * 1024;
const MEMORY = 128 * MIB;
/** Debian's kernel_alignment is 16 MiB (CONFIG_PHYSICAL_ALIGN), and so is its pref_address. */
const ADDRESSES = [16 * MIB, 32 * MIB, 64 * MIB] as const;

async function payload(image: KernelImage): Promise<ElfImage> {
  if (image.format !== 'bzimage') throw new Error('the Debian kernel is a bzImage');
  return await unpackKernel(image, { limit: MEMORY });
}

describeEachEngine('a relocatable kernel', engine => {
  test('stops at the same place of its decompressor, counted from where it is loaded', async ctx => {
    const image = realImage(ctx, 'debian kernel');
    const library = await engine.load();
    for (const loadAddress of ADDRESSES) {
      const options = { loadAddress, ring: 1, memory: MEMORY } as const;
      const { stop, entry } = runImage(library, image, 'pc', options);
      expect(entry.eip).toBe(loadAddress);
      // Linux 6.1 boot/compressed/head_32.S: cld; cli.
      expect(stop).toMatchObject({
        kind: 'iopl-sensitive-instruction',
        rule: 'cli',
        instructions: 1,
        instruction: { address: loadAddress + 1, bytes: Uint8Array.of(0xfa) },
      });
    }
  });

  test('has its kernel proper stop at the same symbol, with every word of its list moved', async ctx => {
    const kernel = await payload(realImage(ctx, 'debian kernel'));
    const library = await engine.load();
    const shifted = ADDRESSES.map(loadAddress => {
      const options = { loadAddress, ring: 1, memory: MEMORY } as const;
      const { stop, entry } = runImage(library, kernel, 'pc', options);
      const address = stop.instruction?.address ?? 0;
      return {
        entry: entry.eip - loadAddress,
        stop: stop.kind,
        offset: address - loadAddress,
        symbol: createNames(kernel, entry).symbol(address)?.replace(/\+.*/, ''),
        bytes: stop.instruction?.bytes.subarray(0, 3),
        operand:
          new DataView(stop.instruction?.bytes.slice(3).buffer ?? new ArrayBuffer(4)).getUint32(0, true) -
          loadAddress,
      };
    });
    // Linux 6.1 arch/x86/kernel/head_32.S: mov initial_stack, %ecx; lgdt boot_gdt_descr, both by physical addresses.
    expect(shifted[0]).toMatchObject({
      stop: 'privileged-instruction',
      symbol: 'startup_32',
      bytes: Uint8Array.of(0x0f, 0x01, 0x15),
    });
    expect(shifted.slice(1)).toEqual([shifted[0], shifted[0]]);
  });
});
