/** Reading what a real loader has put into a guest's memory. */
import { readFileSync } from 'node:fs';
import { readKernelImage } from '../../../src/kernel-image/index.ts';
import type { KernelImage } from '../../../src/kernel-image/kernel-image.ts';
import type { RealEntry } from './qemu.ts';

/** No command line here is longer. */
const LONGEST_TEXT = 1024;

export const viewAt = async (real: RealEntry, address: number, size: number): Promise<DataView> =>
  new DataView((await real.read(address, size)).buffer);

/** Up to its NUL. */
export async function textAt(real: RealEntry, address: number): Promise<string> {
  const bytes = await real.read(address, LONGEST_TEXT);
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString('latin1');
}

export const committedImage = (path: string): KernelImage =>
  readKernelImage(readFileSync(path), { name: path });
