/**
 * Real kernels, from Debian packages. `test/real/fetch.sh` fetches them into a cache outside the repository; here they
 * are only looked up.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import type { TestContext } from 'vitest';
import { readKernelImage } from '../../src/kernel-image/index.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';

const GRUB = { packageName: 'grub-xen', directory: 'usr/lib/grub-xen' };
const MEMTEST = { packageName: 'memtest86+', directory: 'boot' };
const KERNEL = { directory: 'boot', file: 'vmlinuz-' };

/** Where each is in the cache; `file` is what the file's name starts with. */
const FILES = {
  'memtest86+ ia32': { ...MEMTEST, file: 'memtest86+ia32.bin' },
  'memtest86+ x64': { ...MEMTEST, file: 'memtest86+x64.bin' },
  'grub-i386-xen': { ...GRUB, file: 'grub-i386-xen.bin' },
  'grub-i386-xen_pvh': { ...GRUB, file: 'grub-i386-xen_pvh.bin' },
  /** Debian 12: Linux 6.1 for i386 without PAE. */
  'debian kernel': { packageName: 'linux-image', ...KERNEL },
  /** Debian 12: the same for i386 with PAE. */
  'debian pae kernel': { packageName: 'linux-image-pae', ...KERNEL },
  /** Debian 11: Linux 5.10 with PAE; it has left the mirrors' support, so it may be impossible to fetch. */
  'debian 11 pae kernel': { packageName: 'linux-image-5.10-pae', ...KERNEL },
} as const;

export type RealInput = keyof typeof FILES;
export const REAL_INPUTS = Object.keys(FILES) as readonly RealInput[];

export const HOW_TO_FETCH = 'real kernels are fetched with test/real/fetch.sh (Debian)';

export interface FoundInput {
  readonly path: string;
  /** The Debian package that it is from, with its version and architecture, e.g. `memtest86+ 6.10-4 amd64`. */
  readonly source: string;
}

/** A real input, or undefined when it has not been fetched. */
export function findRealInput(input: RealInput): FoundInput | undefined {
  const { packageName, directory, file } = FILES[input];
  const root = join(cacheDirectory(), 'packages', packageName);
  const full = join(root, directory);
  if (!existsSync(full)) return undefined;
  const name = readdirSync(full)
    .filter(entry => entry.startsWith(file))
    .sort()
    .at(-1);
  if (name === undefined) return undefined;
  const fields = readFileSync(join(root, 'package.txt'), 'utf8').trim().split('\n');
  return { path: join(full, name), source: fields.map(line => line.replace(/^\S+ /, '')).join(' ') };
}

/** Why it cannot be fetched here, as `fetch.sh` found; undefined when it only has not been fetched. */
function whyUnavailable(input: RealInput): string | undefined {
  const reason = join(cacheDirectory(), 'packages', `${FILES[input].packageName}.missing`);
  return existsSync(reason) ? readFileSync(reason, 'utf8').trim() : undefined;
}

/**
 * The image, or a skipped test that says how to fetch it; under CI=true a missing input is a failure, unless `fetch.sh`
 * found that the mirror does not have it.
 */
export function realImage(ctx: TestContext, input: RealInput): KernelImage {
  const found = findRealInput(input);
  if (found === undefined) {
    const unavailable = whyUnavailable(input);
    if (unavailable !== undefined) return ctx.skip(`${input}: ${unavailable}`);
    if (process.env.CI === 'true') throw new Error(`${input} is missing: ${HOW_TO_FETCH}`);
    return ctx.skip(`${input} is not fetched: ${HOW_TO_FETCH}`);
  }
  return readKernelImage(readFileSync(found.path), { name: basename(found.path) });
}

function cacheDirectory(): string {
  const { STARTUP32_CACHE, XDG_CACHE_HOME } = process.env;
  return STARTUP32_CACHE || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'startup32');
}
