/** Code that changes itself runs as it is then, and counts exactly, however the run is made. */
import { expect, it } from 'vitest';
import { Machine } from '../../emulator/machine.ts';
import { describeEachEngine } from '../support/engines.ts';
import { guestEntry } from '../support/guest.ts';

const CASES = [
  {
    name: 'the next instruction',
    code: `
      c6 05 08 10 00 00 07   # movb $7,1f+1
      b8 01 00 00 00         # 1: mov $1,%eax
      f4                     # hlt
    `,
    eax: 7,
    instructions: 2,
  },
  {
    name: 'the next instruction, in a block that is not the first',
    code: `
      eb 00                  # jmp .
      eb 00                  # jmp .
      c6 05 0c 10 00 00 07   # movb $7,1f+1
      b8 01 00 00 00         # 1: mov $1,%eax
      f4                     # hlt
    `,
    eax: 7,
    instructions: 4,
  },
  {
    name: 'its own loop, in each round',
    code: `
      b9 03 00 00 00         # mov $3,%ecx
      fe 05 0d 10 00 00      # 1: incb 2f+2
      83 c0 00               # 2: add $0,%eax
      e2 f5                  # loop 1b
      f4                     # hlt
    `,
    eax: 1 + 2 + 3,
    instructions: 10,
  },
  {
    name: 'another page, again and again',
    code: `
      b9 04 00 00 00         # mov $4,%ecx
      fe 05 02 20 00 00      # 1: incb 0x2002
      e8 f0 0f 00 00         # call 0x2000
      e2 f3                  # loop 1b
      f4                     # hlt
    `,
    // add $0,%eax; ret
    contents: { 8192: '83 c0 00 c3' },
    eax: 1 + 2 + 3 + 4,
    instructions: 1 + 4 * 5,
  },
  {
    name: 'the repeated string instruction that does it',
    code: `
      b9 08 00 00 00         # mov $8,%ecx
      b8 40 40 40 40         # mov $0x40404040,%eax
      bf 0c 10 00 00         # mov $1f-3,%edi
      f3 aa                  # 1: rep stosb: after four bytes it is inc %eax and stosb
      f4                     # hlt
    `,
    eax: 0x40404041,
    // The three before it, inc, and what stosb was: it has written one byte less than to itself.
    instructions: 5,
  },
  {
    name: 'code that has run, by a repeated string instruction',
    code: `
      bb 02 00 00 00         # mov $2,%ebx
      e8 f6 0f 00 00         # 1: call 0x2000
      be 00 30 00 00         # mov $0x3000,%esi
      bf 00 20 00 00         # mov $0x2000,%edi
      b9 04 00 00 00         # mov $4,%ecx
      f3 a4                  # rep movsb
      4b                     # dec %ebx
      75 e7                  # jnz 1b
      f4                     # hlt
    `,
    // add $1,%eax; ret, and add $0x10,%eax; ret
    contents: { 8192: '83 c0 01 c3', 12288: '83 c0 10 c3' },
    eax: 0x11,
    instructions: 1 + 2 * 9,
  },
];

const MODES = [
  { name: 'counted', options: { count: 'always' } },
  { name: 'without a limit', options: { instructions: Number.POSITIVE_INFINITY } },
  { name: 'in slices', options: { timeout: 1e9 } },
] as const;

describeEachEngine('code that changes', engine => {
  for (const { name, code, contents, eax, instructions } of CASES) {
    for (const paging of ['off', '32-bit'] as const) {
      it.each(MODES)(`${name}, paging ${paging}, $name`, async ({ options }) => {
        const entry = guestEntry({
          code,
          paging,
          registers: { eax: 0, ebx: 0 },
          ...(contents ? { contents } : {}),
        });
        using machine = Machine.open(await engine.load(), entry);
        const stop = machine.run(options);
        expect([stop.kind, stop.cpu.registers.eax, stop.instructions]).toEqual(['halt', eax, instructions]);
      });
    }
  }
});

describeEachEngine('a write into its own block that changes no byte', engine => {
  it.each([0, 1] as const)('in straight-line code that the engine cuts, ring %d', async ring => {
    // movb $0,1f+3; 1: and add %al,(%eax), which is all zeros, to the end of the budget
    const entry = guestEntry({
      code: '01 05 00 90 00 00 a4 90 90 c6 05 0d 10 00 00 00',
      ring,
      registers: { eax: 1, esi: 0x9040, edi: 0x9080 },
    });
    for (const options of [{ instructions: 200 }, { instructions: 200, timeout: 1e9 }]) {
      using machine = Machine.open(await engine.load(), entry);
      const stop = machine.run(options);
      // Five instructions to 0x1010, and 195 of two bytes.
      expect([stop.kind, stop.cpu.eip, stop.trail]).toEqual(['budget', 0x1010 + 195 * 2, [0x1000]]);
    }
  });
});
