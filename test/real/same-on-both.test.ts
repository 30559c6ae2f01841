/** The same run gives the same Stop on both engines: every field, every byte. */
import { expect, test } from 'vitest';
import type { BootOptions } from '../../boot-protocols/protocol.ts';
import { loadUnicorn } from '../../emulator/unicorn/load.ts';
import { type RealInput, realImage } from '../support/real-input.ts';
import { runImage } from '../support/real-run.ts';

const RUNS: readonly (readonly [RealInput, string, BootOptions, number])[] = [
  ['memtest86+ ia32', 'pc', {}, 2_000_000],
  ['memtest86+ ia32', 'contract', { ring: 1 }, 2_000_000],
  ['memtest86+ x64', 'pc', {}, 2_000_000],
  ['debian kernel', 'pc', {}, 5_000_000],
  ['debian kernel', 'lguest', {}, 5_000_000],
  ['debian kernel', 'contract', { ring: 3, paging: 'pae' }, 5_000_000],
  ['grub-i386-xen', 'xen', {}, 2_000_000],
  ['grub-i386-xen_pvh', 'pc', {}, 2_000_000],
];

for (const [input, protocol, options, instructions] of RUNS) {
  const knobs = Object.entries(options).map(([name, value]) => ` ${name}=${value}`);
  test(`${input} under ${protocol}${knobs.join('')}`, async ctx => {
    const image = realImage(ctx, input);
    const native = await loadUnicorn({ engine: 'libunicorn' }).catch((error: Error) => error);
    if (native instanceof Error) {
      if (process.env.CI === 'true') throw native;
      return ctx.skip(native.message);
    }
    const embedded = await loadUnicorn({ engine: 'unicorn.js' });
    const onNative = runImage(native, image, protocol, options, { instructions });
    const onEmbedded = runImage(embedded, image, protocol, options, { instructions });

    expect(onEmbedded.stop).toEqual(onNative.stop);
    expect(onEmbedded.serial).toBe(onNative.serial);
  });
}
