/** GRUB built for Xen: a real paravirtual guest, and a PVH one. */
import { expect, test } from 'vitest';
import { loadUnicorn } from '../../emulator/unicorn/load.ts';
import { describeEachEngine } from '../support/engines.ts';
import { realImage } from '../support/real-input.ts';
import { imageBytes, protocolNamed, runImage } from '../support/real-run.ts';

/** xen.h: __HYPERVISOR_vm_assist. */
const VM_ASSIST = 21;
/** xen.h: VMASST_CMD_enable, VMASST_TYPE_pae_extended_cr3. */
const VMASST_CMD_ENABLE = 0;
const VMASST_TYPE_PAE_EXTENDED_CR3 = 3;
/** elfnote.h. */
const XEN_ELFNOTE_XEN_VERSION = 5;
const XEN_ELFNOTE_GUEST_OS = 6;
const XEN_ELFNOTE_LOADER = 8;
const XEN_ELFNOTE_PHYS32_ENTRY = 18;

describeEachEngine('grub-i386-xen.bin under xen', engine => {
  test('reaches its first hypercall, vm_assist through int $0x82', async ctx => {
    const image = realImage(ctx, 'grub-i386-xen');
    const { stop } = runImage(await engine.load(), image, 'xen');

    expect(stop).toMatchObject({ kind: 'hypercall', via: 'int', vector: 0x82, number: VM_ASSIST });
    expect(stop.cpu).toMatchObject({
      cpl: 1,
      registers: { eax: VM_ASSIST, ebx: VMASST_CMD_ENABLE, ecx: VMASST_TYPE_PAE_EXTENDED_CR3 },
    });
    expect(stop.kind === 'hypercall' && stop.arguments.slice(0, 2)).toEqual([
      { register: 'ebx', value: VMASST_CMD_ENABLE },
      { register: 'ecx', value: VMASST_TYPE_PAE_EXTENDED_CR3 },
    ]);
    expect(protocolNamed('xen').hypercallName?.(VM_ASSIST)).toBe('vm_assist');
    // At the instruction, not after it: cd 82.
    expect(stop.instruction).toEqual({ address: stop.cpu.eip, bytes: Uint8Array.of(0xcd, 0x82) });
    expect(imageBytes(image, stop.cpu.eip, 2)).toEqual(Uint8Array.of(0xcd, 0x82));
  });
});

test('grub-i386-xen.bin has the same first hypercall under a 32-bit Xen, whose segments end at 0xf67fffff', async ctx => {
  const image = realImage(ctx, 'grub-i386-xen');
  const { stop } = runImage(await loadUnicorn({ engine: 'unicorn.js' }), image, 'xen', { xenHost: 32 });
  expect(stop).toMatchObject({ kind: 'hypercall', via: 'int', vector: 0x82, number: VM_ASSIST });
  expect(stop.cpu.segments.ds.descriptor?.limit).toBe(0xf67fffff);
});

test('grub-i386-xen.bin is no dom0 of a 32-bit Xen, which loads none into the lowest 1 GiB', ctx => {
  const image = realImage(ctx, 'grub-i386-xen');
  expect(() => protocolNamed('xen').entryState(image, { privileged: true, xenHost: 32 })).toThrow('1 GiB');
  expect(() => protocolNamed('xen').entryState(image, { privileged: true })).not.toThrow();
});

test('grub-i386-xen.bin says what Xen needs in its notes', ctx => {
  const image = realImage(ctx, 'grub-i386-xen');
  const text = (type: number) => {
    const note = image.notes.find(({ owner, type: t }) => owner === 'Xen' && t === type);
    return note && Buffer.from(note.description).toString('latin1').replace(/\0+$/, '');
  };
  expect(text(XEN_ELFNOTE_GUEST_OS)).toBe('GRUB');
  expect(text(XEN_ELFNOTE_LOADER)).toBe('generic');
  expect(text(XEN_ELFNOTE_XEN_VERSION)).toBe('xen-3.0');
  expect(protocolNamed('xen').canStart(image)).toEqual({ ok: true });
});

test('grub-i386-xen_pvh.bin has a PVH entry and none for a paravirtual guest', ctx => {
  const image = realImage(ctx, 'grub-i386-xen_pvh');
  expect(image.format === 'elf' && image.entry).toBe(0x100000);
  expect(image.notes).toEqual([
    expect.objectContaining({
      owner: 'Xen',
      type: XEN_ELFNOTE_PHYS32_ENTRY,
      description: Uint8Array.of(0, 0, 0x10, 0),
    }),
  ]);
  expect(protocolNamed('xen').canStart(image)).toMatchObject({ ok: false });
});
