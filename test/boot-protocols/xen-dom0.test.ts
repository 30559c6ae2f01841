/** dom0, which Xen builds itself: Xen 4.14 xen/arch/x86/pv/dom0_build.c, Xen 4.2 xen/arch/x86/domain_build.c. */
import { describe, expect, it } from 'vitest';
import { xen } from '../../boot-protocols/xen/protocol.ts';
import { walk } from '../../emulator/paging.ts';
import { segment, XEN_NOTES, type XenNotes, xenKernel } from './images.ts';
import { bytesOf, protocolError, readPhysical32, regionNamed, viewOf } from './read.ts';

const dom0 = (notes: XenNotes = XEN_NOTES, options = {}) =>
  xen.entryState(xenKernel(notes), { privileged: true, ...options });

describe('dom0 of a 64-bit Xen', () => {
  const entry = dom0(XEN_NOTES, { initrd: new Uint8Array(0x1801), cmdline: 'console=hvc0' });
  const start = (name: string): number => regionNamed(entry, name).start;

  it('is image, initrd, phys-to-machine list, start_info, page tables, stack; no xenstore and no console page', () => {
    expect(start('initrd')).toBe(0xc0103000);
    expect(regionNamed(entry, 'initrd').size).toBe(0x1801);
    expect(start('phys-to-machine list')).toBe(0xc0105000);
    expect(start('start_info')).toBe(0xc0115000);
    expect(start('page tables')).toBe(0xc0116000);
    // An L3, four L2s in any case, and two L1s of 2 MiB for a 4 MiB area.
    expect(regionNamed(entry, 'page tables').size).toBe(7 * 4096);
    expect(start('boot stack')).toBe(0xc011d000);
    expect(entry.regions.map(({ name }) => name)).not.toContain('xenstore page');
    expect(entry.regions.map(({ name }) => name)).not.toContain('console page');
  });

  it('takes an L1 before the L2 that it goes into, and the L2s of empty slots last', () => {
    const read = readPhysical32(entry);
    const l3 = start('page tables');
    const l2 = ((read(l3 + 3 * 8) ?? 0) & ~0xfff) >>> 0;
    expect(l2).toBe(l3 + 0x2000);
    expect(((read(l2) ?? 0) & ~0xfff) >>> 0).toBe(l3 + 0x1000);
    expect([0, 1, 2].map(slot => ((read(l3 + slot * 8) ?? 0) & ~0xfff) >>> 0)).toEqual([
      l3 + 0x4000,
      l3 + 0x5000,
      l3 + 0x6000,
    ]);
    expect(walk(l3, entry.control, read)).toMatchObject({ physical: l3, writable: false });
    expect(walk(start('start_info'), entry.control, read)).toMatchObject({ writable: true });
  });

  it('has the flags of dom0, and of its console an offset and a size', () => {
    const info = viewOf(entry, 'start_info');
    expect(info.getUint32(0x28, true)).toBe(3); // SIF_PRIVILEGED | SIF_INITDOMAIN
    expect([info.getUint32(0x2c, true), info.getUint32(0x30, true)]).toEqual([0, 0]);
    // sizeof(struct start_info) of a 64-bit Xen, sizeof(struct dom0_vga_console_info) since 4.13.
    expect([info.getUint32(0x34, true), info.getUint32(0x38, true)]).toEqual([0x490, 0x28]);
    expect(info.getUint32(0x4c, true)).toBe(0x1801);
    // 1024 pages are mapped, 2 of them the initrd: 1024 in one allocation, and the initrd's.
    expect(info.getUint32(0x450, true)).toBe(1024 + 2);
    // XEN_VGATYPE_TEXT_MODE_3: font height, cursor, rows, columns.
    expect(info.getUint8(0x490)).toBe(3);
    expect([0x494, 0x496, 0x498, 0x49a, 0x49c].map(at => info.getUint16(at, true))).toEqual([
      16, 0, 0, 25, 80,
    ]);
  });

  it('is described with its own names', () => {
    expect(entry.structures.map(({ name, address }) => [name, address])).toEqual([
      ['start_info', start('start_info')],
      ['dom0_vga_console_info', start('start_info') + 0x490],
      ['shared_info', start('shared_info')],
    ]);
    const names = entry.structures[0]?.fields.map(({ name }) => name);
    expect(names).toContain('console.dom0.info_off');
    expect(names).not.toContain('console.domU.mfn');
  });

  it('has its initrd, by MOD_START_PFN, behind its first allocation', () => {
    const unmapped = dom0({ ...XEN_NOTES, modStartPfn: 1 }, { initrd: new Uint8Array(10) });
    // 4 MiB are mapped: 1024 pages, a power of two.
    expect(regionNamed(unmapped, 'initrd').start).toBe(0xc0400000);
    const info = viewOf(unmapped, 'start_info');
    expect(info.getUint32(0x28, true)).toBe(3 | 8);
    expect(info.getUint32(0x48, true)).toBe(0x400);
    expect(info.getUint32(0x4c, true)).toBe(10);
  });

  it('has as much as a power of two of pages in one piece', () => {
    // 12 MiB are mapped, and the first allocation is 16 MiB.
    const kernel = xenKernel(XEN_NOTES, {
      segments: [segment('LOAD 0', 0x100000, 0xc0100000, new Uint8Array(0x2800), 0x900000)],
    });
    expect(regionNamed(xen.entryState(kernel, { privileged: true }), 'boot stack').start).toBeLessThan(
      0xc0c00000,
    );
    const error = protocolError(() => xen.entryState(kernel, { privileged: true, memory: 12 * 2 ** 20 }));
    expect(error.code).toBe('image-too-big');
    expect(error.message).toContain('16777216 bytes');
  });
});

describe('dom0 of a 32-bit Xen', () => {
  const entry = dom0(XEN_NOTES, { xenHost: 32 });

  it('has its four L2s behind the L3', () => {
    const read = readPhysical32(entry);
    const l3 = regionNamed(entry, 'page tables').start;
    expect([0, 1, 2, 3].map(slot => read(l3 + slot * 8))).toEqual(
      [1, 2, 3, 4].map(page => l3 + page * 0x1000 + 1),
    );
  });

  it('has a start_info of 0x458 bytes and a console structure of 0x24', () => {
    const info = viewOf(entry, 'start_info');
    expect([info.getUint32(0x34, true), info.getUint32(0x38, true)]).toEqual([0x458, 0x24]);
    expect(bytesOf(entry, 'start_info')[0x458]).toBe(3);
  });
});

describe('what no dom0 is made of', () => {
  it.each([
    ['not-for-dom0', 'SUPPORTED_FEATURES', { ...XEN_NOTES, supportedFeatures: 1 }, {}],
    ['bad-xen-note', 'HV_START_LOW', { ...XEN_NOTES, hvStartLow: 0xf5800001 }, {}],
    ['not-for-dom0', 'supervisor_mode_kernel', { ...XEN_NOTES, features: '!supervisor_mode_kernel' }, {}],
    [
      'bad-xen-note',
      '1 GiB',
      { ...XEN_NOTES, virtBase: 0, entry: 0x100000, hypercallPage: 0x101000 },
      { xenHost: 32 } as const,
    ],
  ])('%s: %s', (code, named, notes, options) => {
    const error = protocolError(() => dom0(notes, options));
    expect([error.code, error.usage]).toEqual([code, false]);
    expect(error.message).toContain(named);
  });

  it('but Linux 4.13, with SUPPORTED_FEATURES 0x801 and HV_START_LOW 0xf5800000, is one', () => {
    expect(() => dom0({ ...XEN_NOTES, supportedFeatures: 0x801, hvStartLow: 0xf5800000 })).not.toThrow();
  });
});
