/** The proposal of 2007: boot_params in %esi, hardware_subarch 2, a pointer to start_info at 0x240; paging on, ring 1. */
import { describe, expect, it } from 'vitest';
import { xenStartup32 } from '../../boot-protocols/xen-startup32/protocol.ts';
import { Machine } from '../../emulator/machine.ts';
import { walk } from '../../emulator/paging.ts';
import { describeEachEngine } from '../support/engines.ts';
import { bzImage, segment, vmlinux } from './images.ts';
import { bytesOf, general, protocolError, readPhysical32, regionNamed, selectors, viewOf } from './read.ts';

const MIB = 2 ** 20;

describe('xen-startup32: the CPU', () => {
  const entry = xenStartup32.entryState(bzImage(), {});

  it('has %esi = boot_params and a stack; all else is zero, %ebp %edi %ebx among it', () => {
    expect(general(entry)).toEqual({
      eax: '0',
      ecx: '0',
      edx: '0',
      ebx: '0',
      ebp: '0',
      edi: '0',
      esi: regionNamed(entry, 'boot_params').start.toString(16),
      esp: (regionNamed(entry, 'boot stack').start + 0x1000).toString(16),
    });
    expect(entry.eip).toBe(0x100000);
  });

  it('is in ring 1 with Xen’s segments and PAE paging on', () => {
    expect(entry.ring).toBe(1);
    expect(selectors(entry)).toEqual({
      cs: 'e019',
      ds: 'e021',
      es: 'e021',
      fs: 'e021',
      gs: 'e021',
      ss: 'e021',
    });
    expect(entry.control.cr0).toBe(0x80050033);
    expect(entry.control.cr4 & 0x20).toBe(0x20);
    expect(entry.eflags).toBe(0x202);
  });

  it('takes hypercalls by int $0x82; there is no note to name a hypercall page', () => {
    expect(entry.platform).toMatchObject({ hypervisor: 'xen', hypercallVectors: [0x82] });
    expect(entry.platform.hypercallPage).toBeUndefined();
  });
});

describe('xen-startup32: boot_params (boot.rst, protocol 2.07)', () => {
  const entry = xenStartup32.entryState(bzImage(), {
    cmdline: 'root=/dev/xvda',
    initrd: new Uint8Array(0x1801).fill(3),
  });
  const params = viewOf(entry, 'boot_params');

  it('says loader 0x90, KEEP_SEGMENTS, subarch 2, and where start_info is', () => {
    expect(params.getUint8(0x210)).toBe(0x90);
    expect(params.getUint8(0x211) & 0x40).toBe(0x40);
    expect(params.getUint32(0x23c, true)).toBe(2);
    expect(params.getBigUint64(0x240, true)).toBe(BigInt(regionNamed(entry, 'start_info').start));
    expect(params.getUint16(0x206, true)).toBe(0x20a);
  });

  it('has command line, initrd and memory map like any boot_params, and start_info has the first two as well', () => {
    const initrd = regionNamed(entry, 'initrd');
    expect([params.getUint32(0x218, true), params.getUint32(0x21c, true)]).toEqual([initrd.start, 0x1801]);
    expect(params.getUint32(0x228, true)).toBe(regionNamed(entry, 'command line').start);
    expect(params.getUint8(0x1e8)).toBe(1);
    expect([params.getBigUint64(0x2d0, true), params.getBigUint64(0x2d8, true)]).toEqual([
      0n,
      64n * 0x100000n,
    ]);
    const info = viewOf(entry, 'start_info');
    expect([info.getUint32(0x48, true), info.getUint32(0x4c, true)]).toEqual([initrd.start, 0x1801]);
    expect(new TextDecoder().decode(bytesOf(entry, 'start_info').subarray(0x50, 0x5f))).toBe(
      'root=/dev/xvda\0',
    );
  });

  it('is described field by field, start_info and shared_info behind it', () => {
    expect(entry.structures.map(({ name }) => name)).toEqual(['boot_params', 'start_info', 'shared_info']);
    const field = (name: string) => entry.structures[0]?.fields.find(each => each.name === name);
    expect(field('hdr.hardware_subarch_data')).toMatchObject({ offset: 0x240, size: 8, by: 'loader' });
    expect(field('hdr.type_of_loader')).toMatchObject({ by: 'loader', meaning: 'Xen, version 0' });
  });

  it('of a bare vmlinux shows 2.07', () => {
    const bare = viewOf(xenStartup32.entryState(vmlinux(), {}), 'boot_params');
    expect(bare.getUint16(0x206, true)).toBe(0x207);
    expect(bare.getUint32(0x202, true)).toBe(0x53726448);
  });

  it('without subarch 2 has no pointer', () => {
    const plain = viewOf(xenStartup32.entryState(bzImage(), { subarch: 0 }), 'boot_params');
    expect(plain.getBigUint64(0x240, true)).toBe(0n);
  });
});

describe('xen-startup32: memory', () => {
  const entry = xenStartup32.entryState(bzImage(), {});
  const at = (linear: number) => walk(linear, entry.control, readPhysical32(entry));

  it('is mapped 1:1 to the last page, page tables read-only', () => {
    expect(at(0)).toMatchObject({ physical: 0, writable: true, user: false });
    expect(at(64 * MIB - 1)).toMatchObject({ physical: 64 * MIB - 1, writable: true });
    expect(at(64 * MIB).physical).toBeUndefined();
    const tables = regionNamed(entry, 'page tables');
    expect(at(tables.start)).toMatchObject({ physical: tables.start, writable: false });
    expect(at(tables.start + tables.size - 1)).toMatchObject({ writable: false });
    expect(at(tables.start + tables.size)).toMatchObject({ writable: true });
  });

  it('has the machine-to-phys table at 0xf5800000, read-only, and shared_info nowhere', () => {
    expect(at(0xf5800000)).toMatchObject({ physical: 0xf5800000, writable: false });
    expect(at(regionNamed(entry, 'shared_info').start).physical).toBeUndefined();
    const p2m = viewOf(entry, 'phys-to-machine list');
    expect([p2m.getUint32(0, true), p2m.getUint32(4 * 0x123, true)]).toEqual([0, 0x123]);
  });

  it('begins Xen’s part behind what the image reserves', () => {
    // init_size is 0x5000 from 1 MiB on.
    expect(regionNamed(entry, 'phys-to-machine list').start).toBe(0x105000);
  });

  it('with --paging on ends at the hole of a Xen without PAE, 0xfc000000', () => {
    const legacy = xenStartup32.entryState(bzImage(), { paging: '32-bit', xenHost: 32 });
    expect(legacy.control.cr4 & 0x20).toBe(0);
    expect(legacy.segments.ds.descriptor?.limit).toBe(0xfc3fffff);
    expect(walk(0xfc000000, legacy.control, readPhysical32(legacy))).toMatchObject({ writable: false });
  });

  it('with --paging off has no tables, and PG is 0', () => {
    const off = xenStartup32.entryState(bzImage(), { paging: 'off' });
    expect([off.control.cr0 >>> 31, off.control.cr3]).toEqual([0, 0]);
    expect(off.regions.map(({ name }) => name)).not.toContain('page tables');
  });
});

describe('xen-startup32: what cannot be started', () => {
  it('an image for which there is no memory', () => {
    expect(protocolError(() => xenStartup32.entryState(bzImage(), { memory: MIB })).code).toBe(
      'image-too-big',
    );
    const tight = protocolError(() => xenStartup32.entryState(bzImage(), { memory: MIB + 0x8000 }));
    expect(tight.code).toBe('image-too-big');
    expect(tight.message).toContain('start-of-day');
  });

  it('a command line that start_info has no room for', () => {
    expect(protocolError(() => xenStartup32.entryState(vmlinux(), { cmdline: 'x'.repeat(1024) })).code).toBe(
      'cmdline-too-long',
    );
  });
});

describeEachEngine('xen-startup32: a run', engine => {
  /** Follows %esi: subarch, then start_info, then its magic; and asks Xen for its version. */
  const probe = Uint8Array.of(
    ...[0x8b, 0x86, 0x3c, 0x02, 0x00, 0x00], // mov 0x23c(%esi),%eax
    ...[0x8b, 0x9e, 0x40, 0x02, 0x00, 0x00], // mov 0x240(%esi),%ebx
    ...[0x8b, 0x0b], // mov (%ebx),%ecx
    ...[0xb8, 17, 0, 0, 0], // mov $17,%eax
    ...[0xcd, 0x82], // int $0x82
  );
  const image = vmlinux({ segments: [segment('LOAD 0', 0x100000, 0xc0100000, probe, 0x1000)] });

  for (const options of [{}, { xenHost: 32 }, { paging: '32-bit' }, { paging: 'off' }] as const) {
    it(`reaches its first hypercall with ${JSON.stringify(options)}`, async () => {
      const entry = xenStartup32.entryState(image, options);
      using machine = Machine.open(await engine.load(), entry);
      const stop = machine.run();
      expect(stop).toMatchObject({
        kind: 'hypercall',
        via: 'int',
        vector: 0x82,
        number: 17,
        instructions: 4,
      });
      // "xen-" at the start of start_info.
      expect(stop.cpu.registers.ecx).toBe(0x2d6e6578);
    });
  }

  it('stops at cli, and says what KEEP_SEGMENTS is for', async () => {
    const entry = xenStartup32.entryState(vmlinux(), { keepSegments: false });
    using machine = Machine.open(await engine.load(), entry);
    const stop = machine.run();
    expect(stop).toMatchObject({ kind: 'iopl-sensitive-instruction', rule: 'cli' });
    expect(xenStartup32.advice(stop, vmlinux(), entry).join()).toContain('--keep-segments 1');
  });
});
