/**
 * The names that distribution kernels without a symbol table have from kallsyms, against what the same ELF file says of its
 * addresses in other places: its sections, its notes, and the table of what it exports to modules.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { createSymbolizer, decodeXenNotes, readKallsyms, relocate } from '../../src/kernel-image/index.ts';
import type { ElfImage, SectionHeader } from '../../src/kernel-image/kernel-image.ts';
import { unpackKernel } from '../../src/unpack.ts';
import { type RealInput, realImage } from '../support/real-input.ts';

/** CONFIG_PAGE_OFFSET of Debian's i386 kernels. */
const PAGE_OFFSET = 0xc0000000;

/** ELF: the section holds instructions. */
const SHF_EXECINSTR = 4;

/** The words that the image has at a virtual address. */
function dataAt(image: ElfImage, address: number): DataView {
  const segment = image.segments.find(
    ({ virtual, contents }) => address >= virtual && address < virtual + contents.length,
  );
  if (segment === undefined) throw new Error(`no segment holds 0x${address.toString(16)}`);
  const { buffer, byteOffset, length } = segment.contents;
  const offset = address - segment.virtual;
  return new DataView(buffer, byteOffset + offset, length - offset);
}

function textAt(image: ElfImage, address: number): string {
  const data = dataAt(image, address);
  const characters: number[] = [];
  for (let at = 0; data.getUint8(at) !== 0; at++) characters.push(data.getUint8(at));
  return String.fromCharCode(...characters);
}

const section = (image: ElfImage, name: string): SectionHeader => {
  const found = image.sections.find(candidate => candidate.name === name);
  if (found === undefined) throw new Error(`${image.name} has no section ${name}`);
  return found;
};

/**
 * What the kernel exports: struct kernel_symbol of Linux 5.4 to 6.3 (include/linux/export.h), three words, each the distance
 * from itself (CONFIG_HAVE_ARCH_PREL32_RELOCATIONS) to the symbol, its name and its namespace.
 */
function* exportsOf(image: ElfImage): Generator<{ readonly name: string; readonly address: number }> {
  for (const table of ['__ksymtab', '__ksymtab_gpl'].map(name => section(image, name))) {
    for (let at = table.address; at < table.address + table.size; at += 12) {
      const entry = dataAt(image, at);
      yield {
        address: (at + entry.getInt32(0, true)) >>> 0,
        name: textAt(image, (at + 4 + entry.getInt32(4, true)) >>> 0),
      };
    }
  }
}

const KERNELS = ['debian kernel', 'debian pae kernel', 'debian 11 pae kernel'] as const;

/** Each is unpacked once. */
const unpacked = new Map<RealInput, Promise<ElfImage>>();

describe.each(KERNELS)('the kernel proper of the %s', input => {
  let image: ElfImage;
  const addressOf = (name: string): number | undefined =>
    image.symbols.find(symbol => symbol.name === name)?.address;

  beforeEach(async ctx => {
    const container = realImage(ctx, input);
    if (container.format !== 'bzimage') throw new Error(`${container.name} is no bzImage`);
    const kernel = unpacked.get(input) ?? unpackKernel(container);
    unpacked.set(input, kernel);
    image = await kernel;
  });

  test('has symbols from kallsyms', () => {
    expect(image.symbolSource).toBe('kallsyms');
    expect(image.warnings).toEqual([]);
    expect(image.symbols.length).toBeGreaterThan(40_000);
  });

  test('has startup_32 where the ELF header has its entry', () => {
    expect(image.entry).toBe(0x1000000);
    expect(addressOf('startup_32')).toBe(image.entry + PAGE_OFFSET);
    expect(createSymbolizer(image).symbolAt(image.entry, 'physical')).toEqual({
      name: 'startup_32',
      offset: 0,
    });
  });

  test('has the ends of its text where its section headers have them', () => {
    const text = section(image, '.text');
    const initText = section(image, '.init.text');
    expect({
      _text: addressOf('_text'),
      _etext: addressOf('_etext'),
      _sinittext: addressOf('_sinittext'),
      _einittext: addressOf('_einittext'),
    }).toEqual({
      _text: text.address,
      _etext: text.address + text.size,
      _sinittext: initText.address,
      _einittext: initText.address + initText.size,
    });
  });

  test('has every function that it exports to modules at the address that it exports', () => {
    const code = image.sections.filter(({ flags }) => (flags & SHF_EXECINSTR) !== 0);
    const named = new Set(image.symbols.map(({ name, address }) => `${name} ${address}`));
    // The data that it exports has no names: Debian builds without CONFIG_KALLSYMS_ALL.
    const functions = [...exportsOf(image)].filter(({ address }) =>
      code.some(({ address: start, size }) => address >= start && address < start + size),
    );
    expect(functions.length).toBeGreaterThan(8000);
    expect(functions.filter(({ name, address }) => !named.has(`${name} ${address}`))).toEqual([]);
  });

  test('has its symbols 16 MiB higher when it is loaded 16 MiB higher, as its own relocated tables have them', () => {
    const moved = relocate(image, image.entry + 0x1000000);
    expect(moved.symbols.find(symbol => symbol.name === 'startup_32')?.address).toBe(0xc2000000);
    expect(readKallsyms(moved)?.symbols).toEqual(moved.symbols);
  });

  test('has the entry that its Xen note names', ctx => {
    const entry = decodeXenNotes(image.notes)?.phys32Entry;
    if (entry === undefined) return ctx.skip(`${image.name} has no Xen notes: it is built without PAE`);
    expect(addressOf('pvh_start_xen')).toBe(entry + PAGE_OFFSET);
  });
});

test('the Debian 11 kernel has hypercall_page where its Xen note has it', async ctx => {
  const container = realImage(ctx, 'debian 11 pae kernel');
  if (container.format !== 'bzimage') throw new Error(`${container.name} is no bzImage`);
  const image = await (unpacked.get('debian 11 pae kernel') ?? unpackKernel(container));
  const hypercallPage = decodeXenNotes(image.notes)?.hypercallPage;
  expect(hypercallPage).toBeDefined();
  expect(image.symbols.find(symbol => symbol.name === 'hypercall_page')?.address).toBe(hypercallPage);
});
