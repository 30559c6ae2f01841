/** A run that goes to code by its bytes, wherever it comes to stand; and one that counts its beginning alone. */
import { expect, test } from 'vitest';
import { Machine } from '../../emulator/machine.ts';
import type { CodePattern } from '../../emulator/run-options.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, guestEntry, listing } from '../support/guest.ts';

/** What is looked for: `mov $0x11223344,%eax; hlt`. */
const WANTED = 'b8 44 33 22 11 f4';
const pattern = (mask = 'ff ff ff ff ff ff'): CodePattern => ({
  bytes: listing(WANTED),
  mask: listing(mask),
});

/** Copies six bytes from 0x1040 to 0x3000, and jumps there. */
const COPIES = `
  be 40 10 00 00        # mov $0x1040,%esi
  bf 00 30 00 00        # mov $0x3000,%edi
  b9 06 00 00 00        # mov $6,%ecx
  f3 a4                 # rep movsb
  b8 00 30 00 00        # mov $0x3000,%eax
  ff e0                 # jmp *%eax
`;

describeEachEngine('untilCode', engine => {
  const run = async (code: string, contents: Record<number, string>, code_ = pattern(), resume = false) => {
    using machine = Machine.open(await engine.load(), guestEntry({ code, contents }));
    const stop = machine.run({ untilCode: code_ });
    return resume ? machine.run({ untilCode: code_ }) : stop;
  };

  test('stops before the first instruction of the copy, not at the original', async () => {
    const stop = await run(COPIES, { 4160: WANTED });
    expect(stop).toMatchObject({ kind: 'reached', address: 0x3000, instructions: 6 });
    expect(stop.cpu.eip).toBe(0x3000);
  });

  test('compares no bits that the mask leaves out: they may be relocated', async () => {
    const contents = { 4160: 'b8 44 33 22 91 f4' };
    expect(await run(COPIES, contents)).toMatchObject({ kind: 'halt' });
    expect(await run(COPIES, contents, pattern('ff ff ff ff 00 ff'))).toMatchObject({
      kind: 'reached',
      address: 0x3000,
    });
  });

  test('finds code that replaces code which has run at the same place', async () => {
    // The copy goes over the program's own first instructions.
    const stop = await run(COPIES.replaceAll('00 30 00 00', '00 10 00 00'), { 4160: WANTED });
    expect(stop).toMatchObject({ kind: 'reached', address: CODE, instructions: 6 });
  });

  test('goes past other code that begins the same', async () => {
    const except = [listing(`${WANTED} 90`)];
    const run_ = (behind: string) =>
      run(COPIES.replace('b9 06', 'b9 07'), { 4160: `${WANTED} ${behind}` }, { ...pattern(), except });
    expect(await run_('90')).toMatchObject({ kind: 'halt' });
    expect(await run_('91')).toMatchObject({ kind: 'reached', address: 0x3000 });
  });

  test('goes on from there when it is run again', async () => {
    expect(await run(COPIES, { 4160: WANTED }, pattern(), true)).toMatchObject({
      kind: 'halt',
      instructions: 7,
    });
  });
});

/** `mov $count,%ecx; 1: loop 1b`, and the copy as above. */
const loops = (count: string): string => `b9 ${count} e2 fe ${COPIES}`;

describeEachEngine("count: 'beginning'", engine => {
  const start = async (code: string) =>
    Machine.open(await engine.load(), guestEntry({ code, contents: { 4160: WANTED } }));
  const options = {
    untilCode: pattern(),
    instructions: Number.POSITIVE_INFINITY,
    count: 'beginning',
  } as const;

  test('counts a short run as any other does', async () => {
    using machine = await start(loops('10 00 00 00'));
    expect(await machine.runAsync(options)).toMatchObject({
      kind: 'reached',
      address: 0x3000,
      counted: true,
      instructions: 1 + 16 + 6,
    });
  });

  test('goes to the same place in a long one, where the engine can without counting', async () => {
    using machine = await start(loops('80 84 1e 00'));
    let blocking = 0;
    const seen: number[] = [];
    const stop = await machine.runAsync({
      ...options,
      onBlocking: () => blocking++,
      onProgress: instructions => seen.push(instructions),
    });
    expect(stop).toMatchObject({ kind: 'reached', address: 0x3000 });
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    // unicorn.js announces every block: it can as well count them.
    const counts = engine.name === 'unicorn.js';
    expect(stop.counted).toBe(counts);
    expect(blocking).toBe(counts ? 0 : 1);
    if (counts) expect(stop.instructions).toBe(1 + 2_000_000 + 6);
    else expect(stop.instructions).toBeGreaterThan(1_000_000);
  });
});
