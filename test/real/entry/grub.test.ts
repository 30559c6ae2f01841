/**
 * `multiboot` and `pc` against GRUB 2, whose disc grub-mkrescue makes (Debian: grub-common, grub-pc-bin, xorriso, mtools).
 * GRUB goes to a Linux kernel's 32-bit entry by itself, without its setup code.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, type TestContext, test } from 'vitest';
import { multiboot } from '../../../boot-protocols/multiboot/protocol.ts';
import { pc } from '../../../boot-protocols/pc/protocol.ts';
import { findRealInput, realImage } from '../../support/real-input.ts';
import { committedImage, textAt, viewAt } from './memory.ts';
import { brokenPromises } from './promises.ts';
import { atEntry, MEMORY, type RealEntry, type RealStart, requireQemu } from './qemu.ts';

const PROGRAM = 'grub-mkrescue';
const MULTIBOOT_MAGIC = 0x2badb002;

interface Disc {
  readonly kernel: string;
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Of the menu entry. */
  readonly commands: readonly string[];
}

/** Makes the disc, starts it, and stops at the kernel's entry. */
async function startedByGrub(
  context: TestContext,
  { kernel, files, commands }: Disc,
  start: Pick<RealStart, 'entry' | 'isEntry'>,
  look: (real: RealEntry) => Promise<void>,
): Promise<void> {
  requireQemu(context);
  if (spawnSync(PROGRAM, ['--version']).error) context.skip(`${PROGRAM} is not installed`);
  const directory = mkdtempSync(join(tmpdir(), 'startup32-grub-'));
  try {
    const boot = join(directory, 'disc', 'boot');
    mkdirSync(join(boot, 'grub'), { recursive: true });
    copyFileSync(kernel, join(boot, 'kernel'));
    for (const [name, contents] of Object.entries(files)) writeFileSync(join(boot, name), contents);
    writeFileSync(
      join(boot, 'grub', 'grub.cfg'),
      ['set timeout=0', 'menuentry kernel {', ...commands, '}', ''].join('\n'),
    );
    const disc = join(directory, 'grub.iso');
    const made = spawnSync(PROGRAM, ['-o', disc, join(directory, 'disc')], { encoding: 'utf8' });
    if (made.status !== 0) context.skip(`${PROGRAM} makes no disc here: ${made.stderr.trim()}`);
    await atEntry({ arguments: ['-cdrom', disc, '-boot', 'd'], ...start }, look);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

test('multiboot: every promise holds, and what GRUB leaves besides is where the state has it', async context => {
  const kernel = 'images/multiboot/multiboot.elf';
  const modules = [
    { name: 'first', contents: new TextEncoder().encode('the first module'), cmdline: 'arg' },
    { name: 'second', contents: new Uint8Array(5000).fill(0x5a), cmdline: 'arg2' },
  ];
  const entry = multiboot.entryState(committedImage(kernel), { memory: MEMORY, cmdline: 'x y', modules });
  const disc: Disc = {
    kernel,
    files: Object.fromEntries(modules.map(({ name, contents }) => [name, contents])),
    commands: [
      'multiboot /boot/kernel x y',
      ...modules.map(({ name, cmdline }) => `module /boot/${name} ${cmdline}`),
    ],
  };
  const isEntry: RealStart['isEntry'] = ({ general }) => general.eax === MULTIBOOT_MAGIC;
  await startedByGrub(context, disc, { entry: entry.eip, isEntry }, async real => {
    expect(await brokenPromises(entry, real, [])).toEqual([]);
    const { general, segments } = real.registers;
    // docs/protocols/multiboot.md, "GRUB 2 gives".
    expect([general.ecx, general.edx, general.esp]).toEqual([0, 0, 0x7ff00]);
    expect([segments.cs.selector, segments.ds.selector]).toEqual([0x10, 0x18]);

    const info = await viewAt(real, general.ebx, 0x74);
    const field = (offset: number): number => info.getUint32(offset, true);
    // Ours, the boot device and the section headers.
    expect(field(0x00)).toBe(0x24d | (1 << 1) | (1 << 5));
    expect(field(0x04), 'mem_lower').toBe(639);
    const command = field(0x10);
    expect(await textAt(real, command)).toBe('x y');
    expect(command).toBe(fieldOf('multiboot_info', 'cmdline'));
    expect(field(0x14), 'mods_count').toBe(2);
    const list = await viewAt(real, field(0x18), 2 * 16);
    for (const [index, { contents, cmdline }] of modules.entries()) {
      const [start = 0, end = 0, line = 0] = [0, 4, 8].map(at => list.getUint32(index * 16 + at, true));
      const region = entry.regions.find(({ name }) => name === `module ${index}`);
      expect([start, end - start]).toEqual([region?.start, contents.length]);
      expect(await real.read(start, contents.length)).toEqual(contents);
      expect(await textAt(real, line)).toBe(cmdline);
    }
  });

  /** A pointer in the state's own memory. */
  function fieldOf(structure: string, name: string): number {
    const found = entry.structures.find(candidate => candidate.name === structure);
    const region = entry.regions.find(({ name: of }) => of === structure);
    const offset = found?.fields.find(field => field.name === name)?.offset ?? 0;
    const contents = region?.contents ?? new Uint8Array(0);
    return new DataView(contents.buffer, contents.byteOffset).getUint32(offset, true);
  }
});

test('pc: GRUB goes to the 32-bit entry of a Linux kernel, and keeps every promise', async context => {
  const image = realImage(context, 'debian kernel');
  const initrd = new Uint8Array(5000).fill(0x5a);
  const entry = pc.entryState(image, { memory: MEMORY, cmdline: 'console=ttyS0', initrd });
  const disc: Disc = {
    kernel: findRealInput('debian kernel')?.path ?? '',
    files: { initrd },
    commands: ['linux /boot/kernel console=ttyS0', 'initrd /boot/initrd'],
  };
  // Loaded at pref_address, as by the state.
  await startedByGrub(context, disc, { entry: entry.eip }, async real => {
    expect(await brokenPromises(entry, real, ['esi'])).toEqual([]);
    const params = await viewAt(real, real.registers.general.esi, 0x1000);
    expect(params.getUint8(0x1ef), 'sentinel').toBe(0);
    expect(params.getUint8(0x210), 'type_of_loader: GRUB').toBe(0x72);
    expect(params.getUint8(0x211), 'loadflags').toBe(0x81);
    expect(params.getUint16(0x224, true), 'heap_end_ptr').toBe(0x8e00);
    expect(params.getUint32(0x214, true), 'code32_start').toBe(entry.eip);
    expect(params.getUint32(0x21c, true), 'ramdisk_size').toBe(initrd.length);
    const initrdAt = params.getUint32(0x218, true);
    expect(await real.read(initrdAt, initrd.length)).toEqual(initrd);
    expect(await textAt(real, params.getUint32(0x228, true))).toBe('BOOT_IMAGE=/boot/kernel console=ttyS0');
  });
});
