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

const PART = 0x60000;
const dword = (value: number): number[] => [0, 8, 16, 24].map(by => (value >>> by) & 0xff);
const jump = (from: number, to: number): number[] => [0xe9, ...dword(to - from - 5)];

describeEachEngine(
  'quirk code-buffer-overflow: a block that is translated anew each time it runs',
  engine => {
    // 500 of PUSHA and POPA, and a jump back; what leads to it writes to its first byte.
    const block = Array.from({ length: 250 }, () => [0x60, 0x61]).flat();
    const WAYS = [
      { name: 'what is written changes nothing', before: [0xb0, 0x60, 0xa2, ...dword(PART)] },
      // PUSHA and INC EAX in turn; mov $0x20000,%esp
      {
        name: 'what is written is another instruction',
        before: [0xbc, ...dword(0x20000), 0x80, 0x35, ...dword(PART), 0x20],
      },
      // The run comes back for CPUID, and begins anew behind it.
      { name: 'the run comes back in between', before: [0xb0, 0x60, 0xa2, ...dword(PART), 0x0f, 0xa2] },
    ];
    for (const { name, before } of WAYS) {
      it.each(['off', '32-bit'] as const)(`${name}, paging %s`, async paging => {
        const entry = guestEntry({
          code: Uint8Array.from([...before, ...jump(START + before.length, PART)]),
          at: START,
          paging,
          contents: { [PART]: Uint8Array.from([...block, ...jump(PART + block.length, START)]) },
        });
        using machine = Machine.open(await engine.load(), entry);
        const stop = machine.run({ instructions: 150_000 });
        expect([stop.kind, stop.instructions]).toEqual(['budget', 150_000]);
      });
    }
  },
);

describe('the estimate', () => {
  it('is high before the buffer can be full, and a flush empties it', () => {
    const load = new CodeLoad(1 << 20);
    // PUSHA and POPA, 700 bytes for each: 1 MiB is full after 1,497 of them.
    for (let at = 0; at < 1000; at += 40) load.translated(40);
    expect(load.isHigh).toBe(false);
    for (let at = 1000; at < 1480; at += 40) load.translated(40);
    expect(load.isHigh).toBe(true);
    load.flushed();
    expect(load.isHigh).toBe(false);
  });
});
