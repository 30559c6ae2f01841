import { describe, expect, it } from 'vitest';
import { pc } from '../../boot-protocols/pc/protocol.ts';
import { readKernelImage } from '../../src/kernel-image/index.ts';
import { buildBzImage } from '../support/bzimage-builder.ts';
import { bzImage, segment, vmlinux } from './images.ts';
import { bytesOf, general, protocolError, readPhysical32, regionNamed, selectors, viewOf } from './read.ts';

const MIB = 1024 * 1024;

/** Protocol 2.05, no LOADED_HIGH, linked for 0x1000; from bytes, as its place is what the reader makes of them. */
const zImage = () =>
  readKernelImage(
    buildBzImage({
      version: 0x0205,
      code: new Uint8Array(0x2000).fill(0xf4),
      fields: [
        [0x211, 1, 0],
        [0x214, 4, 0x1000],
      ],
    }),
    { name: 'zImage' },
  );

describe('pc: the CPU (boot.rst, 32-bit boot protocol; pm.c, pmjump.S)', () => {
  const entry = pc.entryState(vmlinux(), {});

  it('promises %esi, %ebp, %edi and %ebx; %eax, %ecx and %edx are as pmjump.S leaves them', () => {
    expect(general(entry)).toEqual({
      eax: '100000 unspecified',
      ecx: '0 unspecified',
      edx: '0 unspecified',
      ebx: '0',
      esp: 'dead0004 unspecified',
      ebp: '0',
      esi: '10000',
      edi: '0',
    });
    // `xor` of a register with itself: ZF and PF (SDM vol. 2, XOR); seen in QEMU, test/real/entry.
    expect(entry.eflags).toBe(0x46);
    expect(entry.eip).toBe(0x100000);
  });

  it('is in ring 0 with paging off', () => {
    expect(entry.ring).toBe(0);
    expect(entry.control).toEqual({ cr0: 0x11, cr2: 0, cr3: 0, cr4: 0, efer: 0 });
    expect(entry.paging).toEqual({ mode: 'off', mappings: [] });
    expect(entry.platform).toEqual({ hypervisor: 'none', hypercallVectors: [], cpuModel: 'i686' });
  });

  it('loads __BOOT_CS 0x10 and __BOOT_DS 0x18; FS and GS are not in the protocol', () => {
    expect(selectors(entry)).toEqual({
      cs: '10',
      ds: '18',
      es: '18',
      ss: '18',
      fs: '18 unspecified',
      gs: '18 unspecified',
    });
    expect(entry.segments.cs.descriptor).toMatchObject({
      base: 0,
      limit: 0xffffffff,
      type: 0xb,
      dpl: 0,
      big: true,
    });
    expect(entry.segments.ss.descriptor).toMatchObject({
      base: 0,
      limit: 0xffffffff,
      type: 0x3,
      dpl: 0,
      big: true,
    });
  });

  it('has its GDT in memory, with the descriptors of pm.c', () => {
    const gdt = viewOf(entry, 'loader GDT');
    expect(entry.gdtr).toEqual({ base: regionNamed(entry, 'loader GDT').start, limit: 0x27 });
    expect(gdt.getBigUint64(0x10, true)).toBe(0x00cf9b000000ffffn);
    expect(gdt.getBigUint64(0x18, true)).toBe(0x00cf93000000ffffn);
    // TSS: base 0x1000, limit 103, type 0x8b (ltr makes 0x89 busy).
    expect(gdt.getBigUint64(0x20, true)).toBe(0x00008b0010000067n);
    expect(regionNamed(entry, 'loader GDT').owner).toBe('loader');
  });

  it('has TR 0x20 with an empty TSS that has no I/O bitmap, no LDT and no IDT', () => {
    expect(entry.tr.selector).toBe(0x20);
    expect(entry.tr.descriptor).toMatchObject({
      base: 0x1000,
      limit: 103,
      type: 0xb,
      codeOrData: false,
      present: true,
    });
    expect(viewOf(entry, 'loader TSS').getUint16(0x66, true)).toBeGreaterThan(103);
    expect(entry.ldtr).toEqual({ selector: 0, descriptor: undefined });
    expect(entry.idtr).toEqual({ base: 0, limit: 0 });
  });
});

describe('pc: memory', () => {
  const entry = pc.entryState(vmlinux(), { memory: 32 * MIB });

  it('has the VGA window and the ROM between 640 KiB and 1 MiB', () => {
    expect(entry.banks.map(b => [b.start, b.size, b.kind])).toEqual([
      [0, 0xa0000, 'ram'],
      [0xa0000, 0x20000, 'ram'],
      [0xc0000, 0x40000, 'rom'],
      [0x100000, 31 * MIB, 'ram'],
    ]);
  });

  it('reads absent ROM as ones and the BIOS data area as zeros', () => {
    expect(new Set(bytesOf(entry, 'ROM'))).toEqual(new Set([0xff]));
    expect(regionNamed(entry, 'BIOS data area')).toMatchObject({
      start: 0,
      size: 0x500,
      owner: 'firmware',
      defined: true,
    });
    expect(new Set(bytesOf(entry, 'BIOS data area'))).toEqual(new Set([0]));
  });

  it('loads an ELF by p_paddr and fills it with zeros up to p_memsz', () => {
    const load = regionNamed(entry, 'LOAD 0');
    expect([load.start, load.size, load.owner, load.defined]).toEqual([0x100000, 0x1800, 'kernel', true]);
    expect(bytesOf(entry, 'LOAD 0').subarray(0, 4)).toEqual(Uint8Array.of(0xfc, 0xfa, 0xf4, 0));
  });

  it('has regions in address order that never overlap', () => {
    for (const [i, region] of entry.regions.entries()) {
      const next = entry.regions[i + 1];
      if (next) expect(region.start + region.size).toBeLessThanOrEqual(next.start);
    }
  });
});

describe('pc: boot_params', () => {
  it('has an e820 map with the hole below 1 MiB', () => {
    const params = viewOf(pc.entryState(vmlinux(), { memory: 64 * MIB }), 'boot_params');
    expect(params.byteLength).toBe(4096);
    expect(params.getUint8(0x1e8)).toBe(4);
    const e820 = [0, 1, 2, 3].map(i => [
      params.getBigUint64(0x2d0 + i * 20, true),
      params.getBigUint64(0x2d8 + i * 20, true),
      params.getUint32(0x2e0 + i * 20, true),
    ]);
    expect(e820).toEqual([
      [0n, 0x9fc00n, 1],
      [0x9fc00n, 0x400n, 2],
      [0xf0000n, 0x10000n, 2],
      [0x100000n, 0x3f00000n, 1],
    ]);
  });

  it('copies the header of a bzImage from 0x1f1 to its end, and nothing else', () => {
    const image = bzImage();
    const params = bytesOf(pc.entryState(image, {}), 'boot_params');
    expect(params[0x267]).toBe(0x5a);
    expect(params.subarray(0x268, 0x2d0)).toEqual(new Uint8Array(0x2d0 - 0x268));
    expect(params.subarray(0, 0x1e8)).toEqual(new Uint8Array(0x1e8));
    const view = new DataView(params.buffer);
    expect(view.getUint8(0x1ef)).toBe(0); // sentinel
    expect(view.getUint16(0x206, true)).toBe(0x20a);
    expect(view.getUint32(0x230, true)).toBe(0x200000);
    expect(view.getUint32(0x260, true)).toBe(0x5000);
  });

  it('writes loader 0xff, LOADED_HIGH and CAN_USE_HEAP, and no KEEP_SEGMENTS', () => {
    const params = viewOf(pc.entryState(bzImage({ loadflags: 0x41 }), {}), 'boot_params');
    expect(params.getUint8(0x210)).toBe(0xff);
    expect(params.getUint8(0x211)).toBe(0x81);
  });

  it('leaves LOADED_HIGH to the image, and sets it for a bare vmlinux', () => {
    const flags = (entry: ReturnType<typeof pc.entryState>) => viewOf(entry, 'boot_params').getUint8(0x211);
    expect(flags(pc.entryState(bzImage({ loadflags: 0, code32Start: 0x1000 }), {}))).toBe(0x80);
    expect(flags(pc.entryState(vmlinux(), {}))).toBe(0x81);
  });

  it('copies the header of the bzImage that a kernel proper came out of', () => {
    const { setup } = bzImage({ version: 0x020f, initrdAddrMax: 0x7fffff });
    const kernel = vmlinux({ container: { setup, size: 0, sha256: '', payload: 'xz' } });
    const entry = pc.entryState(kernel, { initrd: new Uint8Array(0x1000) });
    const params = viewOf(entry, 'boot_params');
    expect(params.getUint16(0x206, true)).toBe(0x20f);
    expect(params.getUint32(0x260, true)).toBe(0x5000);
    expect(params.getUint8(0x267)).toBe(0x5a);
    expect(regionNamed(entry, 'initrd').start).toBe(0x7ff000);
    expect(entry.eip).toBe(0x100000);
  });

  it('is described field by field, with who wrote it', () => {
    const entry = pc.entryState(bzImage({ kernelAlignment: 0x1000 }), { cmdline: 'quiet' });
    const [params] = entry.structures;
    expect(entry.structures.map(({ name, address, size }) => [name, address, size])).toEqual([
      ['boot_params', entry.registers.esi.value, 4096],
    ]);
    const field = (name: string) => params?.fields.find(field => field.name === name);
    expect(field('hdr.type_of_loader')).toEqual({
      name: 'hdr.type_of_loader',
      offset: 0x210,
      size: 1,
      as: 'number',
      by: 'loader',
      meaning: 'a loader without a number of its own',
      citation: 'Linux Documentation/x86/boot.rst, "type_of_loader"',
    });
    expect(field('hdr.kernel_alignment')).toMatchObject({ offset: 0x230, size: 4, by: 'image' });
    expect(field('hdr.loadflags')).toMatchObject({ by: 'loader', meaning: 'LOADED_HIGH, CAN_USE_HEAP' });
    expect(field('screen_info.orig_video_cols')).toMatchObject({ offset: 7, by: 'zero' });
    expect(field('sentinel')).toMatchObject({ offset: 0x1ef, by: 'zero' });
    expect(field('e820_table[3].type')).toMatchObject({ offset: 0x31c, by: 'loader', meaning: 'RAM' });
  });

  it('gives a bare vmlinux "HdrS" and version 2.06, as kexec does', () => {
    const params = viewOf(pc.entryState(vmlinux(), {}), 'boot_params');
    expect(params.getUint32(0x202, true)).toBe(0x53726448);
    expect(params.getUint16(0x1fe, true)).toBe(0xaa55);
    expect(params.getUint16(0x206, true)).toBe(0x206);
  });

  it('points at the command line', () => {
    const entry = pc.entryState(vmlinux(), { cmdline: 'console=ttyS0' });
    const line = regionNamed(entry, 'command line');
    expect(viewOf(entry, 'boot_params').getUint32(0x228, true)).toBe(line.start);
    expect(line.contents).toEqual(new TextEncoder().encode('console=ttyS0\0'));
  });

  it('points at the command line of a kernel before 2.02 through 0x90020 and 0x90022 (boot.rst)', () => {
    const image = bzImage({ version: 0x0201, cmdlineSize: 0 });
    const entry = pc.entryState(image, { cmdline: 'root' });
    const at = readPhysical32(entry);
    const word = at(0x90020) ?? 0;
    expect(word & 0xffff).toBe(0xa33f);
    const line = 0x90000 + (word >>> 16);
    expect(at(line)).toBe(0x746f6f72);
    expect(entry.registers.esi.value).toBe(0x90000);
    expect(at(0x90228)).toBe(0);
    const params = viewOf(pc.entryState(bzImage({ version: 0x0202 }), {}), 'boot_params');
    expect([params.getUint32(0x20, true), params.getUint32(0x228, true)]).toEqual([0, 0x20000]);
  });

  it('refuses a kernel before 2.02 that lies where its boot_params has to be', () => {
    const old = bzImage({ version: 0x0201, initSize: 0 }, 0x1000);
    const low = { ...old, segments: old.segments.map(s => ({ ...s, physical: 0x90000 })) };
    const error = protocolError(() => pc.entryState(low, {}));
    expect(error.code).toBe('no-room');
    expect(error.message).toContain('protocol 2.01');
  });

  it('puts the initrd on the last pages below the end of RAM', () => {
    const entry = pc.entryState(vmlinux(), { memory: 16 * MIB, initrd: new Uint8Array(0x1001).fill(7) });
    expect(regionNamed(entry, 'initrd')).toMatchObject({ start: 16 * MIB - 0x2000, size: 0x1001 });
    const params = viewOf(entry, 'boot_params');
    expect(params.getUint32(0x218, true)).toBe(16 * MIB - 0x2000);
    expect(params.getUint32(0x21c, true)).toBe(0x1001);
  });

  it('keeps the initrd below initrd_addr_max', () => {
    const entry = pc.entryState(bzImage({ initrdAddrMax: 0x7fffff }), { initrd: new Uint8Array(0x1000) });
    expect(regionNamed(entry, 'initrd').start).toBe(0x7ff000);
  });

  it('keeps the initrd out of the init_size area', () => {
    const image = bzImage({ initSize: 15 * MIB - 0x3000 });
    const entry = pc.entryState(image, { memory: 16 * MIB, initrd: new Uint8Array(0x3000) });
    expect(regionNamed(entry, 'initrd').start).toBe(16 * MIB - 0x3000);
    const error = protocolError(() =>
      pc.entryState(image, { memory: 16 * MIB, initrd: new Uint8Array(0x3001) }),
    );
    expect(error.code).toBe('initrd-too-big');
  });
});

describe('pc: where a bzImage loads', () => {
  it('loads at 1 MiB when it is not relocatable, and reserves init_size', () => {
    const entry = pc.entryState(bzImage(), {});
    expect(entry.eip).toBe(0x100000);
    expect(regionNamed(entry, 'protected-mode code')).toMatchObject({ start: 0x100000, size: 0x2000 });
    expect(regionNamed(entry, 'init_size area')).toMatchObject({
      start: 0x102000,
      size: 0x3000,
      owner: 'kernel',
      defined: false,
    });
  });

  it('loads at pref_address when it is relocatable, and says so in code32_start', () => {
    const entry = pc.entryState(bzImage({ relocatable: true, prefAddress: 0x1000000 }), {});
    expect(entry.eip).toBe(0x1000000);
    expect(viewOf(entry, 'boot_params').getUint32(0x214, true)).toBe(0x1000000);
  });

  it('puts a zImage where its setup code would have moved it, over the empty TSS', () => {
    const entry = pc.entryState(zImage(), {});
    expect(entry.eip).toBe(0x1000);
    expect(regionNamed(entry, 'protected-mode code')).toMatchObject({ start: 0x1000, size: 0x2000 });
    expect(entry.regions.some(region => region.name === 'loader TSS')).toBe(false);
    expect(entry.tr.descriptor).toMatchObject({ base: 0x1000, limit: 103 });
    expect(viewOf(entry, 'boot_params').getUint32(0x214, true)).toBe(0x1000);
  });

  it('reserves init_size where a kernel that is not relocatable runs: pref_address', () => {
    const entry = pc.entryState(bzImage({ prefAddress: 0x1000000, initSize: 0x100000 }), {});
    expect(entry.eip).toBe(0x100000);
    expect(regionNamed(entry, 'init_size area')).toMatchObject({ start: 0x1000000, size: 0x100000 });
  });

  it('lowers kernel_alignment down to min_alignment for a load address that needs it', () => {
    const image = bzImage({ relocatable: true, minAlignment: 13, kernelAlignment: 0x1000000 });
    const alignment = (loadAddress: number) =>
      viewOf(pc.entryState(image, { loadAddress }), 'boot_params').getUint32(0x230, true);
    expect(alignment(0x1000000)).toBe(0x1000000);
    expect(alignment(0x1200000)).toBe(0x200000);
    expect(alignment(0x1202000)).toBe(0x2000);
    const entry = pc.entryState(image, { loadAddress: 0x1202000 });
    expect(entry.eip).toBe(0x1202000);
    const error = protocolError(() => pc.entryState(image, { loadAddress: 0x1201000 }));
    expect([error.code, error.usage]).toEqual(['bad-alignment', true]);
    expect(error.message).toContain('min_alignment 0x00002000');
  });

  it('moves a relocatable kernel proper with its words, and refuses any other', () => {
    const { setup } = bzImage({ kernelAlignment: 0x100000 });
    const container = { setup, size: 0, sha256: '', payload: 'xz' } as const;
    // The word at 0xc0100004 is a virtual address of the kernel's own.
    const contents = Uint8Array.of(0x90, 0x90, 0x90, 0x90, 0x78, 0x56, 0x10, 0xc0);
    const segments = [segment('LOAD 0', 0x100000, 0xc0100000, contents, 0x1000)];
    const relocations = { words: Uint32Array.of(0xc0100004), linkedAt: 0x100000 };
    const entry = pc.entryState(vmlinux({ segments, container, relocations }), { loadAddress: 0x1000000 });
    expect(entry.eip).toBe(0x1000000);
    expect(readPhysical32(entry)(0x1000004)).toBe(0xc1005678);
    for (const [code, kernel, loadAddress] of [
      ['not-relocatable', vmlinux({ segments, container }), 0x1000000],
      ['bad-alignment', vmlinux({ segments, container, relocations }), 0x1010000],
      ['bad-knob', vmlinux({ segments }), 0x1000000],
    ] as const) {
      const error = protocolError(() => pc.entryState(kernel, { loadAddress }));
      expect([error.code, error.usage]).toEqual([code, true]);
    }
  });

  it('reserves init_size where a kernel that is loaded low moves to', () => {
    const image = bzImage({ relocatable: true, prefAddress: 0x1000000, initSize: 0x100000 });
    const entry = pc.entryState(image, { loadAddress: 0x200000 });
    expect(entry.eip).toBe(0x200000);
    expect(regionNamed(entry, 'init_size area')).toMatchObject({ start: 0x1000000, size: 0x100000 });
    expect(regionNamed(entry, 'init_size area of the load address')).toMatchObject({
      start: 0x202000,
      size: 0xfe000,
    });
  });

  it.each([
    ['not-relocatable', bzImage(), 0x200000],
    ['bad-alignment', bzImage({ relocatable: true }), 0x210000],
    ['bad-knob', vmlinux(), 0x200000],
  ])('refuses a load address: %s', (code, image, loadAddress) => {
    const error = protocolError(() => pc.entryState(image, { loadAddress }));
    expect([error.code, error.usage]).toEqual([code, true]);
    expect(error.message).toContain('--load-address is 0x002');
  });
});

describe('pc: what cannot be', () => {
  it('says how much memory an image needs and how much there is', () => {
    const error = protocolError(() => pc.entryState(bzImage({ initSize: 0x1000000 }), { memory: 8 * MIB }));
    expect([error.code, error.usage]).toEqual(['image-too-big', false]);
    expect(error.message).toContain('17825792 bytes');
    expect(error.message).toContain('8388608 bytes');
  });

  it('names both regions that overlap', () => {
    const low = vmlinux({ entry: 0, segments: [segment('LOAD 0', 0, 0, Uint8Array.of(0x90), 0x600)] });
    const error = protocolError(() => pc.entryState(low, {}));
    expect(error.code).toBe('region-overlap');
    expect(error.message).toContain('BIOS data area');
    expect(pc.canStart(low)).toMatchObject({ ok: false, code: 'region-overlap' });
  });

  it('refuses an image in the VGA window', () => {
    const error = protocolError(() =>
      pc.entryState(
        vmlinux({ segments: [segment('LOAD 0', 0xf0000, 0xf0000, Uint8Array.of(0x90), 0x20000)] }),
        {},
      ),
    );
    expect(error.code).toBe('outside-memory');
  });

  it('moves boot_params out of the way of an image in low memory', () => {
    const entry = pc.entryState(
      vmlinux({
        entry: 0x10000,
        segments: [segment('LOAD 0', 0x10000, 0x10000, Uint8Array.of(0x90), 0x5001)],
      }),
      {},
    );
    expect(entry.registers.esi.value).toBe(0x16000);
  });

  it('needs more than 1 MiB', () => {
    expect(protocolError(() => pc.entryState(vmlinux(), { memory: MIB }))).toMatchObject({
      code: 'bad-knob',
      usage: true,
    });
  });

  it('refuses a command line longer than cmdline_size', () => {
    const image = bzImage({ cmdlineSize: 255 });
    expect(() => pc.entryState(image, { cmdline: 'x'.repeat(255) })).not.toThrow();
    const error = protocolError(() => pc.entryState(image, { cmdline: 'x'.repeat(256) }));
    expect([error.code, error.usage]).toEqual(['cmdline-too-long', true]);
  });
});

describe('pc with knobs', () => {
  it('--ring 1: the same selector indices with RPL and DPL 1', () => {
    const entry = pc.entryState(vmlinux(), { ring: 1 });
    expect(selectors(entry)).toMatchObject({ cs: '11', ss: '19', ds: '19', es: '19' });
    expect(entry.segments.ss.descriptor?.dpl).toBe(1);
    expect(viewOf(entry, 'loader GDT').getBigUint64(0x10, true)).toBe(0x00cfbb000000ffffn);
    expect(viewOf(entry, 'loader GDT').getBigUint64(0x18, true)).toBe(0x00cfb3000000ffffn);
    expect(entry.platform.hypervisor).toBe('generic');
  });

  it('--paging on: 1:1 over RAM, VGA memory and ROM, tables outside RAM', () => {
    const entry = pc.entryState(vmlinux(), { paging: '32-bit', memory: 4 * MIB });
    expect(entry.control.cr0).toBe(0x80000011);
    expect(entry.paging.mappings.map(m => [m.linear, m.size, m.writable])).toEqual([
      [0, 0xa0000, true],
      [0xa0000, 0x20000, true],
      [0xc0000, 0x40000, false],
      [0x100000, 3 * MIB, true],
    ]);
    expect(regionNamed(entry, 'loader page tables').start).toBe(entry.control.cr3);
  });

  it('--gdt none: segments are loaded, and there is no table to load them from', () => {
    const entry = pc.entryState(vmlinux(), { gdt: 'none' });
    expect(entry.gdtr).toEqual({ base: 0, limit: 0 });
    expect(selectors(entry)).toMatchObject({ cs: '10', ss: '18' });
  });

  it('--subarch and --keep-segments raise the version that carries them', () => {
    const params = viewOf(pc.entryState(vmlinux(), { subarch: 1, keepSegments: true }), 'boot_params');
    expect(params.getUint16(0x206, true)).toBe(0x207);
    expect(params.getUint32(0x23c, true)).toBe(1);
    expect(params.getUint8(0x211) & 0x40).toBe(0x40);
  });
});
