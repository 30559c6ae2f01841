/** Guest.apply: what the Machine does in place of the engine, and that the run goes on exactly. */
import { expect, it } from 'vitest';
import type { Effect } from '../../emulator/effect.ts';
import { FLAG_CF, FLAG_IF, FLAG_IOPL } from '../../emulator/flags.ts';
import { Guest } from '../../emulator/guest.ts';
import { Session } from '../../emulator/run/session.ts';
import { flatCode, flatData } from '../../emulator/segmentation.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { describeEachEngine } from '../support/engines.ts';
import { CODE, DATA, type GuestOptions, guestEntry, MEMORY, mapping, STACK } from '../support/guest.ts';

/** Runs to `at`, applies the effect in place of the instruction of `length` bytes there, and runs on to the next Stop. */
function applied(
  library: UnicornLibrary,
  options: GuestOptions,
  at: number,
  effect: Effect,
  length: number,
): { stop: Stop; guest: Guest } {
  const guest = new Guest(library, guestEntry(options), { onSerial: () => {} });
  const first = run(new Session(guest, { until: at }, { inSlices: false }));
  expect(first.kind).toBe('reached');
  guest.counter.retireOne(guest.apply(effect, length));
  return { stop: run(new Session(guest, {}, { inSlices: false })), guest };
}

function run(session: Session): Stop {
  const end = session.slice(Number.POSITIVE_INFINITY);
  if (end.type !== 'stop') throw new Error(`the run ends with ${end.type}`);
  return end.stop;
}

describeEachEngine('an effect', engine => {
  it('changes registers, flags and memory, and goes on behind the instruction', async () => {
    const library = await engine.load();
    const code = `
      90                    # nop
      0f a2                 # cpuid, which the effect stands for
      0f 92 c1              # setc %cl
      a1 00 90 00 00        # mov 0x9000,%eax
      f4                    # hlt
    `;
    const effect = {
      registers: { ebx: 5, ecx: 0x100 },
      eflags: FLAG_CF | 2,
      writes: [{ linear: DATA, bytes: Uint8Array.of(0x78, 0x56, 0x34, 0x12) }],
    };
    const { stop, guest } = applied(library, { code }, CODE + 1, effect, 2);
    expect(stop).toMatchObject({ kind: 'halt', instructions: 4 });
    expect(stop.cpu.registers).toMatchObject({ eax: 0x12345678, ebx: 5, ecx: 0x101 });
    expect(stop.cpu.eip).toBe(CODE + 11);
    guest.close();
  });

  it('goes on elsewhere, in another ring with other segments', async () => {
    const library = await engine.load();
    const code = `
      90                    # nop
      0f 34                 # sysenter
      90 90 90 90 90
      89 44 24 fc           # 8: mov %eax,-4(%esp)
      8e d9                 # 12: mov %ecx,%ds: DPL 0 is closed to ring 3
    `;
    const user = { selector: 0x2b, descriptor: flatData(3) };
    const effect: Effect = {
      registers: { esp: STACK - 0x100, eax: 0xabcd, ecx: 0x10 },
      eip: CODE + 8,
      eflags: FLAG_IF | 2,
      cpl: 3,
      segments: { cs: { selector: 0x23, descriptor: flatCode(3) }, ss: user, ds: user, es: user },
    };
    const { stop, guest } = applied(library, { code }, CODE + 1, effect, 2);
    expect(stop).toMatchObject({
      kind: 'segment-load',
      register: 'ds',
      problem: 'privilege',
      exception: { vector: 13, errorCode: 0x10 },
      instructions: 3,
    });
    expect(stop.cpu).toMatchObject({
      cpl: 3,
      eip: CODE + 12,
      segments: { cs: { selector: 0x23 }, ss: user },
    });
    expect(guest.readLinear(STACK - 0x104, 4)).toEqual(Uint8Array.of(0xcd, 0xab, 0, 0));
    guest.close();
  });

  it('changes IOPL, the tables and CR0, and what follows sees it', async () => {
    const library = await engine.load();
    const code = `
      90                    # nop
      0f 05                 # stands for the effect
      fa                    # cli
      0f 20 c0              # mov %cr0,%eax: ring 1 may not
    `;
    const effect: Effect = {
      eflags: FLAG_IOPL | FLAG_IF | 2,
      gdtr: { base: 0x5000, limit: 0x27 },
      idtr: { base: 0x6000, limit: 0x7ff },
      control: { cr0: 0x10011 },
      ldtr: {
        selector: 0x20,
        descriptor: { ...flatData(0), codeOrData: false, type: 2, limit: 0xf, granular: false },
      },
    };
    const { stop, guest } = applied(library, { code, ring: 1 }, CODE + 1, effect, 2);
    expect(stop).toMatchObject({ kind: 'privileged-instruction', rule: 'mov-from-cr' });
    expect(stop.cpu).toMatchObject({
      eflags: FLAG_IOPL | 2,
      gdtr: effect.gdtr,
      idtr: effect.idtr,
      ldtr: effect.ldtr,
      control: { cr0: 0x10011 },
    });
    guest.close();
  });

  it('writes through the mapping, to code that has run as well', async () => {
    const library = await engine.load();
    const high = 0xc0000000;
    const code = `
      eb 00                 # jmp 2
      b8 01 00 00 00        # 2: mov $1,%eax
      0f 05                 # 7: stands for the effect
      eb f7                 # 9: jmp 2
    `;
    const bytes = Uint8Array.of(0xb8, 2, 0, 0, 0, 0xf4);
    const mappings = [mapping(0, 0, MEMORY), mapping(high, 0, MEMORY)];
    const effect: Effect = { writes: [{ linear: high + CODE + 2, bytes }] };
    const { stop, guest } = applied(library, { code, paging: '32-bit', mappings }, CODE + 7, effect, 2);
    expect(stop).toMatchObject({
      kind: 'halt',
      cpu: { eip: CODE + 7, registers: { eax: 2 } },
      instructions: 5,
    });
    guest.close();
  });
});
