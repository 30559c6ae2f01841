/** Blocks that begin near the end of a page behind which nothing can be fetched: what the CPU would come to stops it. */
import { expect, it } from 'vitest';
import { Machine } from '../../emulator/machine.ts';
import type { Stop } from '../../emulator/stop.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, type GuestOptions, guestEntry, listing, MEMORY, mapping } from '../support/guest.ts';

/** The last page of code that is there. */
const PAGE = 0x2000;
const END = PAGE + 0x1000;
const PAGED: Omit<GuestOptions, 'code'> = {
  paging: '32-bit',
  mappings: [mapping(0, 0, END)],
};

/** A jump from CODE to the bytes that end at `end`. */
function before(end: number, tail: string): GuestOptions {
  const bytes = listing(tail);
  const to = end - bytes.length;
  const offset = to - (CODE + 5);
  const jump = [0xe9, offset & 0xff, (offset >> 8) & 0xff, (offset >> 16) & 0xff, (offset >> 24) & 0xff];
  return { code: Uint8Array.from(jump), contents: { [to]: bytes } };
}

describeEachEngine('code at the end of a page', engine => {
  const stopOf = async (options: GuestOptions): Promise<Stop> => {
    using machine = Machine.open(await engine.load(), guestEntry(options));
    return machine.run({ instructions: 1000 });
  };

  it('runs to its last byte before the fetch behind it faults', async () => {
    const stop = await stopOf({ ...PAGED, ...before(END, '90 40 40') });
    expect(stop).toMatchObject({ kind: 'page-fault', access: 'fetch', address: END, instructions: 4 });
    expect([stop.cpu.eip, stop.cpu.control.cr2]).toEqual([END, END]);
  });

  it('faults at an instruction that crosses into the page, with the ones before it done', async () => {
    const stop = await stopOf({ ...PAGED, ...before(END, '40 40 b8 01') });
    expect(stop).toMatchObject({ kind: 'page-fault', access: 'fetch', address: END, instructions: 3 });
    expect(stop.cpu.eip).toBe(END - 2);
  });

  it('comes to another trap first', async () => {
    // mov 0x300000,%eax: a hole, or not mapped
    const stop = await stopOf({ ...PAGED, ...before(END, '40 a1 00 00 30 00 90') });
    expect(stop).toMatchObject({ kind: 'page-fault', access: 'read', address: 0x300000, instructions: 2 });
    expect(stop.cpu.eip).toBe(END - 6);
  });

  it('runs to the end of memory without paging', async () => {
    const stop = await stopOf(before(MEMORY, '40 40'));
    expect(stop).toMatchObject({ kind: 'memory-hole', access: 'fetch', address: MEMORY, instructions: 3 });
    expect(stop.cpu.eip).toBe(MEMORY);
  });
});
