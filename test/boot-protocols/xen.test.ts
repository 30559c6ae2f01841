import { describe, expect, it } from 'vitest';
import { parseFeatures } from '../../boot-protocols/xen/features.ts';
import { hypercallPage } from '../../boot-protocols/xen/hypercalls.ts';
import { xen } from '../../boot-protocols/xen/protocol.ts';
import { walk } from '../../emulator/paging.ts';
import { bzImage, segment, vmlinux, XEN_NOTES, xenKernel } from './images.ts';
import {
  bytesOf,
  fingerprint,
  general,
  protocolError,
  readPhysical32,
  regionNamed,
  selectors,
  viewOf,
} from './read.ts';

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
    expect(info.getUint32(0x28, true)).toBe(0x10); // flags: a domU; SIF_VIRT_P2M_4TOOLS
    expect(info.getUint32(0x2c, true)).toBe(start('xenstore page') / 4096);
    expect(info.getUint32(0x34, true)).toBe(start('console page') / 4096);
    expect(info.getUint32(0x30, true)).not.toBe(info.getUint32(0x38, true)); // event channels
    expect(info.getUint32(0x3c, true)).toBe(start('page tables'));
    expect(info.getUint32(0x40, true)).toBe(4);
    expect(info.getUint32(0x44, true)).toBe(start('phys-to-machine list'));
    expect(info.getUint32(0x48, true)).toBe(start('initrd'));
    // libxc's segments are whole pages (xc_dom_alloc_segment), and so is what it says of them.
    expect(info.getUint32(0x4c, true)).toBe(0x2000);
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

  it('has an L2 for every slot, because Xen needs the last (count_pgtables of 4.14)', () => {
    // 4 KiB * (0x581 image + 16 p2m + 3) + tables + 512 KiB round up to 8 MiB: four L1s.
    const tables = regionNamed(entry, 'page tables');
    expect(tables.size / 4096).toBe(1 + 4 + 4);
    const read = readPhysical32(entry);
    for (const slot of [0, 1, 2, 3]) {
      expect(read(tables.start + slot * 8)).toBe(tables.start + (slot + 1) * 0x1000 + 1);
    }
  });

  it('has one for slot 0 and one for slot 3 from the libxc of a 32-bit Xen', () => {
    const old = xen.entryState(grub, { xenHost: 32 });
    const tables = regionNamed(old, 'page tables');
    expect(tables.size / 4096).toBe(1 + 2 + 4);
    const read = readPhysical32(old);
    expect(read(tables.start)).toBe(tables.start + 0x1001);
    expect(read(tables.start + 8)).toBe(0);
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
    expect(info.getUint32(0x28, true)).toBe(0x18);
    expect(info.getUint32(0x48, true)).toBe(0x400);
    expect(info.getUint32(0x4c, true)).toBe(0x1000);
  });
});

describe('xen: what cannot be started', () => {
  it.each([
    ['needs-elf', 'payload', bzImage()],
    ['no-xen-notes', '__xen_guest', vmlinux()],
    ['no-xen-note', 'LOADER', xenKernel({ virtBase: BASE })],
    ['no-xen-note', 'XEN_VERSION', xenKernel({ virtBase: BASE, loader: 'generic' })],
    ['bad-xen-note', 'XEN_VERSION', xenKernel({ ...XEN_NOTES, xenVersion: 'xen-2.0' })],
    ['no-xen-note', 'PAE_MODE', xenKernel({ xenVersion: 'xen-3.0', loader: 'generic' })],
    ['bad-xen-note', 'PAE_MODE', xenKernel({ ...XEN_NOTES, paeMode: 'no' })],
    ['bad-xen-note', 'LOADER', xenKernel({ ...XEN_NOTES, loader: 'own', guestOs: 'other' })],
    ['bad-xen-note', 'ENTRY', xenKernel({ ...XEN_NOTES, entry: 0x100000 })],
    ['bad-xen-note', 'HYPERCALL_PAGE', xenKernel({ ...XEN_NOTES, hypercallPage: 0xd0000000 })],
    ['bad-xen-note', 'VIRT_BASE', xenKernel({ ...XEN_NOTES, virtBase: 0xc0000800 })],
    ['outside-memory', 'PADDR_OFFSET', xenKernel({ ...XEN_NOTES, paddrOffset: BASE })],
    ['outside-memory', 'start of a page', xenKernel({ ...XEN_NOTES, paddrOffset: 0x10 })],
    ['no-xen-note', 'VIRT_BASE', xenKernel({ loader: 'generic', xenVersion: 'xen-3.0', paddrOffset: 0 })],
    ['bad-xen-note', 'PAE_MODE', xenKernel({ ...XEN_NOTES, paeMode: 'yes[extended-cr3]' })],
    ['bad-xen-note', 'FEATURES', xenKernel({ ...XEN_NOTES, features: '!no_such_feature' })],
    ['bad-xen-note', 'INIT_P2M', xenKernel({ ...XEN_NOTES, initP2m: 0xc0102000 })],
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

describe('xen: the notes as libelf reads them (Xen 4.14 xen/common/libelf/libelf-dominfo.c)', () => {
  it('XEN_VERSION, LOADER and GUEST_OS by their first characters', () => {
    const notes = { ...XEN_NOTES, xenVersion: 'xen-3.0-x86_32p', loader: 'generic-own', guestOs: 'other' };
    expect(xen.canStart(xenKernel(notes))).toEqual({ ok: true });
  });

  it.each(['yes', 'bimodal', 'no,bimodal'])('PAE_MODE "%s" is PAE', paeMode => {
    expect(xen.canStart(xenKernel({ ...XEN_NOTES, paeMode }))).toEqual({ ok: true });
  });

  it('an entry at the very end of the image passes', () => {
    expect(xen.canStart(xenKernel({ ...XEN_NOTES, entry: 0xc0103000 }))).toEqual({ ok: true });
    expect(xen.canStart(xenKernel({ ...XEN_NOTES, entry: 0xc0103001 }))).toMatchObject({ ok: false });
  });

  it('without ENTRY e_entry counts, as a virtual address; a Linux vmlinux has a physical one there', () => {
    const { entry: _, ...notes } = XEN_NOTES;
    expect(xen.entryState(xenKernel(notes, { entry: 0xc0100010 }), {}).eip).toBe(0xc0100010);
    const linux = xen.canStart(xenKernel({ ...notes, phys32Entry: 0x100000 }));
    expect(linux).toMatchObject({ ok: false, code: 'bad-xen-note' });
    expect(linux).toMatchObject({ reason: expect.stringContaining('0x00100000') });
    expect(linux).toMatchObject({ reason: expect.stringContaining('PHYS32_ENTRY') });
  });

  it('HYPERCALL_PAGE is a frame to libxc: an address inside the page means the page', () => {
    const entry = xen.entryState(xenKernel({ ...XEN_NOTES, hypercallPage: 0xc0101004 }), {});
    expect(entry.platform.hypercallPage).toBe(0xc0101000);
    expect(regionNamed(entry, 'hypercall page').start).toBe(0xc0101000);
  });

  it('INIT_P2M of a 32-bit guest is not looked at, and HV_START_LOW not by libxc', () => {
    const notes = { ...XEN_NOTES, initP2m: 0x80000000, hvStartLow: 0xfc000000 };
    const plain = xen.entryState(xenKernel(), {});
    expect(fingerprint(xen.entryState(xenKernel(notes), {}))).toBe(fingerprint(plain));
  });

  it('a feature string ends at the note or at a NUL in it', () => {
    const text = '!writable_page_tables|pae_pgdir_above_4gb';
    const bare = { owner: 'Xen', type: 10, description: new TextEncoder().encode(text), offset: 0 };
    const kernel = xenKernel();
    expect(xen.canStart({ ...kernel, notes: [...kernel.notes, bare] })).toEqual({ ok: true });
    expect(xen.canStart(xenKernel({ ...XEN_NOTES, features: text }))).toEqual({ ok: true });
  });
});

describe('xen: features (elf_xen_parse_features)', () => {
  it('a required one is supported as well; an unknown one matters only when it is required', () => {
    // XENFEAT_writable_page_tables 0, XENFEAT_pae_pgdir_above_4gb 4: xen/include/public/features.h.
    expect(parseFeatures('!writable_page_tables|pae_pgdir_above_4gb')).toEqual({
      supported: 0x11,
      required: 1,
    });
    expect(parseFeatures('nothing|supervisor_mode_kernel')).toEqual({ supported: 8, required: 0 });
    expect(parseFeatures('dom0|!nothing|pae_pgdir_above_4gb')).toEqual({
      supported: 0x800,
      required: 0,
      unknown: 'nothing',
    });
    expect(parseFeatures('')).toEqual({ supported: 0, required: 0 });
  });

  it('a name of 63 characters or more goes on as the next', () => {
    expect(parseFeatures(`${'x'.repeat(63)}dom0`)).toEqual({ supported: 0x800, required: 0 });
  });
});

describe('xen: the section __xen_guest (elf_xen_parse_guest_info)', () => {
  const described = (text: string, physical = 0xc0100000) =>
    xenKernel(
      {},
      {
        xenGuest: text,
        segments: [segment('LOAD 0', physical, 0xc0100000, new Uint8Array(0x2800), 0x3000)],
      },
    );
  const TEXT = 'GUEST_OS=linux,XEN_VER=xen-3.0,VIRT_BASE=0xC0000000,VIRT_ENTRY=0xC0100000';

  it('takes VIRT_BASE for an absent ELF_PADDR_OFFSET, so that p_paddr is the virtual address', () => {
    const entry = xen.entryState(described(`${TEXT},PAE=yes[extended-cr3],LOADER=generic`), {});
    expect(regionNamed(entry, 'LOAD 0').start).toBe(0xc0100000);
    expect(entry.platform.hypercallPage).toBeUndefined();
    expect(entry.platform.hypercallVectors).toEqual([0x82]);
  });

  it('names the key that is missing or wrong', () => {
    expect(xen.canStart(described(TEXT))).toMatchObject({
      code: 'no-xen-note',
      reason: expect.stringContaining('key PAE of section __xen_guest'),
    });
    expect(xen.canStart(described(`${TEXT},PAE=bimodal`))).toMatchObject({ code: 'bad-xen-note' });
  });

  it('reads nothing behind a required feature that Xen does not know, and goes on with what it has', () => {
    const late = described(`${TEXT},FEATURES=!no_such_feature,PAE=yes`);
    expect(xen.canStart(late)).toMatchObject({ code: 'no-xen-note', reason: expect.stringContaining('PAE') });
    expect(xen.canStart(described(`${TEXT},PAE=yes,FEATURES=!no_such_feature,LOADER=own`))).toEqual({
      ok: true,
    });
  });
});

describe('xen --xen-host 32: a 32-bit Xen (4.2 xen/arch/x86/boot/x86_32.S, gdt_table)', () => {
  const entry = xen.entryState(xenKernel(), { xenHost: 32 });

  it('ends every segment of the guest where the M2P table ends, 0xf67fffff', () => {
    for (const { descriptor } of Object.values(entry.segments)) expect(descriptor?.limit).toBe(0xf67fffff);
    const gdt = viewOf(entry, 'Xen GDT');
    // 0x00cfba00000067ff and so on there; the accessed bit is set when they are loaded.
    expect(gdt.getBigUint64(0xe018, true)).toBe(0x00cfbb00000067ffn);
    expect(gdt.getBigUint64(0xe020, true)).toBe(0x00cfb300000067ffn);
    expect(gdt.getBigUint64(0xe028, true)).toBe(0x00cffb00000067ffn);
    expect(gdt.getBigUint64(0xe030, true)).toBe(0x00cff300000067ffn);
    // Xen's own are flat.
    expect(gdt.getBigUint64(0xe008, true)).toBe(0x00cf9b000000ffffn);
    expect(gdt.getBigUint64(0xe010, true)).toBe(0x00cf93000000ffffn);
  });

  it('is 4 GiB under a 64-bit one, which has a 64-bit code segment of its own at 0xe008', () => {
    const wide = xen.entryState(xenKernel(), {});
    for (const { descriptor } of Object.values(wide.segments)) expect(descriptor?.limit).toBe(0xffffffff);
    expect(viewOf(wide, 'Xen GDT').getBigUint64(0xe008, true)).toBe(0x00af9b000000ffffn);
  });

  it('has a libxc that sets no flag and maps the initrd whatever MOD_START_PFN says', () => {
    const old = xen.entryState(xenKernel({ ...XEN_NOTES, modStartPfn: 1 }), {
      xenHost: 32,
      initrd: new Uint8Array(10),
    });
    const info = viewOf(old, 'start_info');
    expect(info.getUint32(0x28, true)).toBe(0);
    expect(info.getUint32(0x48, true)).toBe(0xc0103000);
  });
});

describe('xen: structures, field by field', () => {
  const entry = xen.entryState(xenKernel(), { cmdline: 'quiet' });
  const named = (name: string) => entry.structures.find(structure => structure.name === name);

  it('are start_info where %esi points, and shared_info at its machine address', () => {
    expect(entry.structures.map(({ name, size }) => [name, size])).toEqual([
      ['start_info', 0x458],
      ['shared_info', 0x928],
    ]);
    expect(named('start_info')?.address).toBe(entry.registers.esi.value);
    expect(named('shared_info')?.address).toBe(viewOf(entry, 'start_info').getUint32(0x24, true));
  });

  it('have the offsets of the 32-bit ABI and say who wrote what', () => {
    const fields = named('start_info')?.fields ?? [];
    expect(fields.map(({ name, offset, by }) => `${offset.toString(16)} ${name} ${by}`)).toEqual([
      '0 magic loader',
      '20 nr_pages loader',
      '24 shared_info loader',
      '28 flags loader',
      '2c store_mfn loader',
      '30 store_evtchn loader',
      '34 console.domU.mfn loader',
      '38 console.domU.evtchn loader',
      '3c pt_base loader',
      '40 nr_pt_frames loader',
      '44 mfn_list loader',
      '48 mod_start zero',
      '4c mod_len zero',
      '50 cmd_line loader',
      '450 first_p2m_pfn zero',
      '454 nr_p2m_frames zero',
    ]);
    expect(fields.find(({ name }) => name === 'flags')?.meaning).toBe('SIF_VIRT_P2M_4TOOLS');
    const shared = named('shared_info')?.fields ?? [];
    expect(shared.filter(({ by }) => by === 'loader').map(({ name }) => name)).toEqual([
      'vcpu_info[0].evtchn_upcall_mask',
      'vcpu_info[1..31]',
    ]);
  });
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
