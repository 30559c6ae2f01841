/** Real PVH guests: GRUB finds Xen, has its hypercall page filled, and asks for the memory map; Linux gets into its C code. */
import { expect, test } from 'vitest';
import { createSymbolizer } from '../../src/kernel-image/index.ts';
import { unpackKernel } from '../../src/unpack.ts';
import { describeEachEngine } from '../support/engines.ts';
import { realImage } from '../support/real-input.ts';
import { protocolNamed, runImage } from '../support/real-run.ts';

/** xen.h: __HYPERVISOR_memory_op; memory.h: XENMEM_memory_map. */
const MEMORY_OP = 12;
const XENMEM_MEMORY_MAP = 9;

describeEachEngine('grub-i386-xen_pvh.bin under pvh', engine => {
  test('reaches its first hypercall, memory_op through vmcall', async ctx => {
    const image = realImage(ctx, 'grub-i386-xen_pvh');
    expect(protocolNamed('pvh').canStart(image)).toEqual({ ok: true });
    const { entry, stop } = runImage(await engine.load(), image, 'pvh');

    // The note: 0x00100000.
    expect(entry.eip).toBe(0x100000);
    expect(stop).toMatchObject({ kind: 'hypercall', via: 'vmcall', number: MEMORY_OP });
    expect(stop.kind === 'hypercall' && stop.arguments[0]).toEqual({
      register: 'ebx',
      value: XENMEM_MEMORY_MAP,
    });
    // In the page that Xen has filled: mov $12,%eax; vmcall; ret, at 12 * 32.
    expect(stop.cpu.eip % 4096).toBe(MEMORY_OP * 32 + 5);
    expect(stop.instruction?.bytes).toEqual(Uint8Array.of(0x0f, 0x01, 0xc1));
    // By its own GDT: 0x08 code, 0x10 data.
    expect(stop.cpu.segments.cs.selector).toBe(0x08);
    expect(stop.cpu.segments.ds.selector).toBe(0x10);
  });
});

describeEachEngine('the Debian kernel with PAE under pvh', engine => {
  test('stops in its stack protector: xen_prepare_pvh reads %fs, and FS is null', async ctx => {
    const image = realImage(ctx, 'debian pae kernel');
    if (image.format !== 'bzimage') throw new Error('no bzImage');
    const kernel = await unpackKernel(image);
    const { entry, stop } = runImage(await engine.load(), kernel, 'pvh', { memory: 128 * 1024 * 1024 });

    // The note of the kernel proper.
    expect(entry.eip).toBe(0x10002e0);
    expect(stop).toMatchObject({ kind: 'segment-access', register: 'fs', selector: 0, problem: 'null' });
    expect(createSymbolizer(kernel).symbolAt(stop.cpu.eip)?.name).toBe('xen_prepare_pvh');
    // Linux 6.1 arch/x86/platform/pvh/head.S: its own GDT, PAE, early page tables.
    expect(stop.cpu.control.cr0).toBe(0x80000011);
    expect(stop.cpu.control.cr4 & 0x20).toBe(0x20);
    expect(stop.cpu.segments.cs.selector).toBe(0x08);
  });
});

test('the Debian kernel without PAE has no note for pvh', async ctx => {
  const image = realImage(ctx, 'debian kernel');
  if (image.format !== 'bzimage') throw new Error('no bzImage');
  expect(protocolNamed('pvh').canStart(await unpackKernel(image))).toMatchObject({ code: 'no-xen-note' });
});

test('grub-i386-xen_pvh.bin has no Multiboot header', ctx => {
  const image = realImage(ctx, 'grub-i386-xen_pvh');
  expect(protocolNamed('multiboot').canStart(image)).toMatchObject({ code: 'no-multiboot-header' });
});
