import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PROTOCOLS, ProtocolError } from '../../boot-protocols/index.ts';
import type { EntryState } from '../../emulator/entry-state.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { bzImage, segment, startableBy, vmlinux, xenKernel } from './images.ts';
import { fingerprint } from './read.ts';

const MIB = 1024 * 1024;
const address = fc.oneof(
  fc.nat(0xffffffff),
  fc.nat(0xfff).map(page => page * 0x1000),
  fc.constantFrom(
    0,
    0x1000,
    0x9fc00,
    0xa0000,
    0x100000,
    0xc0000000,
    0xf5700000,
    0xf5800000,
    0xfffff000,
    0xffffffff,
  ),
);

/** Segments as a reader lets them pass: inside 4 GiB, not overlapping. */
const segments = fc
  .uniqueArray(fc.tuple(address, fc.nat(0x20000)), { minLength: 1, maxLength: 4 })
  .map(places => {
    let end = 0;
    return [...places]
      .sort(([a], [b]) => a - b)
      .flatMap(([start, size], index) => {
        const memorySize = Math.min(size + 1, 2 ** 32 - start);
        if (start < end) return [];
        end = start + memorySize;
        return [segment(`LOAD ${index}`, start, start, new Uint8Array(Math.min(16, memorySize)), memorySize)];
      });
  });

/** Half of the images start where they should, so that some get all the way. */
const atFirst = fc.boolean();
const elf = fc.record({ segments, entry: address, atFirst }).map(({ segments, entry: anywhere, atFirst }) => {
  const entry = atFirst ? (segments[0]?.physical ?? 0) : anywhere;
  const { notes } = xenKernel({ phys32Entry: entry });
  return vmlinux({ segments, entry, notes, multiboot: { offset: 0, flags: 3 } });
});
const xenElf = fc
  .record({
    segments,
    atFirst,
    high: fc.boolean(),
    virtBase: address,
    paddrOffset: address,
    entry: address,
    hypercallPage: fc.option(address),
  })
  .map(({ segments, atFirst, high, hypercallPage, ...notes }) => {
    const start = segments[0]?.physical ?? 0;
    const page = start - (start % 4096);
    const virtBase = high ? 0xc0000000 : page;
    const sound = { virtBase, paddrOffset: start, entry: virtBase };
    return xenKernel(
      {
        ...(atFirst ? sound : notes),
        xenVersion: 'xen-3.0',
        loader: 'generic',
        paeMode: 'yes',
        features: 'supervisor_mode_kernel',
        ...(hypercallPage === null ? {} : { hypercallPage }),
      },
      { segments },
    );
  });
const bz = fc
  .record({
    version: fc.nat(0xffff),
    loadflags: fc.nat(0xff),
    relocatable: fc.boolean(),
    kernelAlignment: address,
    prefAddress: address,
    initSize: fc.oneof(address, fc.nat(0x200000)),
    initrdAddrMax: address,
    cmdlineSize: address,
  })
  .map(fields => bzImage(fields));
const image: fc.Arbitrary<KernelImage> = fc.oneof(elf, xenElf, bz);

const options = fc.record(
  {
    memory: fc.oneof(
      fc.integer({ min: 1, max: 2048 }).map(n => n * 4096),
      fc.constantFrom(MIB, 64 * MIB),
    ),
    ring: fc.constantFrom(0, 1, 2, 3),
    paging: fc.constantFrom('off', '32-bit', 'pae'),
    gdt: fc.constantFrom('flat', 'none'),
    initrd: fc.nat(0x5000).map(size => new Uint8Array(size)),
    cmdline: fc.string({ maxLength: 300, unit: 'grapheme' }),
    loadAddress: address,
  },
  { requiredKeys: [] },
);

const endOf = (range: { start: number; size: number } | undefined): number =>
  range ? range.start + range.size : 0;

/** What every entry state keeps, whatever the image. */
function checkEntryState(entry: EntryState): void {
  const inBank = ({ start, size }: { start: number; size: number }): boolean =>
    entry.banks.some(b => b.start <= start && start + size <= b.start + b.size);
  expect(entry.regions.filter(r => !inBank(r) || (r.contents?.length ?? 0) > r.size)).toEqual([]);
  expect(entry.regions.filter((r, i, all) => r.start < endOf(all[i - 1]))).toEqual([]);
  expect(
    entry.banks.filter((b, i, all) => b.start < endOf(all[i - 1]) || b.start % 4096 || b.size % 4096),
  ).toEqual([]);
  expect(endOf(entry.banks.at(-1))).toBeLessThanOrEqual(2 ** 32);
  expect(entry.regions.some(r => r.start <= entry.eip && entry.eip < r.start + r.size)).toBe(true);
  expect(entry.paging.mode === 'off').toBe(entry.control.cr0 < 0x80000000);
}

it.each(PROTOCOLS.map(protocol => [protocol.name, protocol] as const))(
  '%s makes a sound entry state of any image, or throws a ProtocolError',
  (_, protocol) => {
    let made = 0;
    fc.assert(
      fc.property(image, options, (kernel, given) => {
        const known = Object.fromEntries(
          Object.entries(given).filter(([name]) => protocol.knobs.some(knob => knob === name)),
        );
        try {
          checkEntryState(protocol.entryState(kernel, known));
          made++;
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          expect(error.code).toMatch(/^[a-z0-9-]+$/);
          expect(error.message).not.toContain('\n');
        }
      }),
      { numRuns: 2000, seed: 32 },
    );
    // The seed is fixed, so that this says something about the images and not about luck.
    expect(made).toBeGreaterThan(3);
  },
);

it('makes the same entry state twice', () => {
  for (const protocol of PROTOCOLS) {
    const image = startableBy(protocol.name);
    expect(fingerprint(protocol.entryState(image, {}))).toBe(fingerprint(protocol.entryState(image, {})));
  }
});
