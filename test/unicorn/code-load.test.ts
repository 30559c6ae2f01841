/** A guest that runs through more code than the native engine's buffer holds when it is translated. */
import { describe, expect, it } from 'vitest';
import { Machine } from '../../emulator/machine.ts';
import { CodeLoad } from '../../emulator/unicorn/code-load.ts';
import { describeEachEngine } from '../support/engines.ts';
import { guestEntry, MEMORY } from '../support/guest.ts';

const START = 0x50000;
/** Forty of PUSHA and POPA, which translate to 30 KiB, and `jmp` to what follows. */
const BLOCK = Uint8Array.from([...Array.from({ length: 20 }, () => [0x60, 0x61]).flat(), 0xeb, 0x00]);

/** 17,000 such blocks, and at the end back to the first: eight times what the buffer holds. */
function blocks(): Uint8Array {
  const code = new Uint8Array(MEMORY - START);
  const count = Math.floor((code.length - 5) / BLOCK.length);
  for (let i = 0; i < count; i++) code.set(BLOCK, i * BLOCK.length);
  const back = -(count * BLOCK.length + 5);
  code.set(
    [0xe9, back & 0xff, (back >> 8) & 0xff, (back >> 16) & 0xff, (back >> 24) & 0xff],
    count * BLOCK.length,
  );
  return code;
}

describeEachEngine('quirk code-buffer-overflow: more code than the engine can keep', engine => {
  it('the run goes on, and counts every instruction', async () => {
    using machine = Machine.open(await engine.load(), guestEntry({ code: blocks(), at: START }));
    const stop = machine.run({ instructions: 700_000 });
    expect(stop.kind).toBe('budget');
    expect(stop.instructions).toBe(700_000);
  });
});

describe('the estimate', () => {
  it('is high before the buffer can be full, and a flush empties it', () => {
    const load = new CodeLoad(1 << 20);
    // PUSHA and POPA, 700 bytes for each: 1 MiB is full after 1,497 of them.
    for (let at = 0; at < 1000; at += 40) load.announced(0x1000 + at, 40);
    expect(load.isHigh).toBe(false);
    for (let at = 1000; at < 1480; at += 40) load.announced(0x1000 + at, 40);
    expect(load.isHigh).toBe(true);
    load.flushed();
    expect(load.isHigh).toBe(false);
  });

  it('counts a block that is announced again only once', () => {
    const load = new CodeLoad(1 << 20);
    for (let round = 0; round < 10_000; round++) load.announced(0x1000, 16);
    expect(load.isHigh).toBe(false);
  });
});
