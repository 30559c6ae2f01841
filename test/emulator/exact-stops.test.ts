/** Every Stop is exact in the middle of a block: registers, EFLAGS, EIP and the number of instructions. */
import { expect, it } from 'vitest';
import { Machine } from '../../emulator/machine.ts';
import type { Stop } from '../../emulator/stop.ts';
import { describeEachEngine } from '../support/engines.ts';
import {
  CODE,
  DATA,
  GDT,
  type GuestOptions,
  guestEntry,
  HOLE,
  MEMORY,
  mapping,
  ROM,
  STACK,
} from '../support/guest.ts';

/** CF, PF, AF and SF, and the bit that is always 1. */
const FLAGS = 0x97;
const IF = 0x200;
const PREFIX = `
  31 c0       # xor %eax,%eax
  83 e8 01    # sub $1,%eax
`;
const AT = CODE + 5;
const NULL_SEGMENT = { selector: 0, descriptor: undefined, promised: true };
const GENERIC = { hypervisor: 'generic', hypercallVectors: [0x1f] } as const;

interface Case {
  readonly name: string;
  /** After the prefix. */
  readonly code: string;
  readonly guest?: Omit<GuestOptions, 'code'>;
  readonly eflags?: number;
  readonly stop: Partial<Stop>;
}

const CASES: readonly Case[] = [
  {
    name: 'a read of a hole',
    code: 'a1 00 00 30 00',
    stop: { kind: 'memory-hole', access: 'read', address: HOLE, size: 4 },
  },
  {
    name: 'a write to a hole',
    code: 'a3 00 00 30 00',
    stop: { kind: 'memory-hole', access: 'write', address: HOLE, size: 4, value: 0xffffffff },
  },
  {
    name: 'a read that crosses from memory into a hole',
    code: 'a1 fe ff 0f 00',
    stop: { kind: 'memory-hole', access: 'read', address: MEMORY, size: 2 },
  },
  {
    name: 'a write to ROM',
    code: 'a3 10 00 20 00',
    stop: { kind: 'rom-write', address: ROM + 0x10, size: 4, value: 0xffffffff },
  },
  {
    name: "a read of the loader's GDT",
    code: 'a1 08 80 00 00',
    stop: { kind: 'loader-memory', access: 'read', address: GDT + 8, size: 4 },
  },
  {
    name: "a write to the loader's GDT",
    code: 'a3 08 80 00 00',
    stop: { kind: 'loader-memory', access: 'write', address: GDT + 8, size: 4 },
  },
  {
    name: 'a read of a page that is not present',
    code: 'a1 34 f2 0f 00',
    guest: { paging: '32-bit', mappings: [mapping(0, 0, MEMORY - 0x1000)] },
    stop: {
      kind: 'page-fault',
      access: 'read',
      address: 0xff234,
      problem: 'not-present',
      exception: { vector: 14, errorCode: 0 },
    },
  },
  {
    name: 'a write in ring 3 to a page that is read-only',
    code: 'a3 34 f2 0f 00',
    guest: {
      paging: 'pae',
      ring: 3,
      mappings: [mapping(0, 0, MEMORY - 0x1000), mapping(0xff000, 0xff000, 0x1000, false)],
    },
    stop: {
      kind: 'page-fault',
      access: 'write',
      address: 0xff234,
      problem: 'read-only',
      exception: { vector: 14, errorCode: 7 },
    },
  },
  {
    name: 'a read that crosses into a page that is not present',
    code: 'a1 fd ef 0f 00',
    guest: { paging: '32-bit', mappings: [mapping(0, 0, MEMORY - 0x1000)] },
    stop: { kind: 'page-fault', access: 'read', address: 0xff000, exception: { vector: 14, errorCode: 0 } },
  },
  {
    name: 'a page that is not present, and no memory behind it',
    code: 'a3 00 00 30 00',
    guest: { paging: '32-bit' },
    stop: { kind: 'page-fault', access: 'write', address: HOLE, exception: { vector: 14, errorCode: 2 } },
  },
  {
    name: 'a division by zero',
    code: 'f7 f1',
    guest: { registers: { ecx: 0 } },
    stop: { kind: 'exception', exception: { vector: 0 } },
  },
  {
    name: 'popf that loses IF',
    code: '9d',
    guest: { ring: 1, eflags: IF },
    eflags: FLAGS | IF,
    stop: {
      kind: 'popf',
      current: FLAGS | IF,
      requested: 0,
      resulting: 2 | IF,
      lost: [{ flag: 'IF', current: 1, requested: 0, resulting: 1 }],
    },
  },
  {
    name: 'iret that loses IF',
    code: 'cf',
    guest: { ring: 1, eflags: IF, contents: { [STACK]: '00 20 00 00 09 00 00 00 02 00 00 00' } },
    eflags: FLAGS | IF,
    stop: { kind: 'iret', requested: 2, resulting: 2 | IF },
  },
  {
    name: 'in',
    code: 'e4 60',
    guest: { ring: 1 },
    stop: {
      kind: 'iopl-sensitive-instruction',
      rule: 'in',
      port: { number: 0x60, size: 1, direction: 'in' },
      exception: { vector: 13, errorCode: 0 },
    },
  },
  {
    name: 'out',
    code: 'e6 80',
    guest: { ring: 3 },
    stop: {
      kind: 'iopl-sensitive-instruction',
      rule: 'out',
      port: { number: 0x80, size: 1, direction: 'out', value: 0xff },
    },
  },
  { name: 'cli', code: 'fa', guest: { ring: 1 }, stop: { kind: 'iopl-sensitive-instruction', rule: 'cli' } },
  {
    name: 'wbinvd',
    code: '0f 09',
    guest: { ring: 1 },
    stop: { kind: 'privileged-instruction', rule: 'wbinvd', exception: { vector: 13, errorCode: 0 } },
  },
  {
    name: 'an access through a null segment',
    code: '65 a1 14 00 00 00',
    guest: { segments: { gs: NULL_SEGMENT } },
    stop: { kind: 'segment-access', register: 'gs', problem: 'null', access: 'read', offset: 0x14, size: 4 },
  },
  {
    name: 'a segment load beyond the GDT',
    code: '8e d9',
    guest: { registers: { ecx: 0x28 } },
    stop: {
      kind: 'segment-load',
      register: 'ds',
      selector: 0x28,
      problem: 'limit',
      exception: { vector: 13, errorCode: 0x28 },
    },
  },
  {
    name: 'a segment load without a GDT',
    code: '8e e1',
    guest: { registers: { ecx: 0x18 }, gdt: 'none' },
    stop: { kind: 'segment-load', register: 'fs', selector: 0x18, problem: 'no-gdt' },
  },
  { name: 'ud2', code: '0f 0b', stop: { kind: 'invalid-opcode', exception: { vector: 6 } } },
  {
    // SDM vol. 2, XBEGIN: #UD without RTM; the engines take it for a MOV.
    name: 'xbegin',
    code: 'c7 f8 00 00 00 00',
    stop: { kind: 'invalid-opcode', exception: { vector: 6 } },
  },
  {
    name: 'xabort',
    code: 'c6 f8 00',
    stop: { kind: 'invalid-opcode', exception: { vector: 6 } },
  },
  {
    name: "Xen's prefix",
    code: '0f 0b 78 65 6e 0f a2',
    stop: { kind: 'forced-emulation', prefixed: 'cpuid' },
  },
  {
    name: 'int $0x80',
    code: 'cd 80',
    guest: { platform: GENERIC },
    stop: { kind: 'software-interrupt', vector: 0x80 },
  },
  {
    name: 'int $0x1f',
    code: 'cd 1f',
    guest: { platform: GENERIC },
    stop: { kind: 'hypercall', via: 'int', vector: 0x1f, number: 0xffffffff },
  },
  { name: 'an interrupt without an IDT', code: 'cd 80', stop: { kind: 'shutdown', reason: 'idt-limit' } },
  { name: 'hlt', code: 'f4', stop: { kind: 'halt', interruptsEnabled: false } },
];

describeEachEngine('a Stop in the middle of a block', engine => {
  it.each(CASES)('$name', async ({ code, guest, eflags, stop }) => {
    using machine = Machine.open(await engine.load(), guestEntry({ code: PREFIX + code, ...guest }));
    const found = machine.run();
    expect(found).toMatchObject(stop);
    expect([
      found.cpu.eip,
      found.cpu.eflags,
      found.cpu.registers.eax,
      found.instructions,
      found.trail,
    ]).toEqual([AT, eflags ?? FLAGS, 0xffffffff, 2, [CODE]]);
    expect(found.instruction?.address).toBe(AT);
  });

  it('a fetch from a hole', async () => {
    // mov $0x300000,%eax; jmp *%eax
    const code = 'b8 00 00 30 00 ff e0';
    using machine = Machine.open(await engine.load(), guestEntry({ code }));
    const stop = machine.run();
    expect(stop).toMatchObject({ kind: 'memory-hole', access: 'fetch', address: HOLE, instructions: 2 });
    expect([stop.cpu.eip, stop.trail, stop.instruction]).toEqual([HOLE, [CODE, HOLE], undefined]);
  });

  it('long mode', async () => {
    const code = `
      b9 80 00 00 c0   # mov $0xc0000080,%ecx (EFER)
      0f 32            # rdmsr
      0d 00 01 00 00   # or $0x100,%eax (LME)
      0f 30            # wrmsr
      0f 20 c0         # mov %cr0,%eax
      0d 00 00 00 80   # or $0x80000000,%eax (PG)
      0f 22 c0         # mov %eax,%cr0
    `;
    using machine = Machine.open(await engine.load(), guestEntry({ code, platform: { cpuModel: 'core2' } }));
    const stop = machine.run();
    expect(stop).toMatchObject({ kind: 'long-mode', instructions: 6 });
    expect([stop.cpu.eip, stop.cpu.control.efer]).toEqual([CODE + 22, 0x100]);
  });

  it('a repeated string instruction that faults in the middle has done what came before', async () => {
    const code = `
      be 00 90 00 00   # mov $DATA,%esi
      bf f0 ff 0f 00   # mov $MEMORY-0x10,%edi
      b9 20 00 00 00   # mov $0x20,%ecx
      f9               # stc
      f3 a4            # rep movsb
    `;
    using machine = Machine.open(await engine.load(), guestEntry({ code }));
    const stop = machine.run();
    expect(stop).toMatchObject({
      kind: 'memory-hole',
      access: 'write',
      address: MEMORY,
      size: 1,
      value: 0x10,
    });
    const { esi, edi, ecx } = stop.cpu.registers;
    expect([esi, edi, ecx, stop.cpu.eip, stop.cpu.eflags, stop.instructions]).toEqual([
      DATA + 0x10,
      MEMORY,
      0x10,
      CODE + 16,
      3,
      4,
    ]);
    expect(machine.readMemory(MEMORY - 0x10, 0x20)).toEqual(Uint8Array.from({ length: 16 }, (_, i) => i));
  });

  it.each([
    ['fld m80fp', 'db 2d 00 f0 0f 00', 0],
    ['fstp m80fp', 'db 3d 00 f0 0f 00', 2],
    ['fldenv', 'd9 25 00 f0 0f 00', 0],
    ['fnstenv', 'd9 35 00 f0 0f 00', 2],
    ['frstor', 'dd 25 00 f0 0f 00', 0],
    ['fnsave', 'dd 35 00 f0 0f 00', 2],
    ['fxsave', '0f ae 05 00 f0 0f 00', 2],
    ['fxrstor', '0f ae 0d 00 f0 0f 00', 0],
    // SDM vol. 2, CMPXCHG8B: it always writes.
    ['cmpxchg8b', '0f c7 0d 00 f0 0f 00', 2],
    ['bound', '62 05 00 f0 0f 00', 0],
    ['leave', 'c9', 0],
  ])('%s is not done where it faults', async (_, code, errorCode) => {
    const missing = 0xff000;
    const guest = {
      code: `${PREFIX + code} 90 90 90 90`,
      registers: { ebp: missing },
      mappings: [mapping(0, 0, MEMORY - 0x1000)],
    };
    for (const ring of [0, 3] as const) {
      using machine = Machine.open(await engine.load(), guestEntry({ ...guest, ring, paging: '32-bit' }));
      const { kind, exception, cpu, instructions } = machine.run();
      expect({ kind, exception, instructions }).toEqual({
        kind: 'page-fault',
        exception: { vector: 14, errorCode: errorCode | (ring === 3 ? 4 : 0) },
        instructions: 2,
      });
      expect([cpu.eip, cpu.eflags, cpu.control.cr2]).toEqual([AT, FLAGS, missing]);
      expect([cpu.registers.esp, cpu.registers.ebp]).toEqual([STACK, missing]);
    }
  });

  it.each([
    ['fnsave', 'dd 35 00 00 30 00', 'write', HOLE],
    ['fxrstor', '0f ae 0d 00 00 30 00', 'read', HOLE],
    ['enter, which reads the frame before', 'c8 08 00 02', 'read', HOLE - 4],
    ['leave', 'c9', 'read', HOLE],
  ])('%s is not done where there is no memory', async (_, code, access, address) => {
    const entry = guestEntry({ code: `${PREFIX + code} 90 90 90 90`, registers: { ebp: HOLE } });
    using machine = Machine.open(await engine.load(), entry);
    const stop = machine.run();
    expect(stop).toMatchObject({ kind: 'memory-hole', access, address, instructions: 2 });
    const { eip, eflags, registers } = stop.cpu;
    expect([eip, eflags, registers.esp, registers.ebp]).toEqual([AT, FLAGS, STACK, HOLE]);
  });

  it('EFLAGS are right after instructions that compute them before they touch memory', async () => {
    const paging = { paging: '32-bit', mappings: [mapping(0, 0, MEMORY - 0x1000)] } as const;
    for (const code of [
      'd1 15 00 f0 0f 00',
      'd1 1d 00 f0 0f 00',
      '0f 94 05 00 f0 0f 00',
      '0f 9f 05 00 f0 0f 00',
    ]) {
      using machine = Machine.open(await engine.load(), guestEntry({ code: PREFIX + code, ...paging }));
      const stop = machine.run();
      expect([stop.kind, stop.cpu.eip, stop.cpu.eflags, stop.instructions]).toEqual([
        'page-fault',
        AT,
        FLAGS,
        2,
      ]);
    }
  });
});
