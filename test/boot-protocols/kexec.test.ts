import { describe, expect, it } from 'vitest';
import { kexec } from '../../boot-protocols/kexec/protocol.ts';
import type { Stop } from '../../emulator/stop.ts';
import { STOPS } from '../support/stops.ts';
import { bzImage, segment, vmlinux } from './images.ts';
import { bytesOf, general, protocolError, regionNamed, selectors, viewOf } from './read.ts';

const MIB = 1024 * 1024;
/** purgatory.ro of Debian's kexec-tools 2.0.25-3 for i386, by readelf and nm. */
const PURGATORY_SIZE = 0x8000;
const PURGATORY_GDT = 0x38d0;
const PURGATORY_STACK_END = 0x6000;

describe('kexec: the CPU (entry32.S, relocate_kernel_32.S)', () => {
  const entry = kexec.entryState(vmlinux(), {});

  it('has 0 in every register but %esi and %esp, and promises them all', () => {
    const purgatory = regionNamed(entry, 'purgatory code').start;
    expect(general(entry)).toEqual({
      eax: '0',
      ecx: '0',
      edx: '0',
      ebx: '0',
      esp: (purgatory + PURGATORY_STACK_END).toString(16),
      ebp: '0',
      esi: regionNamed(entry, 'boot_params').start.toString(16),
      edi: '0',
    });
    // The purgatory's last test is of 0: ZF and PF.
    expect(entry.eflags).toBe(0x46);
    expect(entry.eip).toBe(0x100000);
  });

  it('has all six segments from entry32', () => {
    expect(selectors(entry)).toEqual({ cs: '10', ds: '18', es: '18', ss: '18', fs: '18', gs: '18' });
  });

  it('has the GDT of entry32, with its own lgdt operand in entry 0', () => {
    const gdt = viewOf(entry, 'purgatory GDT');
    const { start } = regionNamed(entry, 'purgatory GDT');
    expect(start - regionNamed(entry, 'purgatory code').start).toBe(PURGATORY_GDT);
    expect(entry.gdtr).toEqual({ base: start, limit: 0x6f });
    expect([gdt.getUint16(0, true), gdt.getUint32(2, true)]).toEqual([0x6f, start]);
    expect(gdt.getBigUint64(0x08, true)).toBe(0n);
    // Loaded by entry32, so that the CPU has set their accessed bits; 0x60 and 0x68 as they were.
    expect(gdt.getBigUint64(0x10, true)).toBe(0x00cf9b000000ffffn);
    expect(gdt.getBigUint64(0x18, true)).toBe(0x00cf93000000ffffn);
    expect(gdt.getBigUint64(0x60, true)).toBe(0x00cf9a000000ffffn);
    expect(gdt.getBigUint64(0x68, true)).toBe(0x00cf92000000ffffn);
  });

  it('has the control registers of relocate_kernel: CR0 0x33, CR3 0, CR4 0', () => {
    expect(entry.control).toEqual({ cr0: 0x33, cr2: 0, cr3: 0, cr4: 0, efer: 0 });
    expect(entry.idtr).toEqual({ base: 0, limit: 0 });
    expect(entry.ldtr).toEqual({ selector: 0, descriptor: undefined });
  });
});

describe('kexec: a bare vmlinux (kexec-elf-x86.c, --args-linux)', () => {
  const entry = kexec.entryState(vmlinux(), { cmdline: 'quiet', memory: 64 * MIB });
  const params = viewOf(entry, 'boot_params');

  it('has the purgatory in the lowest memory, then boot_params and the command line', () => {
    expect(regionNamed(entry, 'purgatory code').start).toBe(0x1000);
    expect(regionNamed(entry, 'boot_params').start).toBe(0x1000 + PURGATORY_SIZE);
    expect(regionNamed(entry, 'command line').start).toBe(0x2000 + PURGATORY_SIZE);
    expect(params.getUint32(0x228, true)).toBe(0x2000 + PURGATORY_SIZE);
  });

  it('gets a header of version 2.06 that kexec-tools makes up', () => {
    expect(params.getUint32(0x202, true)).toBe(0x53726448);
    expect(params.getUint16(0x206, true)).toBe(0x206);
    expect(params.getUint32(0x22c, true)).toBe(0x37ffffff);
    expect(params.getUint32(0x238, true)).toBe(2048);
    expect(params.getUint16(0x1fe, true)).toBe(0);
    expect(params.getUint32(0x230, true)).toBe(0);
  });

  it('keeps that header for a kernel proper: kexec-tools does not unpack', () => {
    const { setup } = bzImage({ version: 0x020f });
    const kernel = vmlinux({ container: { setup, size: 0, sha256: '', payload: 'xz' } });
    expect(viewOf(kexec.entryState(kernel, {}), 'boot_params').getUint16(0x206, true)).toBe(0x206);
  });

  it('carries the subarch of the running kernel, which 2.06 is too old for', () => {
    const given = viewOf(kexec.entryState(vmlinux(), { subarch: 2 }), 'boot_params');
    expect([given.getUint16(0x206, true), given.getUint32(0x23c, true)]).toEqual([0x206, 2]);
  });
});

describe('kexec: what x86-linux-setup.c writes', () => {
  const entry = kexec.entryState(bzImage({ version: 0x020f, loadflags: 0x81 }), { memory: 64 * MIB });
  const params = viewOf(entry, 'boot_params');

  it('is loader 0xd0 and no loadflags, LOADED_HIGH included', () => {
    expect(params.getUint8(0x210)).toBe(0xd0);
    expect(params.getUint8(0x211)).toBe(0);
    const field = entry.structures[0]?.fields.find(({ name }) => name === 'hdr.type_of_loader');
    expect(field).toMatchObject({
      meaning: 'kexec-tools, version 0',
      citation: 'kexec-tools kexec/arch/i386/x86-linux-setup.c',
    });
  });

  it('is a colour screen of 80 columns and 25 lines', () => {
    expect([...bytesOf(entry, 'boot_params').subarray(0, 0x12)]).toEqual([
      0, 0, 0xff, 0xfb, 0, 0, 0, 80, 0, 0, 0, 0, 0, 0, 25, 1, 16, 0,
    ]);
  });

  it('is the memory from 1 MiB on in KiB, one short for it ends with its last byte', () => {
    expect(params.getUint16(0x02, true)).toBe(63 * 1024 - 1);
    expect(params.getUint32(0x1e0, true)).toBe(63 * 1024 - 1);
    const large = viewOf(kexec.entryState(bzImage(), { memory: 128 * MIB }), 'boot_params');
    expect([large.getUint16(0x02, true), large.getUint32(0x1e0, true)]).toEqual([0xfc00, 127 * 1024 - 1]);
  });

  it('is root read-only on /dev/hda, and half a boot_flag', () => {
    expect(params.getUint16(0x1f2, true)).toBe(0xffff);
    expect(params.getUint16(0x1fc, true)).toBe(0x300);
    expect(params.getUint16(0x1fe, true)).toBe(0x0055);
  });

  it('is the memory map, which starts behind the interrupt vectors', () => {
    expect(params.getUint8(0x1e8)).toBe(4);
    expect([params.getBigUint64(0x2d0, true), params.getBigUint64(0x2d8, true)]).toEqual([0x400n, 0x9f800n]);
    expect(params.getBigUint64(0x2d0 + 60, true)).toBe(0x100000n);
  });

  it('is the command line behind the room for the setup code, by old and new pointer', () => {
    // setup_sects 4: five sectors, and not less than boot_params.
    expect(regionNamed(entry, 'boot_params').start).toBe(0x3000);
    expect(params.getUint32(0x228, true)).toBe(0x4000);
    expect([params.getUint16(0x20, true), params.getUint16(0x22, true)]).toEqual([0xa33f, 0x1000]);
  });
});

describe('kexec: where a bzImage goes (kexec-bzImage.c)', () => {
  it('is 1 MiB when it is not relocatable, with the purgatory at the end of low memory', () => {
    const entry = kexec.entryState(bzImage(), {});
    expect(entry.eip).toBe(0x100000);
    expect(regionNamed(entry, 'purgatory code').start).toBe(0x97000);
  });

  it('is the lowest multiple of kernel_alignment, with the purgatory at the end of memory', () => {
    const image = bzImage({ relocatable: true, kernelAlignment: 0x400000, prefAddress: 0x1000000 });
    const entry = kexec.entryState(image, { memory: 64 * MIB });
    expect(entry.eip).toBe(0x400000);
    expect(regionNamed(entry, 'purgatory code').start).toBe(64 * MIB - PURGATORY_SIZE);
    // Only the 16-bit path reads it: kexec-tools leaves it as it is.
    expect(viewOf(entry, 'boot_params').getUint32(0x214, true)).toBe(0x100000);
  });

  it('is from --load-address on, as with --mem-min', () => {
    const image = bzImage({ relocatable: true, kernelAlignment: 0x200000, prefAddress: 0x1000000 });
    expect(kexec.entryState(image, { loadAddress: 0x1100000 }).eip).toBe(0x1200000);
  });

  it('copies at most 0x7f bytes of the header', () => {
    const image = bzImage();
    const raw = new Uint8Array(0x90).fill(0x77);
    const long = { ...image, setup: { ...image.setup, raw, end: 0x281 } };
    const params = bytesOf(kexec.entryState(long, {}), 'boot_params');
    expect([params[0x26f], params[0x270]]).toEqual([0x77, 0]);
  });

  it('puts the initrd on the last pages below initrd_addr_max, and never below 16 MiB', () => {
    const initrd = new Uint8Array(0x1800);
    expect(regionNamed(kexec.entryState(bzImage(), { initrd }), 'initrd').start).toBe(64 * MIB - 0x2000);
    expect(protocolError(() => kexec.entryState(bzImage(), { initrd, memory: 16 * MIB })).code).toBe(
      'initrd-too-big',
    );
  });

  it('refuses a zImage', () => {
    const image = bzImage({ loadflags: 0, code32Start: 0x1000 });
    expect(kexec.canStart(image)).toMatchObject({ ok: false, code: 'zimage' });
  });

  it('refuses a command line that has no room for its NUL in cmdline_size', () => {
    const image = bzImage({ cmdlineSize: 255 });
    expect(() => kexec.entryState(image, { cmdline: 'x'.repeat(254) })).not.toThrow();
    const error = protocolError(() => kexec.entryState(image, { cmdline: 'x'.repeat(255) }));
    expect([error.code, error.usage]).toEqual(['cmdline-too-long', true]);
  });

  it('names what the kernel overlaps', () => {
    const low = vmlinux({
      entry: 0xf0000,
      segments: [segment('LOAD 0', 0xf0000, 0xf0000, Uint8Array.of(0x90), 0x1000)],
    });
    expect(protocolError(() => kexec.entryState(low, {})).code).toBe('outside-memory');
  });
});

describe('kexec from inside a deprivileged, paged guest', () => {
  const entry = kexec.entryState(vmlinux(), { ring: 1, paging: '32-bit', memory: 4 * MIB });

  it('keeps the ring and the page tables: nothing unmaps or raises privilege', () => {
    expect(entry.ring).toBe(1);
    expect(selectors(entry)).toEqual({ cs: '11', ds: '19', es: '19', ss: '19', fs: '19', gs: '19' });
    expect(entry.segments.ss.descriptor?.dpl).toBe(1);
    expect(entry.control.cr0).toBe(0x80000033);
    expect(entry.control.cr3).toBe(regionNamed(entry, 'loader page tables').start);
    expect(entry.paging.mappings.map(m => [m.linear, m.physical, m.size])).toEqual([
      [0, 0, 0xa0000],
      [0xa0000, 0xa0000, 0x20000],
      [0xc0000, 0xc0000, 0x40000],
      [0x100000, 0x100000, 3 * MIB],
    ]);
    expect(entry.platform.hypervisor).toBe('generic');
  });

  it('hands over the same boot_params', () => {
    const native = kexec.entryState(vmlinux(), { memory: 4 * MIB });
    expect(bytesOf(entry, 'boot_params')).toEqual(bytesOf(native, 'boot_params'));
  });
});

describe('kexec: advice', () => {
  const stop = STOPS['iopl-sensitive-instruction'];

  it('says where an out to the cursor of a VGA comes from', () => {
    const out: Stop = { ...stop, rule: 'out', port: { number: 0x3d4, size: 1, direction: 'out' } };
    expect(kexec.advice(out, bzImage()).join()).toContain('80 columns and 25 lines');
    expect(kexec.advice(stop, bzImage()).join()).not.toContain('80 columns');
  });

  it('speaks of the subarch that a bzImage can carry, outside ring 0', () => {
    const entry = kexec.entryState(bzImage(), { ring: 1 });
    const lgdt = STOPS['privileged-instruction'];
    expect(kexec.advice(lgdt, bzImage(), entry).join()).toContain('--subarch');
    expect(kexec.advice(lgdt, vmlinux(), entry).join()).not.toContain('--subarch');
  });
});
