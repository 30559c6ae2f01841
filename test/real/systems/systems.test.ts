/** Every real kernel under every protocol, against `table.json`; docs/systems.md shows the same table. */
import { readFileSync } from 'node:fs';
import { describe, expect, it, type TestContext } from 'vitest';
import { findProtocol, PROTOCOLS } from '../../../boot-protocols/index.ts';
import { type ElfImage, type KernelImage, KernelImageError } from '../../../src/kernel-image/kernel-image.ts';
import { unpackKernel } from '../../../src/unpack.ts';
import { describeEachEngine } from '../../support/engines.ts';
import { type RealInput, realImage } from '../../support/real-input.ts';
import { observe } from './observe.ts';
import { systemsPage } from './page.ts';
import { type Cell, cellOn, readTable, rowTitle } from './table.ts';

const table = readTable();

/** The kernel proper of each image, unpacked once. */
const unpacked = new Map<RealInput, Promise<ElfImage>>();

async function kernelOf(ctx: TestContext, input: RealInput, payload: boolean): Promise<KernelImage> {
  const image = realImage(ctx, input);
  if (!payload || image.format !== 'bzimage') return image;
  const kernel = unpacked.get(input) ?? unpackKernel(image);
  unpacked.set(input, kernel);
  return await kernel;
}

/** A bzImage without a kernel proper inside. */
function refusalOf(error: unknown): Cell {
  if (error instanceof KernelImageError) return { refused: error.code };
  throw error;
}

describe('the table of systems', () => {
  it('has a cell for every protocol in every row', () => {
    const names = PROTOCOLS.map(({ name }) => name);
    for (const row of table) expect(Object.keys(row.cells), rowTitle(row)).toEqual(names);
  });

  it('is what docs/systems.md shows', () => {
    expect(readFileSync('docs/systems.md', 'utf8')).toBe(systemsPage());
  });
});

describeEachEngine('a real kernel', engine => {
  for (const row of table) {
    describe(rowTitle(row), () => {
      for (const { name } of PROTOCOLS) {
        const cell = row.cells[name];
        const what = 'refused' in cell ? `is refused: ${cell.refused}` : `stops with ${cell.kind}`;
        it(`under ${name} ${what}`, async ctx => {
          const payload = row.payload === true || findProtocol(name).unpacks;
          const library = await engine.load();
          const expected = 'refused' in cell ? cell : cellOn(cell, library.name);
          const happened = await kernelOf(ctx, row.image, payload).then(
            image => observe(library, image, name),
            refusalOf,
          );
          expect(happened).toEqual({ ...expected, but: undefined });
        });
      }
    });
  }
});
