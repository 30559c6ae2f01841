import { describe, expect, it } from 'vitest';
import type { BootOptions } from '../../boot-protocols/protocol.ts';
import { pvh } from '../../boot-protocols/pvh/protocol.ts';
import type { ElfImage } from '../../src/kernel-image/kernel-image.ts';
import { bzImage, vmlinux } from './images.ts';
import { bytesOf, general, protocolError, regionNamed, selectors, viewOf } from './read.ts';

const MIB = 1024 * 1024;
/** XEN_ELFNOTE_PHYS32_ENTRY of xen/include/public/elfnote.h. */
const PHYS32_ENTRY = 18;

const kernel = (entry = 0x100001): ElfImage =>
  vmlinux({
    notes: [
      {
        owner: 'Xen',
        type: PHYS32_ENTRY,
        description: new Uint8Array(Uint32Array.of(entry).buffer),
        offset: 0,
      },
    ],
  });

const start = (options: BootOptions = {}) => pvh.entryState(kernel(), options);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

describe('pvh: the CPU (Xen 4.14 tools/libxc/xc_dom_x86.c, vcpu_hvm; docs/misc/pvh.pandoc)', () => {
  const entry = start();

  it('promises %ebx = hvm_start_info and no other general register', () => {
    const startInfo = regionNamed(entry, 'hvm_start_info').start.toString(16);
    expect(general(entry)).toEqual({
      eax: 'dead0000 unspecified',
      ecx: 'dead0001 unspecified',
      edx: 'dead0002 unspecified',
      ebx: startInfo,
      esp: 'dead0004 unspecified',
      ebp: 'dead0005 unspecified',
      esi: 'dead0006 unspecified',
      edi: 'dead0007 unspecified',
    });
    expect(entry.eip).toBe(0x100001);
    expect(entry.eflags).toBe(2);
  });

  it('has flat hidden parts behind selectors of 0, and nothing in FS and GS', () => {
    expect(selectors(entry)).toEqual({
      cs: '0',
      ds: '0',
      es: '0',
      ss: '0',
      fs: '0 unspecified',
      gs: '0 unspecified',
    });
    const { cs, ss, fs } = entry.segments;
    expect(cs.descriptor).toMatchObject({ base: 0, limit: 0xffffffff, type: 0xb, dpl: 0, big: true });
    expect(ss.descriptor).toMatchObject({ base: 0, limit: 0xffffffff, type: 0x3, dpl: 0, big: true });
    expect(fs.descriptor).toBeUndefined();
    expect(entry.tr).toMatchObject({ selector: 0, descriptor: { base: 0, limit: 0x67, type: 0xb } });
    expect(entry.gdtr).toEqual({ base: 0, limit: 0 });
  });

  it('is in protected mode with paging off and CR4 0', () => {
    expect(entry.control).toEqual({ cr0: 0x11, cr2: 0, cr3: 0, cr4: 0, efer: 0 });
    expect(entry.ring).toBe(0);
  });

  it('fills the hypercall page by MSR 0x40000000: mov $n,%eax; vmcall; ret', () => {
    const { hypercallMsr } = entry.platform;
    expect(hypercallMsr?.index).toBe(0x40000000);
    expect(hypercallMsr?.page.subarray(12 * 32, 12 * 32 + 9)).toEqual(
      Uint8Array.of(0xb8, 12, 0, 0, 0, 0x0f, 0x01, 0xc1, 0xc3),
    );
    // HYPERVISOR_iret: ud2.
    expect(hypercallMsr?.page.subarray(23 * 32, 23 * 32 + 2)).toEqual(Uint8Array.of(0x0f, 0x0b));
  });
});

describe('pvh: hvm_start_info (public/arch-x86/hvm/start_info.h; bootlate_hvm)', () => {
  it('stands in the first page behind the kernel, and has a memory map and nothing else', () => {
    const entry = start();
    const region = regionNamed(entry, 'hvm_start_info');
    expect(region.start).toBe(0x105000);
    const view = viewOf(entry, 'hvm_start_info');
    expect(view.getUint32(0, true)).toBe(0x336ec578);
    expect(view.getUint32(4, true)).toBe(1);
    expect(view.getUint32(8, true)).toBe(0);
    expect(view.getUint32(0xc, true)).toBe(0);
    expect([0x10, 0x18, 0x20].map(at => view.getBigUint64(at, true))).toEqual([0n, 0n, 0n]);
    expect(view.getUint32(0x30, true)).toBe(2);
    const map = Number(view.getBigUint64(0x28, true)) - region.start;
    expect([0, 8].map(at => view.getBigUint64(map + at, true))).toEqual([0n, BigInt(64 * MIB)]);
    expect(view.getUint32(map + 16, true)).toBe(1);
    // libxl: eight pages that end at frame 0xff000.
    expect([24, 32].map(at => view.getBigUint64(map + at, true))).toEqual([0xfeff8000n, 0x8000n]);
    expect(view.getUint32(map + 40, true)).toBe(2);
  });

  it('lists the initrd first, then the modules with their command lines, each in pages of its own', () => {
    const entry = start({
      cmdline: 'console=hvc0',
      initrd: text('initrd'),
      modules: [
        { name: 'a', contents: new Uint8Array(4097).fill(1), cmdline: 'first one' },
        { name: 'b', contents: text('b') },
      ],
    });
    const region = regionNamed(entry, 'hvm_start_info');
    const view = viewOf(entry, 'hvm_start_info');
    const u64 = (at: number): number => Number(view.getBigUint64(at, true));
    const textAt = (address: number): string => {
      const bytes = bytesOf(entry, 'hvm_start_info').subarray(address - region.start);
      return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
    };
    expect(textAt(u64(0x18))).toBe('console=hvc0');
    // The command line comes right behind the structure.
    expect(u64(0x18) - region.start).toBe(0x38);
    expect(view.getUint32(0xc, true)).toBe(3);
    const list = u64(0x10) - region.start;
    expect(list).toBe(0x38 + 16);
    expect([list, list + 0x20, list + 0x40].map(u64)).toEqual([0x105000, 0x106000, 0x108000]);
    expect([list + 8, list + 0x28, list + 0x48].map(u64)).toEqual([6, 4097, 1]);
    expect([list + 0x10, list + 0x50].map(u64)).toEqual([0, 0]);
    expect(textAt(u64(list + 0x30))).toBe('first one');
    expect(region.start).toBe(0x109000);
    expect(regionNamed(entry, 'initrd').start).toBe(0x105000);
  });

  it('is described field by field', () => {
    const names = start({ modules: [{ name: 'a', contents: text('a') }] }).structures.map(({ name }) => name);
    expect(names).toEqual([
      'hvm_start_info',
      'hvm_modlist_entry',
      'hvm_memmap_table_entry',
      'hvm_memmap_table_entry',
    ]);
    const [info] = start().structures;
    expect(info).toMatchObject({ size: 0x38, address: 0x105000 });
    expect(info?.fields.find(({ name }) => name === 'rsdp_paddr')).toMatchObject({
      by: 'zero',
      offset: 0x20,
    });
    expect(info?.fields.find(({ name }) => name === 'magic')).toMatchObject({ by: 'loader' });
  });
});

describe('pvh: what it cannot start', () => {
  it('needs the note PHYS32_ENTRY, and says so', () => {
    expect(pvh.canStart(vmlinux())).toMatchObject({ ok: false, code: 'no-xen-note' });
    expect(protocolError(() => pvh.entryState(vmlinux(), {})).message).toContain('PHYS32_ENTRY');
  });

  it('needs an entry inside the image', () => {
    const error = protocolError(() => pvh.entryState(kernel(0x200000), {}));
    expect(error).toMatchObject({ code: 'bad-xen-note', usage: false });
    expect(error.message).toContain('0x00200000');
  });

  it('starts the kernel proper of a bzImage, not what is around it', () => {
    expect(pvh.unpacks).toBe(true);
    expect(pvh.canStart(bzImage())).toMatchObject({ ok: false, code: 'needs-elf' });
  });

  it('refuses command lines that the builder has no room for', () => {
    expect(protocolError(() => start({ cmdline: 'x'.repeat(1024) }))).toMatchObject({ usage: true });
    const modules = [{ name: 'a', contents: text('a'), cmdline: 'x'.repeat(1024) }];
    expect(protocolError(() => start({ modules })).code).toBe('module-cmdline-too-long');
  });

  it('refuses memory that does not hold all of it', () => {
    const error = protocolError(() => start({ memory: 2 * MIB, initrd: new Uint8Array(MIB) }));
    expect(error.code).toBe('image-too-big');
  });
});
