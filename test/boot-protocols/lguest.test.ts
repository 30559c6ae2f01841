import { describe, expect, it } from 'vitest';
import { lguest } from '../../boot-protocols/lguest/protocol.ts';
import { walk } from '../../emulator/paging.ts';
import { bzImage, segment, vmlinux } from './images.ts';
import { bytesOf, general, protocolError, readPhysical32, regionNamed, selectors, viewOf } from './read.ts';

const MIB = 1024 * 1024;

describe('lguest: the CPU (Linux 4.13 drivers/lguest/x86/core.c, lguest_arch_setup_regs)', () => {
  const entry = lguest.entryState(vmlinux(), {});

  it('is in ring 1 with every general register zero: boot_params is at 0', () => {
    expect(entry.ring).toBe(1);
    expect(general(entry)).toEqual({
      eax: '0',
      ecx: '0',
      edx: '0',
      ebx: '0',
      esp: '0',
      ebp: '0',
      esi: '0',
      edi: '0',
    });
    expect(entry.registers.esi.meaning).toBe('boot_params (physical)');
    expect(entry.eflags).toBe(0x202);
    expect(entry.eip).toBe(0x100000);
  });

  it('has CS 0x61, DS, ES and SS 0x69, FS and GS null', () => {
    expect(selectors(entry)).toEqual({ cs: '61', ds: '69', es: '69', ss: '69', fs: '0', gs: '0' });
    expect(entry.segments.fs.descriptor).toBeUndefined();
    expect(entry.segments.cs.descriptor).toMatchObject({ base: 0, limit: 0xffffffff, dpl: 1 });
  });

  it('has a GDT of 32 entries outside guest memory: 12 and 13 for ring 1, 10 and 11 the host’s', () => {
    const gdt = regionNamed(entry, 'lguest host GDT');
    const view = viewOf(entry, 'lguest host GDT');
    expect(entry.gdtr).toEqual({ base: gdt.start, limit: 0xff });
    expect(gdt.start).toBeGreaterThanOrEqual(64 * MIB);
    expect(gdt).toMatchObject({ owner: 'loader', guarded: true });
    const entries = Array.from({ length: 32 }, (_, i) => view.getBigUint64(i * 8, true));
    expect(entries[10]).toBe(0x00cf9b000000ffffn);
    expect(entries[11]).toBe(0x00cf93000000ffffn);
    expect(entries[12]).toBe(0x00cfbb000000ffffn);
    expect(entries[13]).toBe(0x00cfb3000000ffffn);
    expect(entries.filter(e => e !== 0n)).toHaveLength(4);
  });

  it('takes hypercalls by int $0x1f', () => {
    expect(entry.platform).toEqual({ hypervisor: 'lguest', hypercallVectors: [0x1f], cpuModel: 'i686-hv' });
  });
});

describe('lguest: paging', () => {
  const entry = lguest.entryState(vmlinux(), { memory: 16 * MIB });
  const at = (linear: number) => walk(linear, entry.control, readPhysical32(entry));

  it('is on', () => {
    expect(entry.control.cr0).toBe(0x80050033);
    expect(entry.control.cr4).toBe(0);
  });

  it('maps all of guest memory 1:1 for every ring, and nothing behind it', () => {
    for (const linear of [0, 0x1000, 0x100000, 16 * MIB - 1]) {
      expect(at(linear)).toMatchObject({ physical: linear, writable: true, user: true });
    }
    expect(at(16 * MIB).physical).toBeUndefined();
  });

  it('maps the host’s GDT for the CPU only, and its page tables not at all', () => {
    expect(at(entry.gdtr.base)).toMatchObject({ physical: entry.gdtr.base, user: false });
    const tables = regionNamed(entry, 'lguest host page tables');
    expect(tables).toMatchObject({ start: entry.control.cr3, owner: 'loader' });
    expect(at(tables.start).physical).toBeUndefined();
  });

  it('has room for the tables of the largest memory, in either format', () => {
    for (const paging of ['32-bit', 'pae'] as const) {
      const large = lguest.entryState(vmlinux(), { memory: 0xc0000000, paging });
      const host = large.banks.at(-1);
      expect((host?.start ?? 0) + (host?.size ?? 0)).toBeLessThanOrEqual(2 ** 32);
    }
  });
});

describe('lguest: boot_params (Linux 4.13 tools/lguest/lguest.c)', () => {
  it('holds e820, command line, version 2.07, subarch 1, KEEP_SEGMENTS, alignment, and nothing else', () => {
    const bytes = bytesOf(
      lguest.entryState(vmlinux(), { memory: 32 * MIB, cmdline: 'root=/dev/vda' }),
      'boot_params',
    );
    const expected = new Uint8Array(4096);
    const view = new DataView(expected.buffer);
    view.setUint8(0x1e8, 1);
    view.setUint16(0x206, 0x207, true);
    view.setUint8(0x211, 0x40);
    view.setUint32(0x228, 0x1000, true);
    view.setUint32(0x230, 0x1000000, true);
    view.setUint32(0x23c, 1, true);
    view.setBigUint64(0x2d8, BigInt(32 * MIB), true);
    view.setUint32(0x2e0, 1, true);
    expect(bytes).toEqual(expected);
  });

  it('puts the command line at 0x1000', () => {
    const line = regionNamed(lguest.entryState(vmlinux(), { cmdline: 'quiet' }), 'command line');
    expect([line.start, line.contents]).toEqual([0x1000, new TextEncoder().encode('quiet\0')]);
  });

  it('puts the initrd at the top of memory, and only then names a loader', () => {
    const entry = lguest.entryState(vmlinux(), { memory: 16 * MIB, initrd: new Uint8Array(0x2345) });
    const params = viewOf(entry, 'boot_params');
    expect(regionNamed(entry, 'initrd')).toMatchObject({ start: 16 * MIB - 0x3000, size: 0x2345 });
    expect(params.getUint32(0x218, true)).toBe(16 * MIB - 0x3000);
    // load_initrd returns the size in whole pages, and main stores that.
    expect(params.getUint32(0x21c, true)).toBe(0x3000);
    expect(params.getUint8(0x210)).toBe(0xff);
  });

  it('does not copy the header of a bzImage', () => {
    const params = viewOf(lguest.entryState(bzImage(), {}), 'boot_params');
    expect(params.getUint32(0x202, true)).toBe(0);
    expect(params.getUint32(0x260, true)).toBe(0);
    expect(params.getUint8(0x267)).toBe(0);
  });
});

describe('lguest: images', () => {
  it('loads every bzImage at 1 MiB and starts it at code32_start', () => {
    const entry = lguest.entryState(bzImage({ relocatable: true, prefAddress: 0x1000000 }), {});
    expect(regionNamed(entry, 'protected-mode code').start).toBe(0x100000);
    expect(entry.eip).toBe(0x100000);
  });

  it('takes no ET_DYN', () => {
    expect(lguest.canStart(vmlinux({ type: 'ET_DYN' }))).toMatchObject({ ok: false, code: 'elf-type' });
  });

  it('takes no image that lies over boot_params', () => {
    const low = vmlinux({ entry: 0, segments: [segment('LOAD 0', 0, 0, Uint8Array.of(0x90), 0x100)] });
    expect(lguest.canStart(low)).toMatchObject({ ok: false, code: 'region-overlap' });
  });

  it('has the initrd at the end of memory, as large as the kernel leaves room for', () => {
    const room = 16 * MIB - 0x102000;
    const start = (size: number) =>
      lguest.entryState(bzImage(), { memory: 16 * MIB, initrd: new Uint8Array(size) });
    expect(regionNamed(start(room), 'initrd')).toMatchObject({ start: 0x102000, size: room });
    for (const size of [room + 1, 16 * MIB, 17 * MIB]) {
      const error = protocolError(() => start(size));
      expect([error.code, error.usage]).toEqual(['initrd-too-big', false]);
      expect(error.message).toBe(
        `the initrd is ${size} bytes long; at most ${room} fit between 0x00102000, where kernel and command line end, and 0x01000000, where --memory ends`,
      );
    }
  });

  it('has no --load-address', () => {
    const error = protocolError(() => lguest.entryState(bzImage(), { loadAddress: 0x200000 }));
    expect([error.code, error.usage]).toEqual(['unknown-knob', true]);
    expect(error.message).toContain('--load-address');
    expect(error.message).toContain('--ring');
  });
});

describe('lguest with knobs', () => {
  it('--ring 3: 0x63 and 0x6b with DPL 3', () => {
    const entry = lguest.entryState(vmlinux(), { ring: 3 });
    expect(selectors(entry)).toMatchObject({ cs: '63', ss: '6b' });
    expect(viewOf(entry, 'lguest host GDT').getBigUint64(12 * 8, true)).toBe(0x00cffb000000ffffn);
  });

  it('--paging off', () => {
    const entry = lguest.entryState(vmlinux(), { paging: 'off' });
    expect(entry.control).toMatchObject({ cr0: 0x00050033, cr3: 0 });
    expect(entry.paging.mappings).toEqual([]);
  });

  it('--keep-segments 0 --subarch 0', () => {
    const params = viewOf(lguest.entryState(vmlinux(), { keepSegments: false, subarch: 0 }), 'boot_params');
    expect(params.getUint8(0x211)).toBe(0);
    expect(params.getUint32(0x23c, true)).toBe(0);
  });
});

it('names hypercalls by lguest_hcall.h', () => {
  expect(lguest.hypercallName?.(1)).toBe('LHCALL_LGUEST_INIT');
  expect(lguest.hypercallName?.(4)).toBe('LHCALL_NEW_PGTABLE');
  expect(lguest.hypercallName?.(11)).toBeUndefined();
});
