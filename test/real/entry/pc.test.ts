/**
 * `pc` against the setup code of real kernels: QEMU's `-kernel` reads the image as a boot loader does, SeaBIOS starts its
 * 16-bit entry, and the setup code of Linux in it goes to the 32-bit entry, where the guest is stopped.
 */
import { expect, test } from 'vitest';
import { pc } from '../../../boot-protocols/pc/protocol.ts';
import type { EntryState } from '../../../emulator/entry-state.ts';
import { stateReport } from '../../../src/report/state/json.ts';
import { structureReport } from '../../../src/report/state/structures.ts';
import { bytesOf } from '../../boot-protocols/read.ts';
import { findRealInput, type RealInput, realImage } from '../../support/real-input.ts';
import { brokenPromises } from './promises.ts';
import { atEntry, MEMORY, type RealEntry, requireQemu } from './qemu.ts';

/** Where QEMU puts an image with LOADED_HIGH (hw/i386/x86.c). */
const ENTRY = 0x100000;
const CMDLINE = 'console=ttyS0 quiet';
const INITRD = new Uint8Array(5000).fill(0x5a);

const LINUX = ['debian kernel', 'debian pae kernel', 'debian 11 pae kernel'] as const;

const pathOf = (input: RealInput): string => findRealInput(input)?.path ?? '';

/** Fields that a loader chooses, and that two loaders do not have to choose alike. */
const OF_THE_LOADER = [
  'hdr.type_of_loader',
  'hdr.code32_start',
  'hdr.ramdisk_image',
  'hdr.heap_end_ptr',
  'hdr.cmd_line_ptr',
];

/** What the setup code asks the BIOS for: Linux 6.1 arch/x86/boot/{main,video,memory,edd,apm}.c. */
const FROM_THE_BIOS = /^(screen_info|apm_bios_info|ist_info|edid_info|alt_mem_k|edd|e820|kbd_status)/;

/** The fields of boot_params whose values are not the same in both. */
async function differingFields(entry: EntryState, real: RealEntry): Promise<readonly string[]> {
  const [ours] = entry.structures;
  if (!ours) throw new Error('pc hands over no boot_params');
  const bytes = await real.read(real.registers.general.esi, ours.size);
  const theirs = structureReport({ ...ours, address: 0 }, withMemory(entry, bytes));
  const names = structureReport(ours, entry).fields;
  return theirs.fields.filter((field, index) => field.value !== names[index]?.value).map(({ name }) => name);
}

/** A state whose memory begins with the bytes. */
const withMemory = (entry: EntryState, contents: Uint8Array): EntryState => ({
  ...entry,
  regions: [
    {
      name: 'boot_params',
      start: 0,
      size: contents.length,
      owner: 'boot-data',
      contents,
      defined: true,
    },
  ],
});

for (const input of LINUX) {
  test(`${input}: its setup code hands over what pc says`, async context => {
    requireQemu(context);
    const image = realImage(context, input);
    if (image.format !== 'bzimage') throw new Error(`${input} is no bzImage`);
    const entry = pc.entryState(image, { memory: MEMORY, cmdline: CMDLINE, initrd: INITRD });
    await atEntry(
      {
        arguments: ['-kernel', pathOf(input), '-append', CMDLINE, '-initrd', '{initrd}'],
        files: { initrd: INITRD },
        entry: ENTRY,
      },
      async real => {
        expect(await brokenPromises(entry, real, ['esi'])).toEqual([]);
        await expectTheSetupCodesOwn(entry, real);

        const differing = await differingFields(entry, real);
        expect(differing.filter(name => !FROM_THE_BIOS.test(name))).toEqual(
          OF_THE_LOADER.filter(name => differing.includes(name)),
        );
        // Filled in by the setup code on a PC, and left zero here.
        expect(differing).toEqual(expect.arrayContaining(['screen_info.ext_mem_k', 'alt_mem_k']));
        const zero = stateReport(entry, image).structures[0]?.fields.filter(
          ({ name, by }) => FROM_THE_BIOS.test(name) && !name.startsWith('e820') && by !== 'zero',
        );
        expect(zero).toEqual([]);

        const view = new DataView((await real.read(real.registers.general.esi, 0x1000)).buffer);
        expect(view.getUint8(0x1ef), 'sentinel').toBe(0);
        expect(view.getUint32(0x21c, true), 'ramdisk_size').toBe(INITRD.length);
        const cmdline = await real.read(view.getUint32(0x228, true), CMDLINE.length + 1);
        expect(Buffer.from(cmdline).toString('latin1')).toBe(`${CMDLINE}\0`);
        expectTheSameMemoryBelow1Mib(new DataView(bytesOf(entry, 'boot_params').buffer), view);
      },
    );
  });
}

/** What pc gives as "as the setup code leaves it", and does not promise. */
async function expectTheSetupCodesOwn(entry: EntryState, real: RealEntry): Promise<void> {
  const { general, eflags, segments, ldtr, tr, gdtr, idtr, cr0, cr2, cr3, cr4, efer } = real.registers;
  expect(general.eax).toBe(ENTRY);
  expect([general.ecx, general.edx]).toEqual([entry.registers.ecx.value, entry.registers.edx.value]);
  expect(eflags).toBe(entry.eflags);
  expect([segments.fs.selector, segments.gs.selector]).toEqual([
    entry.segments.fs.selector,
    entry.segments.gs.selector,
  ]);
  expect(ldtr.selector).toBe(entry.ldtr.selector);
  expect({ selector: tr.selector, base: tr.base, limit: tr.limit }).toEqual({
    selector: entry.tr.selector,
    base: entry.tr.descriptor?.base,
    limit: entry.tr.descriptor?.limit,
  });
  expect(idtr).toEqual(entry.idtr);
  expect({ cr0, cr2, cr3, cr4, efer }).toEqual(entry.control);
  expect(gdtr.limit).toBe(entry.gdtr.limit);
  expect(await real.read(gdtr.base, gdtr.limit + 1)).toEqual(bytesOf(entry, 'loader GDT'));
}

const E820_TABLE = 0x2d0;
const E820_ENTRY = 20;

/** RAM, and what the BIOS reserves; above 1 MiB QEMU keeps the end of RAM for its ACPI tables. */
function expectTheSameMemoryBelow1Mib(ours: DataView, theirs: DataView): void {
  const entry = (view: DataView, index: number) => {
    const at = E820_TABLE + index * E820_ENTRY;
    return [view.getBigUint64(at, true), view.getBigUint64(at + 8, true), view.getUint32(at + 16, true)];
  };
  for (const index of [0, 1, 2]) expect(entry(theirs, index)).toEqual(entry(ours, index));
  const [start, size, type] = entry(theirs, 3);
  expect([start, type]).toEqual([0x100000n, 1]);
  expect(Number(size)).toBeLessThanOrEqual(MEMORY - ENTRY);
}

test('memtest86+ ia32: a setup code of its own keeps less than boot.rst asks of a loader', async context => {
  requireQemu(context);
  const image = realImage(context, 'memtest86+ ia32');
  const entry = pc.entryState(image, { memory: MEMORY });
  await atEntry({ arguments: ['-kernel', pathOf('memtest86+ ia32')], entry: ENTRY }, async real => {
    const broken = (await brokenPromises(entry, real, ['esi'])).map(text => text.split(':')[0]);
    // Segments of 128 MiB, and whatever the BIOS calls left in two registers.
    expect(broken).toEqual(expect.arrayContaining(['ebx', 'edi', 'cs limit', 'ds limit', 'GDT limit of cs']));
    expect(broken).not.toContain('cs selector');
    expect(broken).not.toContain('eflags');
    expect(broken).not.toContain('cr0');
  });
});
