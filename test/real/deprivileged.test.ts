/**
 * Unmodified kernels in ring 1. memtest86+ and the Debian kernel's decompressor begin with `cld; cli` (fc fa, as
 * objdump shows them), so the first instruction that needs privilege stands one byte after the entry.
 */
import { describe, expect, test } from 'vitest';
import type { BootOptions } from '../../boot-protocols/protocol.ts';
import { describeEachEngine } from '../support/engines.ts';
import { type RealInput, realImage } from '../support/real-input.ts';
import { imageBytes, runImage } from '../support/real-run.ts';

type Way = readonly [protocol: string, options: BootOptions];

const RING_1: readonly Way[] = [
  ['contract', { ring: 1 }],
  ['contract', { ring: 1, paging: '32-bit' }],
  ['contract', { ring: 1, paging: 'pae' }],
  ['pc', { ring: 1 }],
];
const PC: readonly Way[] = [['pc', { ring: 1 }]];
const LGUEST: readonly Way[] = [['lguest', {}]];

/**
 * memtest86+ is not relocatable: it is at 0x100000. The Debian kernel is, and prefers 16 MiB (pref_address); the lguest
 * launcher knows neither field and loads every bzImage at 0x100000.
 */
const CASES: readonly (readonly [input: RealInput, entry: number, ways: readonly Way[]])[] = [
  ['memtest86+ ia32', 0x100000, [...RING_1, ...LGUEST]],
  ['memtest86+ x64', 0x100000, PC],
  ['debian kernel', 0x1000000, RING_1],
  ['debian kernel', 0x100000, LGUEST],
];

describeEachEngine('a real kernel outside ring 0', engine => {
  for (const [input, entry, ways] of CASES) {
    describe(input, () => {
      for (const [protocol, options] of ways) {
        const knobs = Object.entries(options).map(([name, value]) => ` ${name}=${value}`);
        test(`under ${protocol}${knobs.join('')} stops at cli, one byte after its entry`, async ctx => {
          const image = realImage(ctx, input);
          expect(imageBytes(image, image.segments[0]?.physical ?? 0, 2)).toEqual(Uint8Array.of(0xfc, 0xfa));

          const { entry: state, stop } = runImage(await engine.load(), image, protocol, options);

          expect(state.eip).toBe(entry);
          expect(stop).toMatchObject({
            kind: 'iopl-sensitive-instruction',
            rule: 'cli',
            exception: { vector: 13, errorCode: 0 },
            instruction: { address: entry + 1, bytes: Uint8Array.of(0xfa) },
            instructions: 1,
            counted: true,
            trail: [entry],
          });
          expect(stop.cpu).toMatchObject({ eip: entry + 1, cpl: 1 });
          expect(stop.cpu.eflags & 0x3000, 'IOPL').toBe(0);
        });
      }
    });
  }
});
