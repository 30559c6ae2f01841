/** Wrapped kernels in QEMU, whose `-kernel` runs the 16-bit setup code: from real mode to the kernel's own message. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, type TestContext } from 'vitest';
import { imageCatalog } from '../../images/catalog.ts';
import { type WrapOptions, wrapKernel } from '../../src/wrap/wrap.ts';
import { buildElf } from '../support/elf-builder.ts';
import { listing } from '../support/guest.ts';
import { kernelWith, noise } from './wrapped.ts';

const QEMU = 'qemu-system-i386';
const native = new Uint8Array(readFileSync(imageCatalog().find(({ name }) => name === 'native')?.file ?? ''));
const GREETING = 'native: paging is on, running above PAGE_OFFSET';

function needsQemu(context: TestContext): void {
  if (spawnSync(QEMU, ['--version']).error)
    context.skip(`${QEMU} is not installed; Debian has it in the package qemu-system-x86`);
}

/** Starts an image in QEMU, waits until a file holds what is wanted, and ends that QEMU. */
async function inQemu(
  image: Uint8Array,
  wanted: RegExp,
  drive: 'kernel' | 'floppy' = 'kernel',
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'startup32-qemu-'));
  const [file, serial] = [join(folder, 'image'), join(folder, 'serial')];
  writeFileSync(file, image);
  const medium =
    drive === 'kernel'
      ? ['-kernel', file, '-append', 'console=ttyS0 a=b']
      : ['-drive', `file=${file},format=raw,if=floppy,readonly=on`, '-boot', 'a'];
  const options = ['-display', 'none', '-no-reboot', '-m', '64', '-monitor', 'none'];
  const consoleOf = drive === 'kernel' ? ['-serial', `file:${serial}`] : ['-qmp', 'stdio', '-serial', 'none'];
  const qemu = spawn(QEMU, [...options, ...consoleOf, ...medium], {
    stdio: [drive === 'kernel' ? 'ignore' : 'pipe', 'ignore', 'ignore'],
  });
  let text = '';
  try {
    // About a minute: a machine that is busy needs several seconds for the BIOS alone.
    for (let tries = 0; tries < 300 && !wanted.test(text); tries++) {
      await sleep(200);
      if (drive === 'floppy') {
        // VGA text memory: a character and an attribute in turn.
        qemu.stdin?.write('{"execute":"qmp_capabilities"}\n');
        const dump = { execute: 'pmemsave', arguments: { val: 0xb8000, size: 4000, filename: serial } };
        qemu.stdin?.write(`${JSON.stringify(dump)}\n`);
      }
      const bytes = readIfThere(serial);
      text = drive === 'kernel' ? bytes.toString('latin1') : screen(bytes);
    }
    return text;
  } finally {
    const ended = new Promise<unknown>(resolve => qemu.once('exit', resolve));
    if (qemu.exitCode === null && qemu.kill()) await ended;
    rmSync(folder, { recursive: true });
  }
}

function readIfThere(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch {
    return Buffer.alloc(0);
  }
}

const screen = (bytes: Buffer): string =>
  Buffer.from(bytes.filter((_, index) => index % 2 === 0)).toString('latin1');

/** Writes type_of_loader, e820_entries, the magic of the header and the command line to COM1, with | between, and a newline. */
const REPORTER = listing(`
  ba f8 03 00 00              #     mov    $0x3f8,%edx
  8a 86 10 02 00 00 ee        #     mov    0x210(%esi),%al; out %al,(%dx)
  b0 7c ee                    #     mov    $'|',%al; out %al,(%dx)
  8a 86 e8 01 00 00 ee        #     mov    0x1e8(%esi),%al; out %al,(%dx)
  b0 7c ee                    #     mov    $'|',%al; out %al,(%dx)
  8a 86 02 02 00 00 ee        #     mov    0x202(%esi),%al; out %al,(%dx)
  8a 86 03 02 00 00 ee        #     mov    0x203(%esi),%al; out %al,(%dx)
  8a 86 04 02 00 00 ee        #     mov    0x204(%esi),%al; out %al,(%dx)
  8a 86 05 02 00 00 ee        #     mov    0x205(%esi),%al; out %al,(%dx)
  b0 7c ee                    #     mov    $'|',%al; out %al,(%dx)
  8b b6 28 02 00 00           #     mov    0x228(%esi),%esi
  ac                          # 1:  lods   (%esi),%al
  84 c0                       #     test   %al,%al
  74 03                       #     je     2f
  ee                          #     out    %al,(%dx)
  eb f8                       #     jmp    1b
  b0 0a ee                    # 2:  mov    $'\\n',%al; out %al,(%dx)
  f4                          # 3:  hlt
  eb fd                       #     jmp    3b
`);

const variants: readonly (readonly [string, WrapOptions])[] = [
  ['gzip', {}],
  ['not compressed', { compress: 'none' }],
  ['with an ELF header', { elfHeader: true }],
  ['with an ELF header and a changed magic', { mungeMagic: true }],
];

for (const [name, options] of variants) {
  it(`native, wrapped, prints its greeting: ${name}`, async context => {
    needsQemu(context);
    expect(await inQemu(await wrapKernel(native, options), /PAGE_OFFSET/)).toContain(GREETING);
  });
}

it('the stub says on the serial port that a CRC is wrong', async context => {
  needsQemu(context);
  const image = await wrapKernel(kernelWith({ physical: 0x300000, contents: noise(20_000, 1) }));
  image[image.length - 30_00] = (image.at(-30_00) ?? 0) ^ 0xff;
  expect(await inQemu(image, /\r\n/)).toMatch(/^startup32 wrap: the gzip payload /);
});

it('setup hands the command line, the memory map and the id of the loader to the kernel', async context => {
  needsQemu(context);
  const reporter = buildElf({ entry: 0x300000, segments: [{ physical: 0x300000, contents: REPORTER }] });
  const text = await inQemu(await wrapKernel(reporter), /\n/);
  // 0xb0 is QEMU (boot.rst, type_of_loader); SeaBIOS gives a PC of 64 MiB six or more ranges.
  const [id, entries, sum, line] = text.trim().split('|');
  expect(id).toBe('\u00b0');
  expect(entries?.charCodeAt(0)).toBeGreaterThanOrEqual(5);
  expect(sum).toBe('HdrS');
  expect(line).toBe('console=ttyS0 a=b');
});

for (const [name, options] of variants) {
  it(`started as a boot sector it says what it is: ${name}`, async context => {
    needsQemu(context);
    const text = await inQemu(await wrapKernel(native, options), /boot loader/, 'floppy');
    expect(text).toContain('This is a kernel image. Start it with a boot loader.');
  });
}
