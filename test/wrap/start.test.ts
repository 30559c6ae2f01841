/** A wrapped kernel is started as it would be without the stub: what is handed on, where it lies, what the stub touches. */
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { findProtocol, PROTOCOLS } from '../../boot-protocols/index.ts';
import type { BootOptions } from '../../boot-protocols/protocol.ts';
import { Machine } from '../../emulator/machine.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { imageCatalog } from '../../images/catalog.ts';
import { type BzImage, type KernelImage, readKernelImage } from '../../src/kernel-image/index.ts';
import { unpackKernel } from '../../src/unpack.ts';
import { wrapKernel } from '../../src/wrap/wrap.ts';
import { le32 } from '../support/elf-builder.ts';
import { describeEachEngine } from '../support/engines.ts';
import { relocatableKernel } from './relocatable.ts';
import { tool } from './tool.ts';
import { ENTRY, kernelWith, noise, start } from './wrapped.ts';

const DATA = 0x300000;
const kernel = kernelWith({ physical: DATA, contents: noise(6_000, 6), memorySize: 9_000 });
const built = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(imageCatalog().find(image => image.name === name)?.file ?? ''));

const wrappedKernel = await wrapKernel(kernel);

const selectors = ({ cpu }: Stop): Record<string, number> =>
  Object.fromEntries(Object.entries(cpu.segments).map(([name, { selector }]) => [name, selector]));

/** The protocols that run the code of a bzImage and give it boot_params, which startup-paravirt does not. */
const starters = PROTOCOLS.filter(protocol => !protocol.unpacks && protocol.name !== 'startup-paravirt')
  .filter(protocol => protocol.canStart(readKernelImage(wrappedKernel, { name: 'wrapped' })).ok)
  .map(protocol => protocol.name);

describeEachEngine('a wrapped kernel', engine => {
  let library: UnicornLibrary;
  beforeAll(async () => {
    library = await engine.load();
  });

  describe('under the contract', () => {
    const environments = ([0, 1, 2, 3] as const).flatMap(ring =>
      (['off', '32-bit', 'pae'] as const).flatMap(paging =>
        (['none', 'flat'] as const).map((gdt): BootOptions => ({ ring, paging, gdt, keepSegments: true })),
      ),
    );

    it.each(environments)('starts with what the loader gave, segments included: %o', async knobs => {
      const image = await wrapKernel(kernel);
      const first = start(library, image, 'contract', knobs, 0x100000, ({ stop }) => stop);
      start(library, image, 'contract', knobs, ENTRY, ({ stop, memory }) => {
        expect(stop.kind).toBe('reached');
        const { registers, eflags, control, cpl } = stop.cpu;
        const given = first.cpu;
        expect(registers).toMatchObject({
          eax: ENTRY, // jmp *%eax
          ebx: 0,
          esi: given.registers.esi,
          edi: given.registers.edi,
          ebp: given.registers.ebp,
        });
        expect(stop.cpu.segments).toEqual(given.segments);
        expect({ control, cpl }).toEqual({ control: given.control, cpl: given.cpl });
        expect(eflags & 0x600).toBe(0); // IF, DF
        expect(Buffer.compare(memory(DATA, 6_000), noise(6_000, 6))).toBe(0);
      });
    });

    it.each([1, 2, 3] as const)(
      'runs nothing in ring %i that another ring would do otherwise',
      async ring => {
        const image = await wrapKernel(kernel);
        start(library, image, 'contract', { ring, paging: '32-bit' }, ENTRY, ({ stop }) => {
          expect(stop.kind).toBe('reached');
          expect(stop.observations).toEqual([]);
        });
      },
    );

    it('with KEEP_SEGMENTS clear does cli and loads the segments, as Linux 2.6.24 to 5.6 does', async () => {
      const image = await wrapKernel(kernel);
      const knobs: BootOptions = { keepSegments: false, gdt: 'flat' };
      start(library, image, 'contract', { ...knobs, ring: 0 }, ENTRY, ({ stop }) => {
        expect(stop.kind).toBe('reached');
        expect(selectors(stop)).toEqual({ cs: 0x10, ss: 0x18, ds: 0x18, es: 0x18, fs: 0x18, gs: 0x18 });
      });
      start(library, image, 'contract', { ...knobs, ring: 1 }, ENTRY, ({ stop }) => {
        expect(stop).toMatchObject({ kind: 'iopl-sensitive-instruction', rule: 'cli' });
        expect(stop.instruction?.address).toBe(0x10000a);
      });
    });

    it('writes to four bytes of boot_params and to nothing else of the loader', async () => {
      const image = await wrapKernel(kernel);
      start(library, image, 'contract', { poison: true, cmdline: 'quiet' }, ENTRY, ({ stop, memory }) => {
        const bootParams = stop.cpu.registers.esi;
        const before = start(library, image, 'contract', { poison: true, cmdline: 'quiet' }, 0x100000, s =>
          s.memory(bootParams, 0x1000),
        );
        const after = memory(bootParams, 0x1000);
        const changed = [...after.keys()].filter(at => after[at] !== before[at]);
        expect(changed.filter(at => at < 0x1e4 || at >= 0x1e8)).toEqual([]);
      });
    });
  });

  it('clears what a segment has beyond its bytes in the file', async () => {
    start(library, await wrapKernel(kernel), 'contract', { poison: true }, ENTRY, ({ memory }) => {
      expect(memory(DATA + 6_000, 3_000).every(byte => byte === 0)).toBe(true);
    });
  });

  it('places many segments, in any order, whatever lies between them', async () => {
    const contents = [3, 1, 4, 1, 5, 9].map((size, i) => noise(size * 1111, i + 10));
    const segments = contents.map((bytes, i) => ({ physical: 0x900000 - i * 0x40000, contents: bytes }));
    for (const compress of ['none', 'gzip'] as const) {
      const image = await wrapKernel(kernelWith(...segments), { compress });
      start(library, image, 'contract', { paging: '32-bit' }, ENTRY, ({ stop, memory }) => {
        expect(stop.kind).toBe('reached');
        for (const { physical, contents } of segments)
          expect(Buffer.compare(memory(physical, contents.length), contents)).toBe(0);
      });
    }
  });

  it('enters at the physical address of a virtual e_entry', async () => {
    const { kernel: virtual, entry } = relocatableKernel({ fixed: true, virtualEntry: true });
    start(library, await wrapKernel(virtual), 'contract', {}, entry, ({ stop }) => {
      expect(stop.kind).toBe('reached');
    });
  });

  it('halts with the address of a message in eax where the payload is not for it', async ctx => {
    const payload = new Uint8Array(tool(ctx, 'xz', ['-c', '--check=crc32'], kernel));
    const image = await wrapKernel(kernel, { payload });
    const message =
      'startup32 wrap: this code cannot unpack xz; start the image with a loader that unpacks the payload itself\r\n';
    start(library, image, 'pc', {}, undefined, ({ stop, serial, memory }) => {
      expect(stop.kind).toBe('halt');
      expect(serial).toBe(message);
      const text = Buffer.from(memory(stop.cpu.registers.eax, message.length)).toString('latin1');
      expect(text).toBe(message);
    });
    start(library, image, 'contract', {}, undefined, ({ stop, memory }) => {
      expect(stop).toMatchObject({ kind: 'privileged-instruction', rule: 'hlt' });
      const text = Buffer.from(memory(stop.cpu.registers.eax, message.length)).toString('latin1');
      expect(text).toBe(message);
    });
    expect((await unpackKernel(bzImage(image))).entry).toBe(ENTRY);
  });

  it.each([0x100000, 0x400000, 0x1000000])(
    'moves a relocatable kernel that is loaded at %i',
    async loadAddress => {
      const { kernel: relocatable, entry, word } = relocatableKernel();
      const preferred = 0x400000;
      const moved = Math.max(loadAddress, preferred) - preferred;
      for (const compress of ['none', 'gzip'] as const) {
        const image = await wrapKernel(relocatable, { compress });
        start(
          library,
          image,
          'contract',
          { loadAddress, paging: '32-bit' },
          entry + moved,
          ({ stop, memory }) => {
            expect(stop.kind).toBe('reached');
            expect([...memory(word.physical + moved, 4)]).toEqual([...le32(word.value + moved)]);
          },
        );
      }
    },
  );

  it('keeps the relocation list where loaders that unpack look for it', async () => {
    const { kernel: relocatable, word } = relocatableKernel();
    const found = await unpackKernel(bzImage(await wrapKernel(relocatable)));
    expect(found.relocations).toEqual({ words: Uint32Array.of(word.virtual), linkedAt: 0x400000 });
  });

  it.each(starters)('starts under %s', async as => {
    const { knobs } = PROTOCOLS.find(protocol => protocol.name === as) ?? {};
    const keeps = knobs?.includes('keepSegments') ?? false;
    for (const options of [{}, { compress: 'none' }, { elfHeader: true }, { mungeMagic: true }] as const) {
      const image = await wrapKernel(kernel, options);
      start(library, image, as, keeps ? { keepSegments: true } : {}, ENTRY, ({ stop }) => {
        if (keeps || stop.cpu.cpl === 0) expect(stop.kind).toBe('reached');
        // Without KEEP_SEGMENTS the stub does what Linux does, and that needs ring 0.
        else expect(stop).toMatchObject({ kind: 'iopl-sensitive-instruction', rule: 'cli' });
      });
    }
  });

  // What the pages of the images say of them, and more instructions than they have before that.
  it.each([
    ['paravirt', 'lguest', { kind: 'hypercall', number: 1 }],
    ['lguest-hello', 'lguest', { kind: 'hypercall', number: 1 }],
    ['native', 'contract', { kind: 'iopl-sensitive-instruction', rule: 'cli' }],
    ['native', 'pc', { kind: 'halt' }],
  ] as const)('of images/%s stops under %s where that stops by itself', async (name, as, expected) => {
    start(library, await wrapKernel(built(name)), as, { keepSegments: true }, undefined, ({ stop }) => {
      expect(stop).toMatchObject(expected);
      expect(stop.instructions).toBeGreaterThan(10_000);
    });
  });

  describe.each(['paravirt', 'native', 'xen-hello', 'lguest-hello'])('of images/%s', name => {
    it('unpacks to the same kernel', async () => {
      const file = built(name);
      for (const compress of ['none', 'gzip'] as const) {
        const found = await unpackKernel(bzImage(await wrapKernel(file, { compress })));
        const plain = readKernelImage(file, { name });
        expect(found.sha256).toBe(plain.sha256);
        expect(found.segments).toEqual(plain.segments);
      }
    });
  });

  it('has protocols to be started by', () => {
    expect(starters).toEqual(expect.arrayContaining(['pc', 'lguest', 'contract']));
  });

  it.each([
    ['xen', 'xen-hello'],
    ['xen-supervisor', 'xen-ring0'],
    ['pvh', 'pvh-hello'],
  ])('starts under %s by the notes of images/%s as it does without the stub', async (as, name) => {
    const protocol = findProtocol(as);
    const plain = readKernelImage(built(name), { name });
    const image = bzImage(await wrapKernel(built(name), { mungeMagic: true, notes: 'keep' }));
    expect(image.notes.map(({ owner, type, description }) => ({ owner, type, description }))).toEqual(
      plain.notes.map(({ owner, type, description }) => ({ owner, type, description })),
    );
    const stopOf = (kernel: KernelImage): Stop => {
      const machine = Machine.open(library, protocol.entryState(kernel, {}));
      try {
        return machine.run();
      } finally {
        machine.close();
      }
    };
    expect(stopOf(await unpackKernel(image))).toEqual(stopOf(plain));
  });
});

function bzImage(bytes: Uint8Array): BzImage {
  const image = readKernelImage(bytes, { name: 'wrapped' });
  if (image.format !== 'bzimage') throw new Error(image.format);
  return image;
}
