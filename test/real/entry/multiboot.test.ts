/** `multiboot` against QEMU's own Multiboot loader: hw/i386/multiboot.c and its option ROM, which are not GRUB. */
import { expect, test } from 'vitest';
import { multiboot } from '../../../boot-protocols/multiboot/protocol.ts';
import { structureReport } from '../../../src/report/state/structures.ts';
import { bytesOf } from '../../boot-protocols/read.ts';
import { committedImage, textAt, viewAt } from './memory.ts';
import { brokenPromises } from './promises.ts';
import { atEntry, MEMORY, requireQemu } from './qemu.ts';

const KERNEL = 'images/multiboot/multiboot.elf';
const FIRST = new TextEncoder().encode('the first module');
const SECOND = new Uint8Array(5000).fill(0x5a);

/** Bits of flags that every loader here sets: memory, command line, modules, memory map, loader's name. */
const FLAGS = 0x24d;

test('QEMU keeps every promise of the state, and hands over the same things in other places', async context => {
  requireQemu(context);
  const modules = [
    { name: 'first', contents: FIRST, cmdline: 'arg' },
    { name: 'second', contents: SECOND, cmdline: 'arg2' },
  ];
  const entry = multiboot.entryState(committedImage(KERNEL), { memory: MEMORY, cmdline: 'x y', modules });
  await atEntry(
    {
      arguments: ['-kernel', KERNEL, '-append', 'x y', '-initrd', '{first} arg,{second} arg2'],
      files: { first: FIRST, second: SECOND },
      entry: entry.eip,
    },
    async real => {
      expect(await brokenPromises(entry, real, ['ebx'])).toEqual([]);
      // No promise, and another loader's habit: other selectors, a GDT of its own in its ROM.
      expect(real.registers.segments.cs.selector).not.toBe(entry.segments.cs.selector);
      expect(real.registers.gdtr).not.toEqual(entry.gdtr);

      const info = await viewAt(real, real.registers.general.ebx, 0x74);
      const field = (offset: number): number => info.getUint32(offset, true);
      const ours = new DataView(bytesOf(entry, 'multiboot_info').buffer);
      expect(ours.getUint32(0, true)).toBe(FLAGS);
      expect(field(0x00) & FLAGS).toBe(FLAGS);
      expect(field(0x04), 'mem_lower').toBe(ours.getUint32(0x04, true));
      expect(field(0x08), 'mem_upper').toBeLessThanOrEqual(ours.getUint32(0x08, true));
      // QEMU puts the file's name in front, GRUB 2 and so the state do not.
      expect(await textAt(real, field(0x10))).toBe(`${KERNEL} x y`);
      expect(await textAt(real, field(0x40))).toBe('qemu');

      expect(field(0x14), 'mods_count').toBe(2);
      const list = await viewAt(real, field(0x18), 2 * 16);
      for (const [index, { contents, cmdline }] of modules.entries()) {
        const [start, end, line] = [0, 4, 8].map(at => list.getUint32(index * 16 + at, true));
        expect((end ?? 0) - (start ?? 0)).toBe(contents.length);
        expect(await real.read(start ?? 0, contents.length)).toEqual(contents);
        expect(await textAt(real, line ?? 0)).toMatch(new RegExp(` ${cmdline}$`));
      }
      await expectTheSameMap(field(0x30), field(0x2c));

      async function expectTheSameMap(address: number, length: number): Promise<void> {
        const map = await viewAt(real, address, length);
        const states = entry.structures
          .filter(({ name }) => name === 'multiboot_mmap_entry')
          .map(structure => structureReport(structure, entry).fields.map(({ value }) => BigInt(value)));
        const theirs = Array.from({ length: length / 24 }, (_, index) => [
          BigInt(map.getUint32(index * 24, true)),
          map.getBigUint64(index * 24 + 4, true),
          map.getBigUint64(index * 24 + 12, true),
          BigInt(map.getUint32(index * 24 + 20, true)),
        ]);
        // Below 1 MiB; above, QEMU keeps the end of RAM for its ACPI tables.
        expect(theirs.slice(0, 3)).toEqual(states.slice(0, 3));
        expect([theirs[3]?.[1], theirs[3]?.[3]]).toEqual([states[3]?.[1], states[3]?.[3]]);
      }
    },
  );
});
