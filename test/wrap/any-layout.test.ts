/** Kernels with their segments anywhere: wrapped, each does what it does without the stub. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { findProtocol } from '../../boot-protocols/index.ts';
import type { BootOptions, ProtocolName } from '../../boot-protocols/protocol.ts';
import { Machine } from '../../emulator/machine.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { TraceEvent } from '../../emulator/trace.ts';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { type ElfImage, KernelImageError, readKernelImage } from '../../src/kernel-image/index.ts';
import { unpackKernel } from '../../src/unpack.ts';
import { payloadEntryCode } from '../../src/until-payload.ts';
import { wrapKernel } from '../../src/wrap/wrap.ts';
import { buildElf, bytesOf, le32, type SegmentSpec } from '../support/elf-builder.ts';
import { describeEachEngine } from '../support/engines.ts';
import { noise } from './wrapped.ts';

const MIB = 2 ** 20;
const SEED = 32;
/** Far above what the stub needs for one of these. */
const BUDGET = 3_000_000;
/** Bytes of a segment that are looked at. */
const SAMPLES = 64;

interface Layout {
  readonly segments: readonly Required<Pick<SegmentSpec, 'physical' | 'contents' | 'memorySize'>>[];
  readonly entry: number;
  /** p_vaddr - p_paddr */
  readonly offset: number;
}

const place = fc.oneof(
  // Over the stub, which is loaded at 1 MiB.
  fc.integer({ min: MIB, max: MIB + 0x8000 }),
  fc.integer({ min: MIB, max: 24 * MIB }),
  fc.integer({ min: 0x101, max: 0x1000 }).map(page => page * 0x1000),
);
const layout: fc.Arbitrary<Layout> = fc.record({
  segments: fc.array(
    fc
      .record({
        physical: place,
        size: fc.constantFrom(0, 1, 3, 100, 4096, 6001),
        seed: fc.integer({ min: 1, max: 0xffff }),
        more: fc.constantFrom(0, 0, 1, 17, 4096, 100_000),
      })
      .map(({ physical, size, seed, more }) => ({
        physical,
        contents: noise(size, seed),
        memorySize: size + more,
      })),
    { maxLength: 4 },
  ),
  entry: place,
  offset: fc.constantFrom(0, 0xc0000000),
});

/** A kernel that hashes bytes from all over its segments into %eax, and halts. */
function kernelOf({ segments, entry, offset }: Layout): Uint8Array {
  const sums = segments
    .filter(({ memorySize }) => memorySize > 0)
    .map(({ physical, memorySize }) => {
      const stride = Math.ceil(memorySize / SAMPLES);
      return bytesOf(
        [0xbe, ...le32(physical)], // mov $physical,%esi
        [0xb9, ...le32(Math.ceil(memorySize / stride))], // mov $count,%ecx
        [0x0f, 0xb6, 0x16], // movzbl (%esi),%edx
        [0xc1, 0xc0, 0x05, 0x01, 0xd0], // rol $5,%eax; add %edx,%eax
        [0x81, 0xc6, ...le32(stride)], // add $stride,%esi
        [0x49, 0x75, 0xef], // dec %ecx; jnz to the movzbl
      );
    });
  const clear = [0x31, 0xc0, 0x31, 0xc9, 0x31, 0xd2, 0x31, 0xf6]; // xor of %eax, %ecx, %edx, %esi
  const code = bytesOf(clear, ...sums, [0xf4]); // hlt
  return buildElf({
    entry: entry + offset,
    segments: [...segments, { physical: entry, contents: code }].map(each => ({
      ...each,
      virtual: each.physical + offset,
    })),
  });
}

interface Behaviour {
  readonly end: Pick<Stop, 'kind'> & { readonly registers: readonly number[] };
  readonly way: readonly TraceEvent[];
}

/** From where the machine stands to its next Stop. */
function behaviour(machine: Machine, retired: number): Behaviour {
  const way: TraceEvent[] = [];
  const { kind, cpu } = machine.run({
    instructions: retired + BUDGET,
    trace: event => {
      if (event.type === 'run') way.push(event);
    },
  });
  const { eax, ecx, edx, esi } = cpu.registers;
  return { end: { kind, registers: [cpu.eip, eax, ecx, edx, esi] }, way };
}

const started = (library: UnicornLibrary, bytes: Uint8Array, as: ProtocolName, knobs: BootOptions): Machine =>
  Machine.open(library, findProtocol(as).entryState(readKernelImage(bytes, { name: 'kernel' }), knobs));

const loader = fc.oneof(
  fc.record({ as: fc.constantFrom<ProtocolName>('pc', 'kexec', 'vmi'), knobs: fc.constant<BootOptions>({}) }),
  fc.record({
    as: fc.constant<ProtocolName>('contract'),
    knobs: fc.record<BootOptions>({
      ring: fc.constantFrom(0, 1, 2, 3),
      paging: fc.constantFrom('off', '32-bit', 'pae'),
      gdt: fc.constantFrom('flat', 'none'),
      keepSegments: fc.constant(true),
    }),
  }),
);
const options = fc.constantFrom(
  {},
  { compress: 'none' },
  { elfHeader: true },
  { mungeMagic: true, notes: 'keep' },
  { compress: 'none', elfHeader: true, notes: 'keep' },
) satisfies fc.Arbitrary<Parameters<typeof wrapKernel>[1]>;

describeEachEngine('a kernel of any layout', engine => {
  it('does, wrapped, what it does without the stub', async () => {
    const library = await engine.load();
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(layout, loader, options, fc.boolean(), async (kernel, { as, knobs }, wrap, poison) => {
        const bytes = kernelOf(kernel);
        let image: Uint8Array;
        try {
          image = await wrapKernel(bytes, wrap);
        } catch (error) {
          // Segments that overlap are no image at all.
          if (!(error instanceof KernelImageError) || error.code !== 'segments-overlap') throw error;
          return;
        }
        const given: BootOptions = { ...knobs, poison };
        const bzImage = readKernelImage(image, { name: 'wrapped' });
        if (bzImage.format !== 'bzimage') throw new Error('not a bzImage');
        const proper: ElfImage = await unpackKernel(bzImage);
        using wrapped = started(library, image, as, given);
        const untilCode = payloadEntryCode(proper, bzImage);
        const handOver = wrapped.run({ untilCode, instructions: BUDGET, count: 'always' });
        expect(handOver).toMatchObject({ kind: 'reached', address: kernel.entry });
        using alone = started(library, bytes, as, given);
        expect(behaviour(wrapped, handOver.instructions)).toEqual(behaviour(alone, 0));
        compared++;
      }),
      { numRuns: 16, seed: SEED },
    );
    // The seed is fixed, so that this says something about the layouts and not about luck.
    expect(compared).toBeGreaterThan(10);
  });
});
