/** The images that are measured: two of the repository's own, and the real ones that have been fetched. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Expectation, imageCatalog } from '../../images/catalog.ts';
import { readKernelImage } from '../../src/kernel-image/index.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { findRealInput, HOW_TO_FETCH, type RealInput } from '../support/real-input.ts';

/** The repository's root, from `dist/test/bench/`. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

export interface Measured {
  readonly label: string;
  readonly path: string;
  readonly image: KernelImage;
  /** Where the image is from. */
  readonly source: string;
}

export function ownImage(name: string): Measured {
  const path = `${ROOT}images/${name}/${name}.elf`;
  return { label: `${name}.elf`, path, image: read(path), source: `images/${name}` };
}

/** Every image of the repository, with the first way in which it is expected to stop. */
export function ownImages(): readonly { readonly measured: Measured; readonly expected: Expectation }[] {
  return imageCatalog().flatMap(({ name, file, expected: [expected] }) =>
    expected
      ? [
          {
            measured: { label: basename(file), path: file, image: read(file), source: `images/${name}` },
            expected,
          },
        ]
      : [],
  );
}

/** A real image, or undefined with a note for the reader. */
export function realImage(input: RealInput, notes: string[]): Measured | undefined {
  const found = findRealInput(input);
  if (found === undefined) {
    notes.push(`no rows for ${input}: ${HOW_TO_FETCH}`);
    return undefined;
  }
  return { label: input, path: found.path, image: read(found.path), source: found.source };
}

const read = (path: string): KernelImage => readKernelImage(readFileSync(path), { name: basename(path) });
