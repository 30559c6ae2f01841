/** What the images' pages say about the files, read by GNU binutils: a second opinion on every expected.json. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, type TestContext, test } from 'vitest';
import { type CatalogImage, expectationTitle, imageCatalog } from '../../images/catalog.ts';

const PAGE_OFFSET = 0xc0000000;

const outputs = new Map<string, string>();

function tool(ctx: TestContext, name: 'nm' | 'objdump' | 'readelf', options: readonly string[]): string {
  const command = [name, ...options].join(' ');
  try {
    const output =
      outputs.get(command) ??
      execFileSync(name, options, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
    outputs.set(command, output);
    return output;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    const reason = `${name} is not installed; Debian has it in the package binutils`;
    if (process.env.CI === 'true') throw new Error(reason);
    return ctx.skip(reason);
  }
}

function symbols(ctx: TestContext, file: string): ReadonlyMap<string, number> {
  const lines = tool(ctx, 'nm', [file]).trimEnd().split('\n');
  return new Map(lines.map(line => [line.slice(11), Number.parseInt(line.slice(0, 8), 16)]));
}

/** Instruction texts by address, with single spaces and without the names that objdump adds. */
function disassembly(ctx: TestContext, image: CatalogImage): ReadonlyMap<number, string> {
  // In a bzImage the 32-bit code starts at file offset 0x400 (setup_sects 1) and is loaded at 0x100000.
  const raw = ['-D', '-b', 'binary', '-m', 'i386', '--adjust-vma=0xffc00', '--start-address=0x100000'];
  const options = image.format === 'elf' ? ['-d'] : raw;
  const text = tool(ctx, 'objdump', [...options, '--no-show-raw-insn', image.file]);
  const found = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [, address, instruction] = /^ *([0-9a-f]+):\s+(.*)$/.exec(line) ?? [];
    if (address === undefined || instruction === undefined) continue;
    found.set(Number.parseInt(address, 16), instruction.replace(/ <.*/, '').replace(/\s+/g, ' ').trim());
  }
  return found;
}

const elfImages = imageCatalog().filter(({ format }) => format === 'elf');

for (const image of elfImages) {
  describe(image.name, () => {
    for (const expectation of image.expected) {
      // A Stop outside the image, in a ROM, is in no symbol table.
      if (expectation.stop.at === undefined) continue;
      test(`${expectationTitle(expectation)}: the place is where the symbol table and the listing have it`, ctx => {
        const { at = '', address, instruction } = expectation.stop;
        const [name = '', offset = ''] = at.split('+');
        const link = (symbols(ctx, image.file).get(name) ?? Number.NaN) + Number(offset);
        const linear = Number(address);
        // Before a kernel runs at its link addresses, a symbol is PAGE_OFFSET below them.
        expect([link, link - PAGE_OFFSET]).toContain(linear);
        // The hypercall page is empty in the file: Xen fills it.
        if (name !== 'hypercall_page') expect(disassembly(ctx, image).get(link)).toBe(instruction);
      });
    }
  });
}

/** What makes these images what they are is their entry, and of xen-legacy its physical addresses: see their pages. */
const OTHER_ENTRY: ReadonlySet<string> = new Set(['xen-legacy', 'xen-no-entry']);

test('every ELF image enters at startup_32, 1 MiB up, and is linked PAGE_OFFSET above that', ctx => {
  const others = new Set([...OTHER_ENTRY, 'multiboot']);
  for (const { name, file } of elfImages.filter(image => !others.has(image.name))) {
    const header = tool(ctx, 'readelf', ['-hlW', file]);
    expect(header, name).toMatch(/Type: +EXEC/);
    expect(header, name).toMatch(/Entry point address: +0x100000$/m);
    expect(header, name).toMatch(/^ +LOAD +0x001000 0xc0100000 0x00100000 .* R E 0x1000$/m);
    expect(symbols(ctx, file).get('startup_32'), name).toBe(0xc0100000);
  }
});

test('the Xen images that enter at e_entry have a virtual address there', ctx => {
  for (const name of OTHER_ENTRY) {
    const file = elfImages.find(image => image.name === name)?.file ?? '';
    expect(tool(ctx, 'readelf', ['-hlW', file]), name).toMatch(/Entry point address: +0xc0100000$/m);
  }
  const legacy = elfImages.find(image => image.name === 'xen-legacy')?.file ?? '';
  const header = tool(ctx, 'readelf', ['-hlW', legacy]);
  expect(header).toMatch(/^ +LOAD +0x001000 0xc0100000 0xc0100000 .* R E 0x1000$/m);
  expect(header).not.toContain('NOTE');
  expect(tool(ctx, 'readelf', ['-p', '__xen_guest', legacy])).toContain('VIRT_BASE=0xC0000000,VIRT_ENTRY=');
});

test('multiboot begins with its header and enters behind it, at a virtual address', ctx => {
  const file = elfImages.find(({ name }) => name === 'multiboot')?.file ?? '';
  expect(tool(ctx, 'readelf', ['-hlW', file])).toMatch(/Entry point address: +0xc010000c$/m);
  const bytes = readFileSync(file);
  const words = [bytes.readUInt32LE(0x1000), bytes.readUInt32LE(0x1004), bytes.readUInt32LE(0x1008)];
  expect(words.slice(0, 2)).toEqual([0x1badb002, 3]);
  expect(words.reduce((sum, word) => sum + word, 0) % 2 ** 32).toBe(0);
});

test('native begins with the bytes that the README shows', () => {
  const native = imageCatalog().find(({ name }) => name === 'native');
  const code = readFileSync(native?.file ?? '').subarray(0x1000, 0x1009);
  // cld; cli; lgdtl 0x100120
  expect(code.toString('hex')).toBe('fcfa0f011520011000');
});

test('pvh-hello has the one note that a PVH guest needs', ctx => {
  const file = imageCatalog().find(({ name }) => name === 'pvh-hello')?.file ?? '';
  const notes = tool(ctx, 'readelf', ['-nW', file]);
  expect(notes).toMatch(/Xen +0x00000004\t.*\(0x00000012\)\s+description data: 04 00 10 00/);
  expect(symbols(ctx, file).get('pvh_start')).toBe(0xc0100004);
});

test('the Xen images carry their notes in a PT_NOTE segment', ctx => {
  for (const name of ['xen-hello', 'ud2-xen']) {
    const file = imageCatalog().find(image => image.name === name)?.file ?? '';
    expect(tool(ctx, 'readelf', ['-lW', file])).toMatch(/^ +NOTE +0x/m);
    const notes = tool(ctx, 'readelf', ['-nW', file]);
    expect(notes.match(/^ +Xen +0x/gm)).toHaveLength(name === 'xen-hello' ? 10 : 7);
  }
});

test('bzimage: the setup header is that of protocol 2.10, and the payload is paravirt.elf', () => {
  const catalog = imageCatalog();
  const file = readFileSync(catalog.find(({ name }) => name === 'bzimage')?.file ?? '');
  const paravirt = readFileSync(catalog.find(({ name }) => name === 'paravirt')?.file ?? '');
  expect(file.readUInt8(0x1f1)).toBe(1); // setup_sects
  expect(file.readUInt16LE(0x1fe)).toBe(0xaa55);
  expect(0x202 + file.readUInt8(0x201)).toBe(0x264); // init_size is the last field of 2.10
  expect(file.toString('latin1', 0x202, 0x206)).toBe('HdrS');
  expect(file.readUInt16LE(0x206)).toBe(0x020a);
  const version = 0x200 + file.readUInt16LE(0x20e);
  expect(file.toString('latin1', version, file.indexOf(0, version))).toBe('startup32 bzimage (paravirt)');
  expect(file.readUInt32LE(0x214)).toBe(0x100000); // code32_start
  expect(file.readUInt8(0x234)).toBe(1); // relocatable_kernel
  expect(file.readBigUInt64LE(0x258)).toBe(0x100000n); // pref_address
  expect(file.readUInt32LE(0x260)).toBe(0x10000); // init_size
  const protectedMode = file.subarray(2 * 512);
  expect(file.readUInt32LE(0x1f4) * 16).toBe(protectedMode.length); // syssize
  const payload = file.readUInt32LE(0x248);
  const length = file.readUInt32LE(0x24c);
  expect(protectedMode.subarray(payload, payload + length).equals(paravirt)).toBe(true);
});
