import { describe, expect, it } from 'vitest';
import { contract } from '../../boot-protocols/contract/protocol.ts';
import type { Ring } from '../../emulator/cpu-state.ts';
import { walk } from '../../emulator/paging.ts';
import { bzImage, vmlinux } from './images.ts';
import { general, readPhysical32, regionNamed, selectors, viewOf } from './read.ts';

const MIB = 1024 * 1024;

describe('contract: what is promised and nothing else', () => {
  const entry = contract.entryState(vmlinux(), {});

  it('is %esi = boot_params and %ebp = %edi = %ebx = 0 (boot.rst, 32-bit boot protocol)', () => {
    expect(general(entry)).toEqual({
      eax: 'dead0000 unspecified',
      ecx: 'dead0001 unspecified',
      edx: 'dead0002 unspecified',
      ebx: '0',
      esp: 'dead0004 unspecified',
      ebp: '0',
      esi: '10000',
      edi: '0',
    });
    expect(entry.registers.ebx.meaning).toBeUndefined();
    expect(entry.eflags).toBe(0x2);
  });

  it('is flat CS, DS, SS and ES in ring 1; FS and GS hold nothing', () => {
    expect(entry.ring).toBe(1);
    expect(selectors(entry)).toEqual({
      cs: '11',
      ds: '19',
      es: '19',
      ss: '19',
      fs: '0 unspecified',
      gs: '0 unspecified',
    });
  });

  it('has no promise for the registers that boot.rst does not name', () => {
    const promised = Object.entries(entry.registers).filter(([, register]) => register.promised);
    expect(promised.map(([name]) => name).sort()).toEqual(['ebp', 'ebx', 'edi', 'esi']);
    const segments = Object.entries(entry.segments).filter(([, segment]) => segment.promised);
    expect(segments.map(([name]) => name).sort()).toEqual(['cs', 'ds', 'es', 'ss']);
  });

  it('says who the loader is not: 0xff, for "paravirtualized" never got a number', () => {
    const field = entry.structures[0]?.fields.find(({ name }) => name === 'hdr.type_of_loader');
    expect(field).toMatchObject({ by: 'loader', meaning: 'a loader without a number of its own' });
  });

  it('is no GDT, no IDT and no page tables', () => {
    expect(entry.gdtr).toEqual({ base: 0, limit: 0 });
    expect(entry.idtr).toEqual({ base: 0, limit: 0 });
    expect(entry.paging).toEqual({ mode: 'off', mappings: [] });
    expect(entry.banks).toHaveLength(1);
  });

  it('is boot protocol 2.07 with KEEP_SEGMENTS', () => {
    const params = viewOf(entry, 'boot_params');
    expect(params.getUint32(0x202, true)).toBe(0x53726448);
    expect(params.getUint16(0x206, true)).toBe(0x207);
    expect(params.getUint8(0x210)).toBe(0xff);
    expect(params.getUint8(0x211) & 0x40).toBe(0x40);
    expect(params.getUint32(0x23c, true)).toBe(0);
    expect(params.getUint8(0x1e8)).toBe(1);
  });
});

describe('contract: versions', () => {
  it.each([
    [0x0206, 0x0207],
    [0x0207, 0x0207],
    [0x020f, 0x020f],
  ])('a bzImage of version %i shows %i', (own, shown) => {
    const entry = contract.entryState(bzImage({ version: own }), {});
    expect(viewOf(entry, 'boot_params').getUint16(0x206, true)).toBe(shown);
  });
});

describe('contract --paging: exactly what is handed over is mapped', () => {
  it.each(['32-bit', 'pae'] as const)('%s', paging => {
    const entry = contract.entryState(vmlinux(), {
      paging,
      gdt: 'flat',
      initrd: new Uint8Array(0x1800),
      cmdline: 'x',
    });
    const pages = entry.paging.mappings.map(m => [m.name, m.linear, m.size, m.user]);
    expect(pages).toEqual([
      ['boot_params', 0x10000, 0x1000, true],
      ['command line', 0x20000, 0x1000, true],
      ['LOAD 0', 0x100000, 0x2000, true],
      ['LOAD 1', 0x102000, 0x3000, true],
      ['initrd', 64 * MIB - 0x2000, 0x2000, true],
      ['loader GDT', entry.gdtr.base, 0x1000, false],
    ]);
    const at = (linear: number) => walk(linear, entry.control, readPhysical32(entry));
    for (const [, linear, size] of pages) {
      const last = Number(linear) + Number(size) - 1;
      expect(at(last).physical).toBe(last);
    }
    for (const linear of [0, 0xf000, 0x11000, 0xff000, 0x105000, 64 * MIB, entry.control.cr3]) {
      expect(at(linear).physical).toBeUndefined();
    }
  });

  it('maps a bzImage from its load address to init_size, and where it will run', () => {
    const image = bzImage({ relocatable: true, prefAddress: 0x1000000, initSize: 0x5000 });
    const entry = contract.entryState(image, { paging: '32-bit', loadAddress: 0x200000 });
    expect(entry.paging.mappings.map(m => [m.linear, m.size]).slice(2)).toEqual([
      [0x200000, 0x5000],
      [0x1000000, 0x5000],
    ]);
  });

  it('lists its page tables as the loader’s', () => {
    const entry = contract.entryState(vmlinux(), { paging: '32-bit' });
    expect(regionNamed(entry, 'loader page tables')).toMatchObject({
      start: entry.control.cr3,
      owner: 'loader',
    });
  });
});

describe('contract: knobs', () => {
  it.each([0, 1, 2, 3] as const)('--ring %i: RPL and DPL are the ring', (ring: Ring) => {
    const entry = contract.entryState(vmlinux(), { ring, gdt: 'flat' });
    expect(selectors(entry)).toMatchObject({
      cs: (0x10 | ring).toString(16),
      ss: (0x18 | ring).toString(16),
    });
    const gdt = viewOf(entry, 'loader GDT');
    expect((gdt.getUint32(0x14, true) >>> 13) & 3).toBe(ring);
    expect((gdt.getUint32(0x1c, true) >>> 13) & 3).toBe(ring);
    expect(entry.platform.hypervisor).toBe(ring === 0 ? 'none' : 'generic');
  });

  it('--gdt flat: 0x10 and 0x18 in a table of four entries', () => {
    const entry = contract.entryState(vmlinux(), { gdt: 'flat' });
    expect(entry.gdtr.limit).toBe(0x1f);
    expect(viewOf(entry, 'loader GDT').getBigUint64(0x10, true)).toBe(0x00cfbb000000ffffn);
    expect(viewOf(entry, 'loader GDT').getBigUint64(0x18, true)).toBe(0x00cfb3000000ffffn);
  });

  it('are written down in a fixed order, as the command line spells them', () => {
    const entry = contract.entryState(bzImage({ relocatable: true }), {
      subarch: 2,
      keepSegments: false,
      gdt: 'flat',
      paging: '32-bit',
      ring: 3,
      loadAddress: 0x400000,
      cmdline: 'quiet',
      memory: 32 * MIB,
      poison: true,
    });
    expect(Object.entries(entry.knobs)).toEqual([
      ['memory', '32M'],
      ['cmdline', 'quiet'],
      ['load-address', '0x400000'],
      ['ring', '3'],
      ['paging', 'on'],
      ['gdt', 'flat'],
      ['keep-segments', '0'],
      ['subarch', '2'],
      ['poison', 'on'],
      ['cpu', 'i686-hv'],
    ]);
    expect(entry.poison).toBe(true);
  });
});
