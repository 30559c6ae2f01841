import { describe, expect, it } from 'vitest';
import { multiboot } from '../../boot-protocols/multiboot/protocol.ts';
import type { BootOptions } from '../../boot-protocols/protocol.ts';
import type { ElfImage, MultibootHeader } from '../../src/kernel-image/kernel-image.ts';
import { bzImage, vmlinux } from './images.ts';
import { bytesOf, general, protocolError, regionNamed, selectors, viewOf } from './read.ts';

const MIB = 1024 * 1024;
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

const kernel = (header: Partial<MultibootHeader> = {}, overrides: Partial<ElfImage> = {}): ElfImage =>
  vmlinux({ entry: 0xc0100001, multiboot: { offset: 0x1000, flags: 3, ...header }, ...overrides });

const start = (options: BootOptions = {}) => multiboot.entryState(kernel(), options);

describe('multiboot: the CPU (Multiboot Specification 0.6.96, 3.2)', () => {
  const entry = start();

  it('promises %eax, the magic number, and %ebx = multiboot_info', () => {
    expect(general(entry)).toEqual({
      eax: '2badb002',
      ecx: 'dead0001 unspecified',
      edx: 'dead0002 unspecified',
      ebx: '10000',
      esp: 'dead0004 unspecified',
      ebp: 'dead0005 unspecified',
      esi: 'dead0006 unspecified',
      edi: 'dead0007 unspecified',
    });
    expect(entry.eflags).toBe(2);
    expect(entry.control).toEqual({ cr0: 0x11, cr2: 0, cr3: 0, cr4: 0, efer: 0 });
  });

  it('has all six segments flat, and no table to load one from', () => {
    expect(selectors(entry)).toEqual({ cs: '10', ds: '18', es: '18', fs: '18', gs: '18', ss: '18' });
    expect(entry.segments.gs.descriptor).toMatchObject({ base: 0, limit: 0xffffffff });
    expect(entry.gdtr).toEqual({ base: 0, limit: 0 });
    expect(start({ gdt: 'flat' }).gdtr).toEqual({ base: 0x800, limit: 0x1f });
  });

  it('enters a virtual e_entry by p_paddr - p_vaddr of its segment, as GRUB does', () => {
    expect(entry.eip).toBe(0x100001);
  });

  it('takes an e_entry that only p_paddr covers as it is, as GRUB Legacy and QEMU do', () => {
    expect(multiboot.entryState(kernel({}, { entry: 0x100002 }), {}).eip).toBe(0x100002);
  });
});

describe('multiboot: multiboot_info (Multiboot Specification 0.6.96, 3.3)', () => {
  it('has memory sizes, the map of a PC, an empty command line and the name of the loader', () => {
    const entry = start();
    const view = viewOf(entry, 'multiboot_info');
    const u32 = (at: number): number => view.getUint32(at, true);
    // Bits 0 (mem_*), 2 (cmdline), 6 (mmap_*), 9 (boot_loader_name).
    expect(u32(0)).toBe(0x245);
    expect([u32(4), u32(8)]).toEqual([639, 63 * 1024]);
    expect([u32(0x14), u32(0x18)]).toEqual([0, 0]);
    const bytes = bytesOf(entry, 'multiboot_info');
    expect(bytes[u32(0x10) - 0x10000]).toBe(0);
    const name = bytes.subarray(u32(0x40) - 0x10000);
    expect(new TextDecoder().decode(name.subarray(0, name.indexOf(0)))).toBe('startup32');
    const map = u32(0x30) - 0x10000;
    expect(u32(0x2c)).toBe(4 * 24);
    const entries = [0, 24, 48, 72].map(at => ({
      size: u32(map + at),
      addr: Number(view.getBigUint64(map + at + 4, true)),
      len: Number(view.getBigUint64(map + at + 12, true)),
      type: u32(map + at + 20),
    }));
    expect(entries).toEqual([
      { size: 20, addr: 0, len: 0x9fc00, type: 1 },
      { size: 20, addr: 0x9fc00, len: 0x400, type: 2 },
      { size: 20, addr: 0xf0000, len: 0x10000, type: 2 },
      { size: 20, addr: MIB, len: 63 * MIB, type: 1 },
    ]);
  });

  it('lists the initrd first, then the modules, each at the start of a page', () => {
    const entry = start({
      cmdline: 'root=/dev/ram',
      initrd: text('initrd'),
      modules: [
        { name: 'a', contents: new Uint8Array(4097), cmdline: 'first one' },
        { name: 'b', contents: text('b') },
      ],
    });
    const view = viewOf(entry, 'multiboot_info');
    const u32 = (at: number): number => view.getUint32(at, true);
    const textAt = (address: number): string => {
      const bytes = bytesOf(entry, 'multiboot_info').subarray(address - 0x10000);
      return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
    };
    expect(u32(0) & 8).toBe(8);
    expect(textAt(u32(0x10))).toBe('root=/dev/ram');
    expect(u32(0x14)).toBe(3);
    const list = u32(0x18) - 0x10000;
    const modules = [0, 16, 32].map(at => ({
      start: u32(list + at),
      end: u32(list + at + 4),
      cmdline: textAt(u32(list + at + 8)),
      pad: u32(list + at + 12),
    }));
    expect(modules).toEqual([
      { start: 0x105000, end: 0x105006, cmdline: '', pad: 0 },
      { start: 0x106000, end: 0x107001, cmdline: 'first one', pad: 0 },
      { start: 0x108000, end: 0x108001, cmdline: '', pad: 0 },
    ]);
    expect(regionNamed(entry, 'module 1').start).toBe(0x106000);
  });

  it('is described field by field', () => {
    const { structures } = start({ modules: [{ name: 'a', contents: text('a') }] });
    expect(structures.map(({ name }) => name)).toEqual([
      'multiboot_info',
      'multiboot_mod_list',
      ...Array.from({ length: 4 }, () => 'multiboot_mmap_entry'),
    ]);
    expect(structures[0]).toMatchObject({ address: 0x10000, size: 0x74 });
  });
});

describe('multiboot: the header (Multiboot Specification 0.6.96, 3.1)', () => {
  it('is required, and a bzImage has none', () => {
    expect(multiboot.canStart(vmlinux())).toMatchObject({ ok: false, code: 'no-multiboot-header' });
    expect(multiboot.canStart(bzImage())).toMatchObject({
      ok: false,
      code: 'no-multiboot-header',
      reason: 'bzImage is a bzImage, which has no Multiboot header',
    });
  });

  it('starts no image that requires what no one knows', () => {
    expect(multiboot.canStart(kernel({ flags: 7 }))).toEqual({ ok: true });
    const error = protocolError(() => multiboot.entryState(kernel({ flags: 0x800b }), {}));
    expect(error).toMatchObject({ code: 'multiboot-flags', usage: false });
    expect(error.message).toContain('0x00008008');
  });

  it('loads by its own addresses where bit 16 says so, even an ELF file', () => {
    const contents = Uint8Array.of(0xfc, 0xf4);
    const addresses = { load: 0x200000, bssEnd: 0x201000, entry: 0x200001, contents };
    const entry = multiboot.entryState(kernel({ flags: 0x10003, addresses }), {});
    expect(entry.eip).toBe(0x200001);
    expect(regionNamed(entry, 'Multiboot image')).toMatchObject({ start: 0x200000, size: 0x1000, contents });
    expect(entry.regions.some(({ name }) => name === 'LOAD 0')).toBe(false);
  });

  it('refuses addresses that are not in the file, and an entry outside of what is loaded', () => {
    const addresses = { load: 0x200000, bssEnd: 0, entry: 0x200000 };
    const error = protocolError(() => multiboot.entryState(kernel({ flags: 0x10000, addresses }), {}));
    expect(error.code).toBe('multiboot-addresses');
    const outside = { ...addresses, entry: 0x200001, contents: Uint8Array.of(0xf4) };
    expect(
      protocolError(() => multiboot.entryState(kernel({ flags: 0x10000, addresses: outside }), {})).code,
    ).toBe('entry-outside-image');
  });

  it('refuses modules that find no room', () => {
    const modules = [{ name: 'a', contents: new Uint8Array(2 * MIB) }];
    expect(protocolError(() => start({ memory: 3 * MIB, modules })).code).toBe('module-too-big');
  });
});
