/**
 * What holds of every entry state whatever the knobs: page tables that say what they are said to say, descriptors that are
 * the hidden parts, and each system's own start of day.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findProtocol, PROTOCOLS, ProtocolError } from '../../boot-protocols/index.ts';
import type { BootOptions } from '../../boot-protocols/protocol.ts';
import type { EntryState } from '../../emulator/entry-state.ts';
import { Machine } from '../../emulator/machine.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { describeEachEngine } from '../support/engines.ts';
import { bzImage, segment, startableBy, vmlinux, XEN_NOTES, xenKernel } from './images.ts';
import { isMapped, saidToBeMapped, walkTables } from './page-tables.ts';
import { bytesOf, readPhysical32, regionNamed, viewOf } from './read.ts';

const MIB = 2 ** 20;
const PAGE = 4096;
const pages = (bytes: number): number => Math.ceil(bytes / PAGE);

const memory = fc.oneof(
  fc.integer({ min: 1024, max: 4096 }).map(count => count * PAGE),
  fc.constantFrom(4 * MIB, 8 * MIB, 32 * MIB),
);
/** Knobs as fast-check shows them: of the initrd its size. */
const shared = {
  memory,
  initrdSize: fc.oneof(fc.nat(3 * PAGE), fc.integer({ min: MIB, max: 3 * MIB })),
  cmdline: fc.string({ maxLength: 1023, unit: 'grapheme-ascii' }),
};
/** The same cases every time. */
const RUNS = { numRuns: 30, seed: 2007 };

type Given = Omit<BootOptions, 'initrd'> & { readonly initrdSize?: number };

/** An entry state, or nothing where the image and its data need more memory than the knobs give. */
function entryOf(name: string, image: KernelImage, { initrdSize, ...given }: Given): EntryState | undefined {
  const initrd = initrdSize === undefined ? {} : { initrd: new Uint8Array(initrdSize).fill(0x5a) };
  try {
    return findProtocol(name).entryState(image, { ...given, ...initrd });
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    expect(error.code).toMatch(
      /^(image-too-big|initrd-too-big|module-too-big|no-room|outside-memory|bad-knob|region-overlap)$/,
    );
    return undefined;
  }
}

const pagesOf = (start: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => start + index * PAGE);

/** The CPU's page tables map what the entry state lists, and nothing else, onto memory that is there. */
function checkPageTables(entry: EntryState): ReturnType<typeof walkTables> | undefined {
  const { mode } = entry.paging;
  if (mode === 'off') {
    expect(entry.control.cr0 >>> 31).toBe(0);
    return undefined;
  }
  const walked = walkTables(entry, entry.control.cr3, mode);
  const said = saidToBeMapped(entry);
  const found = isMapped(walked.leaves);
  expect(found.size).toBe(said.size);
  for (const [linear, leaf] of said) if (found.get(linear) !== leaf) expect(found.get(linear)).toBe(leaf);
  for (const { physical } of walked.leaves.values()) {
    const home = entry.banks.find(({ start, size }) => start <= physical && physical + PAGE <= start + size);
    if (!home) expect(physical.toString(16)).toBe('in a bank');
  }
  expect(found.has(entry.eip - (entry.eip % PAGE))).toBe(true);
  return walked;
}

/** A selector's descriptor in the GDT is its hidden part, bit for bit (SDM vol. 3, 3.4.5). */
function checkDescriptors(entry: EntryState): void {
  const { base, limit } = entry.gdtr;
  const read = readPhysical32(entry);
  for (const { selector, descriptor } of Object.values(entry.segments)) {
    const offset = selector & ~7;
    if (!descriptor || offset === 0 || offset + 7 > limit) continue;
    const [low = 0, high = 0] = [read(base + offset), read(base + offset + 4)];
    const raw = (low & 0xffff) | (high & 0xf0000);
    expect({
      base: ((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff000000)) >>> 0,
      limit: (high & 0x800000 ? ((raw << 12) | 0xfff) >>> 0 : raw) >>> 0,
      type: (high >>> 8) & 0xf,
      dpl: (high >>> 13) & 3,
      present: (high & 0x8000) !== 0,
    }).toEqual({
      base: descriptor.base,
      limit: descriptor.limit,
      type: descriptor.type,
      dpl: descriptor.dpl,
      present: true,
    });
  }
}

describe('the CPU’s own tables', () => {
  const knobs = fc.record(
    {
      ...shared,
      ring: fc.constantFrom(0, 1, 2, 3),
      paging: fc.constantFrom('off', '32-bit', 'pae'),
      gdt: fc.constantFrom('flat', 'none'),
      xenHost: fc.constantFrom(32, 64),
      privileged: fc.boolean(),
      era: fc.constantFrom('2.6.24', '2.6.29', '2.6.31', '3.0', '3.10', '4.13'),
    },
    { requiredKeys: [] },
  );

  it.each(PROTOCOLS.map(({ name }) => name))('are what the entry state of %s says', name => {
    const protocol = findProtocol(name);
    let made = 0;
    fc.assert(
      fc.property(knobs, given => {
        const { cmdline, initrdSize, ...others } = given;
        // Its hypervisor hands over no boot_params.
        const all = name === 'startup-paravirt' ? others : given;
        const known = Object.entries(all).filter(([knob]) =>
          protocol.knobs.some(each => each === knob || (each === 'initrd' && knob === 'initrdSize')),
        );
        const entry = entryOf(name, startableBy(name), Object.fromEntries(known));
        if (!entry) return;
        checkPageTables(entry);
        checkDescriptors(entry);
        made++;
      }),
      RUNS,
    );
    expect(made).toBeGreaterThan(5);
  });
});

describe('a domain of xen', () => {
  const kernel = fc.record({
    virtBase: fc.constantFrom(0, 0x40000000, 0x80001000, 0xbfc00000, 0xc0000000, 0xe0000000),
    paddrOffset: fc.constantFrom(0, 0x100000),
    size: fc.integer({ min: 1, max: 2 * MIB }),
    modStartPfn: fc.constantFrom(undefined, 0, 1),
    supportedFeatures: fc.constantFrom(undefined, 0x801),
  });
  const knobs = fc.record(
    { ...shared, xenHost: fc.constantFrom(32 as const, 64 as const), privileged: fc.boolean() },
    { requiredKeys: ['xenHost', 'privileged'] },
  );

  it('is laid out in order, with its page tables read-only and all its frames in both lists', () => {
    let made = 0;
    fc.assert(
      fc.property(kernel, knobs, ({ virtBase, paddrOffset, size, modStartPfn, supportedFeatures }, given) => {
        const { xenHost, privileged } = given;
        const start = virtBase + 0x200000 - paddrOffset;
        const image = xenKernel(
          {
            ...XEN_NOTES,
            virtBase,
            paddrOffset,
            entry: start,
            hypercallPage: start,
            ...(modStartPfn === undefined ? {} : { modStartPfn }),
            ...(supportedFeatures === undefined ? {} : { supportedFeatures }),
          },
          { segments: [segment('LOAD 0', 0x200000, start, new Uint8Array(8), size)] },
        );
        if (privileged && xenHost === 32 && virtBase === 0) return;
        const entry = entryOf('xen', image, given);
        if (!entry) return;
        made++;
        const walked = checkPageTables(entry);
        const { leaves = new Map(), tables = [] } = walked ?? {};
        const info = viewOf(entry, 'start_info');
        const word = (offset: number): number => info.getUint32(offset, true);
        const [bank] = entry.banks;
        const frames = (bank?.size ?? 0) / PAGE;

        // xen.h, start-of-day layout: page tables in one run, the only pages of the domain that it may not write.
        const [base, count] = [word(0x3c), word(0x40)];
        expect(base).toBe(entry.control.cr3);
        const own = (page: number): boolean => page >= virtBase && page < virtBase + frames * PAGE;
        expect(tables.filter(own)).toEqual(pagesOf(base, count));
        const readOnly = [...leaves].filter(([page, { flags }]) => own(page) && flags[0] === 0x21);
        expect(readOnly.map(([page]) => page).sort((a, b) => a - b)).toEqual(pagesOf(base, count));
        const spelled = [...leaves.values()].map(({ flags }) => [flags[0] & ~2, ...flags.slice(1)].join());
        expect([...new Set(spelled)]).toEqual([[0x21, 0x67, 0x01].join()]);
        // The L3's slot 3 is there even when nothing of the domain is in it: Xen's own part is.
        expect((readPhysical32(entry)(base + 24) ?? 0) & 1).toBe(1);

        // One stretch from VIRT_BASE to a multiple of 4 MiB, 512 KiB or more behind the stack.
        const mapped = [...leaves.keys()].filter(own).sort((a, b) => a - b);
        const end = (mapped.at(-1) ?? 0) + PAGE;
        expect(mapped.length).toBe((end - virtBase) / PAGE);
        expect([mapped[0], end % (4 * MIB)]).toEqual([virtBase, 0]);
        const esp = entry.registers.esp.value;
        expect(esp).toBe(base + (count + 1) * PAGE);
        expect(end - esp).toBeGreaterThanOrEqual(512 * 1024);

        const p2m = viewOf(entry, 'phys-to-machine list');
        const m2p = viewOf(entry, 'machine-to-phys table');
        expect([word(0x20), word(0x44)]).toEqual([frames, regionNamed(entry, 'phys-to-machine list').start]);
        for (let pfn = 0; pfn < frames; pfn++) {
          const mfn = p2m.getUint32(pfn * 4, true);
          if (mfn !== virtBase / PAGE + pfn || m2p.getUint32(mfn * 4, true) !== pfn)
            expect([pfn, mfn]).toBe('inverse');
        }

        const file = given.initrdSize ?? 0;
        const unmapped = modStartPfn === 1 && (privileged || xenHost === 64);
        expect(word(0x4c)).toBe(privileged ? file : pages(file) * PAGE);
        if (file > 0) {
          const at = unmapped ? virtBase + word(0x48) * PAGE : word(0x48);
          expect(regionNamed(entry, 'initrd').start).toBe(at);
          expect(leaves.has(at)).toBe(!unmapped);
        }
        const flags = privileged ? 0x3 : xenHost === 64 ? 0x10 : 0;
        expect(word(0x28)).toBe(flags | (file > 0 && unmapped ? 0x8 : 0));

        // Every part right behind the one before it.
        const image0 = start + pages(size) * PAGE;
        expect(regionNamed(entry, file > 0 && !unmapped ? 'initrd' : 'phys-to-machine list').start).toBe(
          Math.max(image0, start + PAGE),
        );
      }),
      RUNS,
    );
    expect(made).toBeGreaterThan(10);
  });
});

describe('a guest of lguest', () => {
  const knobs = fc.record(
    {
      ...shared,
      memory: fc.oneof(memory, fc.constant(64 * MIB)),
      paging: fc.constantFrom('32-bit' as const, 'pae' as const),
      era: fc.constantFrom('2.6.23', '2.6.24', '2.6.28', '2.6.29', '2.6.31', '2.6.38', '3.0'),
    },
    { requiredKeys: ['era', 'memory', 'paging'] },
  );
  const magic = new TextEncoder().encode('GenuineLguest');
  const image = vmlinux({ segments: [segment('LOAD 0', 0x100000, 0xc0100000, magic, 0x3000)] });
  const isBefore = (era: string, patch: number): boolean =>
    era.startsWith('2.6.') && Number(era.slice(4)) < patch;

  it('has tables of its own that map what the host maps, up to the initrd, with flags 7', () => {
    let made = 0;
    fc.assert(
      fc.property(knobs, given => {
        const { era, memory, paging } = given;
        if (paging === 'pae' && isBefore(era, 31)) return;
        const entry = entryOf('lguest', image, given);
        if (!entry) return;
        made++;
        const host = checkPageTables(entry);
        const tables = regionNamed(entry, 'linear page tables');
        const top = memory - pages(given.initrdSize ?? 0) * PAGE;
        expect(tables.start + tables.size).toBe(top);
        const guest = walkTables(entry, top - PAGE, paging);
        const flags = [...guest.leaves.values()].map(leaf => leaf.flags.slice(0, 2).join());
        expect([...new Set(flags)]).toEqual(['7,7']);
        const below = (leaves: ReadonlyMap<number, { physical: number }>) =>
          new Map(
            [...leaves]
              .map(([linear, { physical }]) => [linear, physical] as const)
              .filter(([linear]) => linear < 0xff800000)
              .sort(([a], [b]) => a - b),
          );
        expect([...below(guest.leaves)]).toEqual([...below(host?.leaves ?? new Map())]);
        const at = (linear: number): number | undefined => guest.leaves.get(linear)?.physical;
        expect([at(0), at(0xc0000000)]).toEqual([
          isBefore(era, 24) ? undefined : 0,
          isBefore(era, 24) || !isBefore(era, 29) ? 0 : undefined,
        ]);
      }),
      { ...RUNS, numRuns: 20 },
    );
    expect(made).toBeGreaterThan(8);
  });

  it('finds in boot_params what the launcher writes, and not a bit more', () => {
    fc.assert(
      fc.property(
        fc.record({ ...shared, era: fc.constantFrom('2.6.23', '2.6.24', '2.6.38', '3.0', '4.13') }),
        given => {
          const entry = entryOf('lguest', image, given);
          if (!entry) return;
          const params = bytesOf(entry, 'boot_params');
          const view = new DataView(params.buffer);
          const size = pages(given.initrdSize) * PAGE;
          const expected: readonly (readonly [offset: number, bytes: number, value: number])[] = [
            [0x1e8, 1, 1],
            [0x206, 2, isBefore(given.era, 24) ? 0 : 0x207],
            [0x210, 1, size > 0 ? 0xff : 0],
            [0x211, 1, isBefore(given.era, 24) ? 0 : 0x40],
            [0x218, 4, size > 0 ? given.memory - size : 0],
            [0x21c, 4, size],
            [0x228, 4, 0x1000],
            [0x230, 4, isBefore(given.era, 39) ? 0 : 0x1000000],
            [0x23c, 4, 1],
            [0x2d8, 4, given.memory],
            [0x2e0, 4, 1],
          ];
          for (const [offset, bytes, value] of expected) {
            const read = {
              1: view.getUint8(offset),
              2: view.getUint16(offset, true),
              4: view.getUint32(offset, true),
            };
            expect([offset.toString(16), read[bytes as 1 | 2 | 4]]).toEqual([offset.toString(16), value]);
            params.fill(0, offset, offset + bytes);
          }
          expect(params.findIndex(byte => byte !== 0)).toBe(-1);
        },
      ),
      RUNS,
    );
  });
});

describe('xen-startup32', () => {
  const knobs = fc.record(
    {
      ...shared,
      cmdline: fc.string({ maxLength: 255, unit: 'grapheme-ascii' }),
      xenHost: fc.constantFrom(32, 64),
      ring: fc.constantFrom(0, 1, 2, 3),
      paging: fc.constantFrom('32-bit', 'pae'),
      loadAddress: fc.constantFrom(0x200000, 0x400000, 0x600000),
    },
    { requiredKeys: [] },
  );

  it('maps all memory 1:1, its tables read-only, and boot_params leads to start_info', () => {
    let made = 0;
    fc.assert(
      fc.property(knobs, given => {
        const entry = entryOf('xen-startup32', bzImage({ relocatable: true }), given);
        if (!entry) return;
        made++;
        const { leaves = new Map(), tables = [] } = checkPageTables(entry) ?? {};
        const all = entry.banks[0]?.size ?? 0;
        const low = [...leaves.keys()].filter(page => page < all).sort((a, b) => a - b);
        expect(low).toEqual(pagesOf(0, all / PAGE));
        const info = viewOf(entry, 'start_info');
        const run = pagesOf(info.getUint32(0x3c, true), info.getUint32(0x40, true));
        expect(tables.filter(table => table < all)).toEqual(run);
        expect(low.filter(page => (leaves.get(page)?.flags[0] & 2) === 0)).toEqual(run);
        const params = viewOf(entry, 'boot_params');
        expect(params.getUint32(0x23c, true)).toBe(2);
        expect(params.getBigUint64(0x240, true)).toBe(BigInt(regionNamed(entry, 'start_info').start));
        expect([params.getUint32(0x218, true), params.getUint32(0x21c, true)]).toEqual([
          info.getUint32(0x48, true),
          info.getUint32(0x4c, true),
        ]);
      }),
      RUNS,
    );
    expect(made).toBeGreaterThan(10);
  });
});

describeEachEngine('a page table', engine => {
  /** Follows start_info to the top-level table, reads it, and writes it back. */
  const probe = [
    ...[0x8b, 0x5e, 0x3c], // mov 0x3c(%esi),%ebx
    ...[0x8b, 0x43, 0x18], // mov 0x18(%ebx),%eax
    ...[0x50], // push %eax
    ...[0x89, 0x43, 0x18], // mov %eax,0x18(%ebx)
  ];
  /** Of xen-startup32: boot_params leads to start_info. */
  const viaBootParams = [0x8b, 0xb6, 0x40, 0x02, 0x00, 0x00]; // mov 0x240(%esi),%esi
  const xen = (virtBase: number) =>
    xenKernel(
      { ...XEN_NOTES, virtBase, entry: virtBase + 0x100000, hypercallPage: virtBase + 0x101000 },
      {
        segments: [segment('LOAD 0', 0x100000, virtBase + 0x100000, Uint8Array.from(probe), 0x3000)],
      },
    );
  const code = Uint8Array.from([...viaBootParams, ...probe]);
  const startup32 = vmlinux({ segments: [segment('LOAD 0', 0x100000, 0xc0100000, code, 0x1000)] });

  it.each([
    ...[0xc0000000, 0x40000000].flatMap(virtBase =>
      ([{}, { xenHost: 32 }, { privileged: true }, { xenHost: 32, privileged: true }] as const).map(
        options => ['xen', xen(virtBase), { ...options, memory: 8 * MIB }] as const,
      ),
    ),
    ['xen-startup32', startup32, {}] as const,
    ['xen-startup32', startup32, { paging: '32-bit', xenHost: 32 }] as const,
  ])('of %s can be read and not written by the guest', async (name, image, options) => {
    const entry = findProtocol(name).entryState(image, options);
    using machine = Machine.open(await engine.load(), entry);
    const stop = machine.run();
    expect(stop).toMatchObject({
      kind: 'page-fault',
      access: 'write',
      address: entry.control.cr3 + 0x18,
      exception: { vector: 14, errorCode: 0b011 },
    });
    expect(stop.cpu.registers.eax & 1).toBe(1);
  });
});
