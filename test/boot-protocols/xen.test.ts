import { describe, expect, it } from 'vitest';
import { hypercallPage } from '../../boot-protocols/xen/hypercalls.ts';
import { xen } from '../../boot-protocols/xen/protocol.ts';
import { walk } from '../../emulator/paging.ts';
import { bzImage, segment, vmlinux, XEN_NOTES, xenKernel } from './images.ts';
import { bytesOf, general, protocolError, readPhysical32, regionNamed, selectors, viewOf } from './read.ts';

const MIB = 1024 * 1024;
const BASE = 0xc0000000;

describe('xen: the CPU (Xen 4.14 tools/libxc/xc_dom_x86.c, vcpu_x86_32)', () => {
  const entry = xen.entryState(xenKernel(), {});

  it('has %esi = start_info and %esp = the top of the boot stack page, both virtual; all else zero', () => {
    const startInfo = regionNamed(entry, 'start_info').start;
    const stack = regionNamed(entry, 'boot stack');
    expect(general(entry)).toEqual({
      eax: '0',
      ecx: '0',
      edx: '0',
      ebx: '0',
      ebp: '0',
      edi: '0',
      esi: startInfo.toString(16),
      esp: (stack.start + 0x1000).toString(16),
    });
    expect(entry.eflags).toBe(0x202);
    expect(entry.eip).toBe(0xc0100000);
  });

  it('is in ring 1: CS 0xe019, everything else 0xe021', () => {
    expect(selectors(entry)).toEqual({
      cs: 'e019',
      ds: 'e021',
      es: 'e021',
      fs: 'e021',
      gs: 'e021',
      ss: 'e021',
    });
    expect(entry.ring).toBe(1);
  });

  it('has Xen’s descriptors at indices 7171 to 7174, on the 15th page of the GDT', () => {
    const gdt = viewOf(entry, 'Xen GDT');
    expect(entry.gdtr).toEqual({ base: regionNamed(entry, 'Xen GDT').start, limit: 0xefff });
    expect(gdt.getBigUint64(0xe018, true)).toBe(0x00cfbb000000ffffn);
    expect(gdt.getBigUint64(0xe020, true)).toBe(0x00cfb3000000ffffn);
    expect(gdt.getBigUint64(0xe028, true)).toBe(0x00cffb000000ffffn);
    expect(gdt.getBigUint64(0xe030, true)).toBe(0x00cff3000000ffffn);
  });

  it('has PAE paging on, with CR3 at the domain’s L3', () => {
    expect(entry.control.cr0).toBe(0x80050033);
    expect(entry.control.cr4 & 0x20).toBe(0x20);
    expect(entry.control.cr3).toBe(regionNamed(entry, 'page tables').start);
  });

  it('takes hypercalls by int $0x82 and by the page that the note names', () => {
    // Gates of #BP and #OF have DPL 3 (Xen 4.14 xen/arch/x86/traps.c).
    expect(entry.platform.openVectors).toEqual([3, 4]);
    expect(entry.platform).toMatchObject({
      hypervisor: 'xen',
      hypercallVectors: [0x82],
      hypercallPage: 0xc0101000,
    });
  });
});

describe('xen: start-of-day memory (tools/libxc/xc_dom_core.c)', () => {
  const entry = xen.entryState(xenKernel(), {
    initrd: new Uint8Array(0x1801).fill(3),
    cmdline: 'console=hvc0',
  });
  const start = (name: string): number => regionNamed(entry, name).start;

  it('is image, initrd, phys-to-machine list, start_info, xenstore, console, page tables, stack', () => {
    // The image ends at 0xc0103000; 64 MiB have 16384 pages, and so 16 pages of p2m.
    expect(start('initrd')).toBe(0xc0103000);
    expect(start('phys-to-machine list')).toBe(0xc0105000);
    expect(start('start_info')).toBe(0xc0115000);
    expect(start('xenstore page')).toBe(0xc0116000);
    expect(start('console page')).toBe(0xc0117000);
    expect(start('page tables')).toBe(0xc0118000);
    // L3, the L2 of slot 3, and two L1s of 2 MiB for a 4 MiB area.
    expect(regionNamed(entry, 'page tables').size).toBe(4 * 4096);
    expect(start('boot stack')).toBe(0xc011c000);
  });

  it('loads segments at p_paddr - PADDR_OFFSET + VIRT_BASE', () => {
    expect(start('LOAD 0')).toBe(0xc0100000);
    const offset = xen.entryState(
      xenKernel({ ...XEN_NOTES, paddrOffset: 0x100000, entry: BASE, hypercallPage: BASE }),
      {},
    );
    expect(regionNamed(offset, 'hypercall page').start).toBe(BASE);
  });

  it('maps the area to a multiple of 4 MiB, its page tables read-only and the rest writable', () => {
    const at = (linear: number) => walk(linear, entry.control, readPhysical32(entry));
    expect(at(BASE)).toMatchObject({ physical: BASE, writable: true, user: false });
    expect(at(start('page tables'))).toMatchObject({ physical: start('page tables'), writable: false });
    expect(at(start('page tables') + 0x3fff)).toMatchObject({ writable: false });
    expect(at(start('boot stack'))).toMatchObject({ writable: true });
    expect(at(0xc03fffff)).toMatchObject({ physical: 0xc03fffff, writable: true });
    expect(at(0xc0400000).physical).toBeUndefined();
  });

  it('does not map shared_info; the machine-to-phys table is read-only at 0xf5800000', () => {
    const at = (linear: number) => walk(linear, entry.control, readPhysical32(entry));
    expect(at(start('shared_info')).physical).toBeUndefined();
    expect(at(0xf5800000)).toMatchObject({ physical: 0xf5800000, writable: false });
  });

  it('leaves at least 512 KiB after the stack', () => {
    // The stack would end 0x7d000 bytes, less than 512 KiB, before 4 MiB.
    const kernel = xenKernel(XEN_NOTES, {
      segments: [segment('LOAD 0', 0x100000, 0xc0100000, new Uint8Array(0x2800), 0x26b000)],
    });
    const large = xen.entryState(kernel, {});
    expect(regionNamed(large, 'boot stack').start).toBe(0xc0384000);
    expect(large.paging.mappings.filter(m => m.name === 'domain memory').at(-1)).toMatchObject({
      linear: 0xc0384000,
      size: 0xc0800000 - 0xc0384000,
    });
  });

  it('has L1 entries 0x23 and 0x21, L2 entries 0x67 and an L3 entry with P only', () => {
    const read = readPhysical32(entry);
    const l3 = start('page tables');
    expect(read(l3)).toBe(0);
    expect(read(l3 + 3 * 8)).toBe(((l3 + 0x1000) | 0x1) >>> 0);
    expect(read(l3 + 0x1000)).toBe(((l3 + 0x2000) | 0x67) >>> 0);
    expect(read(l3 + 0x2000)).toBe(0xc0000023);
    expect(read(l3 + 0x2000 + 0x118 * 8)).toBe(0xc0118021);
  });

  it('fills start_info', () => {
    const info = viewOf(entry, 'start_info');
    expect(new TextDecoder().decode(bytesOf(entry, 'start_info').subarray(0, 16))).toBe('xen-3.0-x86_32p\0');
    expect(info.getUint32(0x20, true)).toBe(16384); // nr_pages
    expect(info.getUint32(0x24, true)).toBe(start('shared_info'));
    expect(info.getUint32(0x28, true)).toBe(0); // flags: a domU
    expect(info.getUint32(0x2c, true)).toBe(start('xenstore page') / 4096);
    expect(info.getUint32(0x34, true)).toBe(start('console page') / 4096);
    expect(info.getUint32(0x30, true)).not.toBe(info.getUint32(0x38, true)); // event channels
    expect(info.getUint32(0x3c, true)).toBe(start('page tables'));
    expect(info.getUint32(0x40, true)).toBe(4);
    expect(info.getUint32(0x44, true)).toBe(start('phys-to-machine list'));
    expect(info.getUint32(0x48, true)).toBe(start('initrd'));
    expect(info.getUint32(0x4c, true)).toBe(0x1801);
    expect(new TextDecoder().decode(bytesOf(entry, 'start_info').subarray(0x50, 0x5d))).toBe(
      'console=hvc0\0',
    );
  });

  it('has inverse phys-to-machine and machine-to-phys tables', () => {
    const p2m = viewOf(entry, 'phys-to-machine list');
    const m2p = viewOf(entry, 'machine-to-phys table');
    expect(p2m.byteLength).toBe(16384 * 4);
    for (const pfn of [0, 1, 0x115, 16383]) {
      const mfn = p2m.getUint32(pfn * 4, true);
      expect(mfn).toBe(pfn + 0xc0000);
      expect(m2p.getUint32(mfn * 4, true)).toBe(pfn);
    }
    expect(m2p.getUint32(0, true)).toBe(0xffffffff);
  });

  it('starts with events masked in shared_info', () => {
    const shared = bytesOf(entry, 'shared_info');
    expect(shared).toHaveLength(4096);
    expect([shared[0], shared[1], shared[0x40], shared[0x41]]).toEqual([0, 1, 0, 1]);
  });
});

describe('xen: VIRT_BASE 0, as in GRUB', () => {
  const grub = xenKernel(
    { virtBase: 0, entry: 0, xenVersion: 'xen-3.0', guestOs: 'GRUB', loader: 'generic', paeMode: 'yes' },
    { entry: 0, segments: [segment('LOAD 0', 0, 0, new Uint8Array(0x1000), 0x581000)] },
  );
  const entry = xen.entryState(grub, {});

  it('has an L2 for slot 3 all the same, because Xen needs it', () => {
    // 4 KiB * (0x581 image + 16 p2m + 3) + tables + 512 KiB round up to 8 MiB: four L1s.
    const tables = regionNamed(entry, 'page tables');
    expect(tables.size / 4096).toBe(1 + 2 + 4);
    const read = readPhysical32(entry);
    expect(read(tables.start)).toBe(tables.start + 0x1001);
    expect(read(tables.start + 24)).toBe(tables.start + 0x2001);
  });

  it('has no hypercall page', () => {
    expect(entry.platform.hypercallPage).toBeUndefined();
    expect(entry.eip).toBe(0);
  });
});

describe('xen: the hypercall page (xen/arch/x86/pv/hypercall.c)', () => {
  it('is mov $n,%eax; int $0x82; ret in 32 bytes, and int3', () => {
    const page = hypercallPage();
    expect(page.subarray(17 * 32, 17 * 32 + 9)).toEqual(
      Uint8Array.of(0xb8, 17, 0, 0, 0, 0xcd, 0x82, 0xc3, 0xcc),
    );
    expect(page).toHaveLength(4096);
  });

  it('pushes %eax for iret and does not return', () => {
    expect(hypercallPage().subarray(23 * 32, 23 * 32 + 9)).toEqual(
      Uint8Array.of(0x50, 0xb8, 23, 0, 0, 0, 0xcd, 0x82, 0xcc),
    );
  });

  it('takes the place of the kernel’s own page, and the bytes around it stay', () => {
    const entry = xen.entryState(xenKernel(), {});
    const parts = entry.regions.filter(r => r.start >= 0xc0100000 && r.start < 0xc0103000);
    expect(parts.map(r => [r.name, r.start, r.size, r.contents?.length])).toEqual([
      ['LOAD 0', 0xc0100000, 0x1000, 0x1000],
      ['hypercall page', 0xc0101000, 0x1000, 0x1000],
      ['LOAD 0', 0xc0102000, 0x1000, 0x800],
    ]);
  });
});

describe('xen: MOD_START_PFN', () => {
  it('puts the initrd behind the mapped area and gives its frame number', () => {
    const entry = xen.entryState(xenKernel({ ...XEN_NOTES, modStartPfn: 1 }), { initrd: new Uint8Array(10) });
    expect(regionNamed(entry, 'initrd').start).toBe(0xc0400000);
    const info = viewOf(entry, 'start_info');
    expect(info.getUint32(0x28, true)).toBe(8);
    expect(info.getUint32(0x48, true)).toBe(0x400);
  });
});

describe('xen: what cannot be started', () => {
  it.each([
    ['needs-elf', 'payload', bzImage()],
    ['no-xen-notes', '__xen_guest', vmlinux()],
    ['no-xen-note', 'XEN_VERSION', xenKernel({ virtBase: BASE })],
    ['bad-xen-note', 'XEN_VERSION', xenKernel({ ...XEN_NOTES, xenVersion: 'xen-2.0' })],
    ['no-xen-note', 'PAE_MODE', xenKernel({ xenVersion: 'xen-3.0', loader: 'generic' })],
    ['bad-xen-note', 'PAE_MODE', xenKernel({ ...XEN_NOTES, paeMode: 'no' })],
    ['bad-xen-note', 'LOADER', xenKernel({ ...XEN_NOTES, loader: 'own', guestOs: 'other' })],
    ['bad-xen-note', 'ENTRY', xenKernel({ ...XEN_NOTES, entry: 0x100000 })],
    ['bad-xen-note', 'HYPERCALL_PAGE', xenKernel({ ...XEN_NOTES, hypercallPage: 0xc0101004 })],
    ['bad-xen-note', 'HYPERCALL_PAGE', xenKernel({ ...XEN_NOTES, hypercallPage: 0xd0000000 })],
    ['bad-xen-note', 'VIRT_BASE', xenKernel({ ...XEN_NOTES, virtBase: 0xc0000800 })],
    ['outside-memory', 'PADDR_OFFSET', xenKernel({ ...XEN_NOTES, paddrOffset: BASE })],
  ])('%s: %s', (code, named, image) => {
    const startable = xen.canStart(image);
    expect(startable).toMatchObject({ ok: false, code });
    if (!startable.ok) expect(startable.reason).toContain(named);
    expect(protocolError(() => xen.entryState(image, {}))).toMatchObject({ code, usage: false });
  });

  it('says how much memory the start-of-day area needs', () => {
    const error = protocolError(() => xen.entryState(xenKernel(), { memory: 2 * MIB }));
    expect(error.code).toBe('image-too-big');
    expect(error.message).toContain('4194304 bytes');
    expect(error.message).toContain('2097152 bytes');
  });

  it('takes no memory that reaches into Xen’s part of the address space', () => {
    const error = protocolError(() => xen.entryState(xenKernel(), { memory: 0x36000000 }));
    expect([error.code, error.usage]).toEqual(['bad-knob', true]);
  });

  it('cuts no command line', () => {
    expect(() => xen.entryState(xenKernel(), { cmdline: 'x'.repeat(1023) })).not.toThrow();
    expect(protocolError(() => xen.entryState(xenKernel(), { cmdline: 'x'.repeat(1024) })).code).toBe(
      'cmdline-too-long',
    );
  });

  it('has no --paging, --subarch or --keep-segments: there is no boot_params', () => {
    for (const options of [{ paging: 'off' }, { subarch: 2 }, { keepSegments: true }] as const) {
      expect(protocolError(() => xen.entryState(xenKernel(), options)).code).toBe('unknown-knob');
    }
  });
});

it('reads the section __xen_guest when there are no notes: HYPERCALL_PAGE is a page number', () => {
  const legacy = xenKernel(
    {},
    {
      xenGuest:
        'GUEST_OS=linux,GUEST_VER=2.6,XEN_VER=xen-3.0,VIRT_BASE=0xC0000000,ELF_PADDR_OFFSET=0x0,VIRT_ENTRY=0xC0100000,HYPERCALL_PAGE=0x101,PAE=yes,LOADER=generic',
    },
  );
  const entry = xen.entryState(legacy, {});
  expect(entry.eip).toBe(0xc0100000);
  expect(entry.platform.hypercallPage).toBe(0xc0101000);
});

it('--ring 3: 0xe01b and 0xe023 on user pages', () => {
  const entry = xen.entryState(xenKernel(), { ring: 3 });
  expect(selectors(entry)).toMatchObject({ cs: 'e01b', ss: 'e023' });
  expect(walk(BASE, entry.control, readPhysical32(entry))).toMatchObject({ user: true });
});

it('names hypercalls by xen.h', () => {
  expect(xen.hypercallName?.(21)).toBe('vm_assist');
  expect(xen.hypercallName?.(18)).toBe('console_io');
  expect(xen.hypercallName?.(11)).toBeUndefined();
});
