/**
 * Real stubs: Linux's decompressor, run to its hand-over to the kernel proper. On the native engine alone: the embedded one
 * would take an hour.
 */
import { describe, expect, type TestContext, test } from 'vitest';
import { findProtocol } from '../../boot-protocols/index.ts';
import { Machine } from '../../emulator/machine.ts';
import type { Stop } from '../../emulator/stop.ts';
import { loadUnicorn } from '../../emulator/unicorn/load.ts';
import { type BzImage, type ElfImage, relocate } from '../../src/kernel-image/index.ts';
import { unpackKernel } from '../../src/unpack.ts';
import { payloadEntryCode } from '../../src/until-payload.ts';
import { nativeMissing } from '../support/engines.ts';
import { type RealInput, realImage } from '../support/real-input.ts';

const MEMORY = 256 * 1024 * 1024;

async function handOver(
  ctx: TestContext,
  input: RealInput,
  cmdline: string,
  look: (machine: Machine, stop: Stop, kernel: ElfImage) => void = () => {},
) {
  const image = realImage(ctx, input);
  if (nativeMissing !== undefined) return ctx.skip(nativeMissing);
  if (image.format !== 'bzimage') throw new Error(`${input} is no bzImage`);
  const kernel = await unpackKernel(image);
  const untilCode = payloadEntryCode(kernel);
  const entry = findProtocol('pc').entryState(image, { memory: MEMORY, cmdline });
  using machine = Machine.open(await loadUnicorn({ engine: 'libunicorn' }), entry);
  const stop = await machine.runAsync({
    untilCode,
    instructions: Number.POSITIVE_INFINITY,
    count: 'beginning',
  });
  look(machine, stop, kernel);
  return { image, entry, stop };
}

/** Linux 6.1 arch/x86/boot/compressed/head_32.S: what startup_32 of the kernel proper is entered with. */
function expectState(stop: Stop, bootParams: number): void {
  const { registers, segments, control, eflags, gdtr } = stop.cpu;
  expect(registers.esi).toBe(bootParams);
  expect(registers.ebx).toBe(0);
  expect(control).toMatchObject({ cr0: 0x11, cr3: 0, cr4: 0 });
  // IF and DF.
  expect(eflags & 0x600).toBe(0);
  expect(segments.cs.selector).toBe(0x10);
  expect([segments.ds, segments.es, segments.ss].map(({ selector }) => selector)).toEqual([0x18, 0x18, 0x18]);
  // Its own GDT of four entries, in the copy of the stub.
  expect(gdtr.limit).toBe(0x1f);
  // LOAD_PHYSICAL_ADDR is 16 MiB.
  expect(stop.cpu.eip).toBeGreaterThanOrEqual(0x1000000);
}

const address = (image: BzImage, stop: Stop): number => stop.cpu.eip % image.setup.kernelAlignment;

/** Where the bytes of the kernel proper in memory are not those of the image. */
function differences(machine: Machine, image: ElfImage): readonly string[] {
  return image.segments.flatMap(({ name, physical, contents }) => {
    const memory = machine.readMemory(physical, contents.length);
    const at = contents.findIndex((byte, index) => byte !== memory[index]);
    return at < 0 ? [] : [`${name} at 0x${(physical + at).toString(16)}`];
  });
}

/** At another address, with no word changed. */
const moved = (kernel: ElfImage, physical: number): ElfImage['segments'] =>
  kernel.segments.map(segment => ({
    ...segment,
    physical: segment.physical + physical - (kernel.relocations?.linkedAt ?? 0),
  }));

describe.each(['debian kernel', 'debian pae kernel', 'debian 11 pae kernel'] as const)('%s', input => {
  test('with nokaslr the kernel proper is where it is linked for', async ctx => {
    const { entry, stop } = await handOver(ctx, input, 'nokaslr');
    expect(stop).toMatchObject({ kind: 'reached', address: 0x1000000 });
    expectState(stop, entry.registers.esi.value);
  });

  test('with KASLR it is elsewhere, and is found there, every byte as relocate() has it', async ctx => {
    const { image, entry, stop } = await handOver(ctx, input, '', (machine, { cpu }, kernel) => {
      expect(differences(machine, relocate(kernel, cpu.eip))).toEqual([]);
      // The words of the list are what makes the difference.
      expect(
        differences(machine, { ...relocate(kernel, cpu.eip), segments: moved(kernel, cpu.eip) }),
      ).not.toEqual([]);
    });
    expect(stop.kind).toBe('reached');
    expect(stop.cpu.eip).not.toBe(0x1000000);
    expect(address(image, stop)).toBe(0);
    expectState(stop, entry.registers.esi.value);
  });
});
