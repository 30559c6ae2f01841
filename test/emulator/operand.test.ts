/** What an instruction was about to do. Bytes are from an assembler, values from the SDM. */
import { describe, expect, it } from 'vitest';
import { operandOf } from '../../emulator/operands/index.ts';
import type { Operand, OperandMemory } from '../../emulator/operands/types.ts';
import { flatCode, flatData, type SegmentRegister } from '../../emulator/segmentation.ts';
import { operandReport } from '../../src/report/operands/json.ts';
import { operandInWords } from '../../src/report/operands/words.ts';
import { operandSchema } from '../../src/report/schema/operands.ts';
import { GDT, IDT, type SituationOptions, STACK, situation } from '../support/situation.ts';

const NULL: SegmentRegister = { selector: 0, descriptor: undefined };
const { segments } = situation({ bytes: [0x90] }).cpu;
/** Below 64 KiB, and nothing of the helper's is there. */
const DATA = 0x2000;
const data = (offset: number, size: number): OperandMemory => ({
  segment: 'ds',
  offset,
  linear: offset,
  size,
});

function operand(options: SituationOptions): Operand {
  const found = operandOf(situation(options));
  if (!found) throw new Error('there is no operand');
  // Every operand has a JSON form that the schema takes, and words.
  expect(operandSchema.parse(JSON.parse(JSON.stringify(operandReport(found))))).toEqual(operandReport(found));
  operandInWords(found);
  return found;
}
const words = (options: SituationOptions): string[] => operandInWords(operand(options));

/** lgdt 0x2000; lidt 0x2000. SDM vol. 2, LGDT/LIDT: 0F 01 /2 and /3. */
const LGDT = [0x0f, 0x01, 0x15, 0x00, 0x20, 0x00, 0x00];
const LIDT = [0x0f, 0x01, 0x1d, 0x00, 0x20, 0x00, 0x00];

describe('lgdt and lidt', () => {
  it('decode the pseudo-descriptor and the first entries that are not zero', () => {
    // Limit 0x27 (5 entries), base 0x3000; entry 2 is flat code of ring 0, entry 3 flat data.
    const memory = {
      [DATA]: 0x3000_0027,
      [DATA + 4]: 0,
      12304: 0x0000ffff,
      12308: 0x00cf9a00,
      12312: 0x0000ffff,
      12316: 0x00cf9200,
    };
    expect(operand({ bytes: LGDT, memory })).toEqual({
      type: 'descriptor-table',
      register: 'gdtr',
      operandSize: 32,
      memory: data(DATA, 6),
      table: {
        base: 0x3000,
        limit: 0x27,
        entries: 5,
        first: [
          { selector: 0x10, descriptor: { ...flatCode(0), type: 0xa } },
          { selector: 0x18, descriptor: { ...flatData(0), type: 0x2 } },
        ],
      },
    });
    expect(words({ bytes: LGDT, memory })).toEqual([
      'pseudo-descriptor at ds:0x00002000: base 0x00003000, limit 0x27, 5 entries',
      '0x0010: base 0x00000000, limit 0xffffffff, type 0xa (code, readable), 32-bit, DPL 0, present',
      '0x0018: base 0x00000000, limit 0xffffffff, type 0x2 (data, writable), 32-bit, DPL 0, present',
    ]);
  });

  it('cut the base to 24 bits with 16-bit operands', () => {
    const memory = { [DATA]: 0x1234_0007, [DATA + 4]: 0xff00 };
    const found = operand({ bytes: [0x66, ...LGDT], memory });
    expect(found).toMatchObject({ operandSize: 16, table: { base: 0x001234, entries: 1 } });
  });

  it('count the gates of an IDT, and those that are present', () => {
    const memory = { [DATA]: 0x3000_07ff, [DATA + 4]: 0, 12292: 0x8e00, 12300: 0x0e00, 12308: 0xef00 };
    expect(operand({ bytes: LIDT, memory })).toMatchObject({
      register: 'idtr',
      table: { base: 0x3000, limit: 0x7ff, entries: 256, present: 2 },
    });
  });

  it('give an IDT of limit 0, with which a kernel shuts the CPU down, no gate', () => {
    expect(words({ bytes: LIDT, memory: {} })).toEqual([
      'pseudo-descriptor at ds:0x00002000: base 0x00000000, limit 0x0, 0 gates',
    ]);
  });

  it('say what cannot be read: the table, or the pseudo-descriptor itself', () => {
    const memory = { [DATA]: 0x0000_0017, [DATA + 4]: 0x00c0 };
    expect(words({ bytes: LGDT, memory })).toEqual([
      'pseudo-descriptor at ds:0x00002000: base 0x00c00000, limit 0x17, 3 entries',
      'the table at 0x00c00000 cannot be read: there is no memory',
    ]);
    const beyond = [0x0f, 0x01, 0x15, 0x00, 0x00, 0x02, 0x00];
    expect(operand({ bytes: beyond })).toEqual({
      type: 'descriptor-table',
      register: 'gdtr',
      operandSize: 32,
      memory: { ...data(0x20000, 6), unreadable: 'no-memory' },
    });
    const small = { selector: 0x10, descriptor: { ...flatData(1), limit: 0x2004, granular: false } };
    expect(operand({ bytes: LGDT, cpu: { segments: { ...segments, ds: small } } })).toMatchObject({
      memory: { unreadable: 'segment-limit' },
    });
    expect(words({ bytes: LGDT, cpu: { segments: { ...segments, ds: NULL } } })).toEqual([
      'the pseudo-descriptor at ds:0x00002000 cannot be read: its segment register holds a null selector',
    ]);
  });

  it('tell a page that is not mapped from memory that is not there', () => {
    const control = { cr0: 0x80000011, cr2: 0, cr3: 0x5000, cr4: 0, efer: 0 };
    const s = situation({ bytes: LGDT, cpu: { control } });
    const empty = { ...s, read: () => new Uint8Array(0) };
    expect(operandOf({ ...empty, readPhysical: () => 0 })).toMatchObject({
      memory: { unreadable: 'page-not-present' },
    });
    // PDE and PTE present: the page is mapped, to where nothing is.
    expect(operandOf({ ...empty, readPhysical: () => 0x40007 })).toMatchObject({
      memory: { unreadable: 'no-memory' },
    });
  });
});

describe('segment loads', () => {
  it('look the selector up: mov %eax,%ds', () => {
    expect(operand({ bytes: [0x8e, 0xd8], registers: { eax: 0x23 } })).toEqual({
      type: 'segment',
      register: 'ds',
      selector: 0x23,
      descriptor: flatData(0),
    });
  });

  it.each([
    ['the null selector', 0x3, {}, 'null'],
    ['beyond the limit', 0x30, {}, 'limit'],
    ['the LDT, and there is none', 0xc, {}, 'no-ldt'],
    ['no GDT', 0x8, { gdt: false }, 'no-gdt'],
  ] as const)('say why there is no descriptor: %s', (_, eax, options, noDescriptor) => {
    expect(operand({ bytes: [0x8e, 0xc0], registers: { eax }, ...options })).toEqual({
      type: 'segment',
      register: 'es',
      selector: eax,
      noDescriptor,
    });
  });

  it('read a selector from memory and from the stack: ltr 0x2000, pop %fs, lss 0x2000,%esp', () => {
    const tss = { 2096: 0x30000067, 2100: 0x00008900 };
    expect(
      operand({
        bytes: [0x0f, 0x00, 0x1d, 0x00, 0x20, 0x00, 0x00],
        memory: { [DATA]: 0x30, ...tss },
        cpu: { gdtr: { base: GDT, limit: 0x37 } },
      }),
    ).toMatchObject({
      register: 'tr',
      selector: 0x30,
      memory: data(DATA, 2),
      descriptor: { base: 0x3000, limit: 0x67, type: 9, codeOrData: false, present: true },
    });
    expect(operand({ bytes: [0x0f, 0xa1], memory: { [STACK]: 0x12340011 } })).toMatchObject({
      register: 'fs',
      selector: 0x11,
      memory: { segment: 'ss', offset: STACK, size: 4 },
    });
    const lss = [0x0f, 0xb2, 0x25, 0x00, 0x20, 0x00, 0x00];
    expect(operand({ bytes: lss, memory: { [DATA]: 0x8000, [DATA + 4]: 0x11 } })).toMatchObject({
      register: 'ss',
      selector: 0x11,
      offset: 0x8000,
    });
  });

  it('take a selector of the GDT only for the LDT: lldt %ax with TI set', () => {
    expect(words({ bytes: [0x0f, 0x00, 0xd0], registers: { eax: 0x14 } })).toEqual([
      'selector 0x0014: LDT entry 0x2, RPL 0',
      'no descriptor: LDTR takes a selector of the GDT only',
    ]);
  });

  it('give a far transfer its target: ljmp $0x8,$0x100020, and lret', () => {
    expect(words({ bytes: [0xea, 0x20, 0x00, 0x10, 0x00, 0x08, 0x00] })).toEqual([
      'to 0x0008:0x00100020',
      'selector 0x0008: GDT entry 0x1, RPL 0',
      'descriptor: base 0x00000000, limit 0xffffffff, type 0xb (code, readable, accessed), 32-bit, DPL 1, present',
    ]);
    expect(operand({ bytes: [0xcb], memory: { [STACK]: 0x1234, [STACK + 4]: 0x9 } })).toMatchObject({
      register: 'cs',
      selector: 9,
      offset: 0x1234,
    });
  });
});

describe('control registers', () => {
  it('names the bits that mov %eax,%cr0 changes', () => {
    // PE ET -> PG WP NE MP PE, as a kernel that turns paging on.
    const found = operand({ bytes: [0x0f, 0x22, 0xc0], registers: { eax: 0x80010023 } });
    expect(found).toEqual({
      type: 'control-register',
      register: 'cr0',
      access: 'write',
      current: 0x11,
      requested: 0x80010023,
      changes: [
        { bit: 'MP', from: 0, to: 1 },
        { bit: 'ET', from: 1, to: 0 },
        { bit: 'NE', from: 0, to: 1 },
        { bit: 'WP', from: 0, to: 1 },
        { bit: 'PG', from: 0, to: 1 },
      ],
    });
    expect(operandInWords(found)).toEqual([
      'CR0 now 0x00000011, requested 0x80010023: sets MP NE WP PG, clears ET',
    ]);
  });

  it('names those of CR4, and one that has no name by its number', () => {
    expect(words({ bytes: [0x0f, 0x22, 0xe0], registers: { eax: 0x400806b0 } })).toEqual([
      'CR4 now 0x00000000, requested 0x400806b0: sets PSE PAE PGE OSFXSR OSXMMEXCPT KL bit 30',
    ]);
  });

  it('takes CR3 apart, by the paging mode', () => {
    const bytes = [0x0f, 0x22, 0xd8];
    expect(words({ bytes, registers: { eax: 0x00101018 } })).toEqual([
      'CR3 now 0x00000000, requested 0x00101018: page directory at physical 0x00101000, PWT 1, PCD 1',
    ]);
    const control = { cr0: 0x11, cr2: 0, cr3: 0, cr4: 0x20, efer: 0 };
    expect(words({ bytes, registers: { eax: 0x00101060 }, cpu: { control } })).toEqual([
      'CR3 now 0x00000000, requested 0x00101060: page-directory-pointer table at physical 0x00101060, PWT 0, PCD 0',
    ]);
  });

  it('says what a read gives: mov %cr0,%eax and mov %cr2,%eax', () => {
    const control = { cr0: 0x80050033, cr2: 0xc0000004, cr3: 0, cr4: 0, efer: 0 };
    expect(words({ bytes: [0x0f, 0x20, 0xc0], cpu: { control } })).toEqual([
      'CR0 is 0x80050033: PE MP ET NE WP AM PG',
    ]);
    expect(words({ bytes: [0x0f, 0x20, 0xd0], cpu: { control } })).toEqual(['CR2 is 0xc0000004']);
  });

  it('lmsw %ax changes four bits and cannot clear PE; clts clears TS', () => {
    expect(operand({ bytes: [0x0f, 0x01, 0xf0], registers: { eax: 0xfffe } })).toMatchObject({
      register: 'cr0',
      requested: 0x1f,
      changes: [
        { bit: 'MP', to: 1 },
        { bit: 'EM', to: 1 },
        { bit: 'TS', to: 1 },
      ],
    });
    const control = { cr0: 0x1b, cr2: 0, cr3: 0, cr4: 0, efer: 0 };
    expect(words({ bytes: [0x0f, 0x06], cpu: { control } })).toEqual([
      'CR0 now 0x0000001b, requested 0x00000013: clears TS',
    ]);
  });

  it('reads the word of lmsw from memory: lmsw 0x2000', () => {
    const bytes = [0x0f, 0x01, 0x35, 0x00, 0x20, 0x00, 0x00];
    expect(operand({ bytes, memory: { [DATA]: 0x9 } })).toMatchObject({
      memory: data(DATA, 2),
      requested: 0x19,
    });
    expect(operand({ bytes, cpu: { segments: { ...segments, ds: NULL } } })).toEqual({
      type: 'control-register',
      register: 'cr0',
      access: 'write',
      current: 0x11,
      memory: { ...data(DATA, 2), unreadable: 'null-segment' },
    });
  });
});

describe('debug registers', () => {
  it('names the bits of DR7: a local write breakpoint of 4 bytes in DR1', () => {
    // SDM vol. 3, 17.2.4: L1 bit 2, LE bit 8, R/W1 bits 21:20 = 01, LEN1 bits 23:22 = 11.
    expect(operand({ bytes: [0x0f, 0x23, 0xf8], registers: { eax: 0x00d00504 } })).toEqual({
      type: 'debug-register',
      number: 7,
      access: 'write',
      requested: 0x00d00504,
      set: ['L1', 'LE', 'R/W1=write', 'LEN1=4'],
    });
  });

  it('gives an address register its value, and a read its number', () => {
    expect(words({ bytes: [0x0f, 0x23, 0xc0], registers: { eax: 0x1234 } })).toEqual([
      'DR0 requested 0x00001234',
    ]);
    expect(operand({ bytes: [0x0f, 0x21, 0xf0] })).toEqual({
      type: 'debug-register',
      number: 6,
      access: 'read',
    });
  });

  it('shows what is in DR6 and DR7, where that is known: SDM vol. 3, figure 17-1', () => {
    const debug = (index: 6 | 7): number => (index === 7 ? 0x404 : 0xffff0ff0);
    const shown = (bytes: readonly number[]): readonly string[] => {
      const found = operandOf({ ...situation({ bytes }), debug });
      return found ? operandInWords(found) : [];
    };
    expect(shown([0x0f, 0x21, 0xf9])).toEqual(['DR7 is 0x00000404: L1 R/W1=execute LEN1=1']);
    // DR5 is DR7 without CR4.DE.
    expect(shown([0x0f, 0x21, 0xe9])).toEqual(['DR5 is 0x00000404: L1 R/W1=execute LEN1=1']);
    expect(shown([0x0f, 0x23, 0xf8])).toEqual(['DR7 now 0x00000404, requested 0x00000000: no bit set']);
    expect(shown([0x0f, 0x21, 0xc1])).toEqual([]);
  });
});

describe('MSRs', () => {
  it('names the MSR and, for EFER, the bits: wrmsr', () => {
    const found = operand({ bytes: [0x0f, 0x30], registers: { ecx: 0xc0000080, eax: 0x900, edx: 0 } });
    expect(found).toEqual({
      type: 'msr',
      access: 'write',
      index: 0xc0000080,
      name: 'IA32_EFER',
      current: { low: 0, high: 0 },
      requested: { low: 0x900, high: 0 },
      changes: [
        { bit: 'LME', from: 0, to: 1 },
        { bit: 'NXE', from: 0, to: 1 },
      ],
    });
    expect(operandInWords(found)).toEqual([
      'MSR 0xc0000080 (IA32_EFER) now 0x0000000000000000, requested 0x0000000000000900: sets LME NXE',
    ]);
  });

  it('gives the value that rdmsr reads: the time-stamp counter is virtual time', () => {
    expect(words({ bytes: [0x0f, 0x32], registers: { ecx: 0x10 } })).toEqual([
      'MSR 0x10 (IA32_TIME_STAMP_COUNTER) reads 0x00000000000003e8',
    ]);
  });

  it('keeps the address of the APIC out of its bits, and names bit 34 of MISC_ENABLE', () => {
    expect(operand({ bytes: [0x0f, 0x30], registers: { ecx: 0x1b, eax: 0xfee00900, edx: 0 } })).toMatchObject(
      { changes: [{ bit: 'BSP' }, { bit: 'EN' }] },
    );
    expect(operand({ bytes: [0x0f, 0x30], registers: { ecx: 0x1a0, eax: 1, edx: 4 } })).toMatchObject({
      changes: [{ bit: 'fast strings' }, { bit: 'XD bit disable' }],
    });
  });

  it('gives an MSR that it does not know its number', () => {
    expect(operand({ bytes: [0x0f, 0x32], registers: { ecx: 0x12345678 } })).toEqual({
      type: 'msr',
      access: 'read',
      index: 0x12345678,
      current: { low: 0, high: 0 },
    });
  });

  it('xsetbv names the state components; rdpmc its counter', () => {
    expect(words({ bytes: [0x0f, 0x01, 0xd1], registers: { eax: 7 } })).toEqual([
      'XCR0 requested 0x0000000000000007: x87 SSE AVX',
    ]);
    expect(operand({ bytes: [0x0f, 0x33], registers: { ecx: 2 } })).toEqual({
      type: 'counter',
      counter: 'performance',
      index: 2,
      value: { low: 0, high: 0 },
    });
  });
});

describe('ports', () => {
  it('names the port: out %al,$0x20 and in (%dx),%eax', () => {
    expect(operand({ bytes: [0xe6, 0x20], registers: { eax: 0xdead1120 } })).toEqual({
      type: 'port',
      direction: 'out',
      number: 0x20,
      name: 'first PIC: command',
      size: 1,
      value: 0x20,
    });
    expect(operand({ bytes: [0xed], registers: { edx: 0x10cfc } })).toEqual({
      type: 'port',
      direction: 'in',
      number: 0xcfc,
      name: 'PCI configuration: data',
      size: 4,
    });
  });

  it('reads what rep outsb sends, and how much', () => {
    const registers = { esi: DATA, ecx: 5, edx: 0x3f8 };
    const found = operand({ bytes: [0xf3, 0x6e], registers, memory: { [DATA]: 0x6c6c6548 } });
    expect(found).toEqual({
      type: 'port',
      direction: 'out',
      number: 0x3f8,
      name: 'COM1: data',
      size: 1,
      value: 0x48,
      memory: data(DATA, 1),
      count: 5,
    });
    expect(operandInWords(found)).toEqual([
      '1-byte write of 0x48 to port 0x03f8 (COM1: data), from ds:0x00002000, 5 transfers',
    ]);
  });

  it('knows no name for a port without a fixed use', () => {
    expect(operand({ bytes: [0xee], registers: { edx: 0xc000 } })).not.toHaveProperty('name');
  });
});

describe('the rest', () => {
  it('hlt shows IF', () => {
    expect(operand({ bytes: [0xf4], eflags: 0x2 })).toEqual({ type: 'halt', interruptsEnabled: false });
  });

  it('int n shows its gate', () => {
    const idtr = { base: IDT, limit: 0x407 };
    // SDM vol. 3, figure 6-2: selector 0x10, offset 0xc0100020, present, DPL 3, 32-bit trap gate.
    const memory = { [IDT + 0x400]: 0x00100020, [IDT + 0x404]: 0xc010ef00 };
    expect(words({ bytes: [0xcd, 0x80], memory, cpu: { idtr } })).toEqual([
      'gate 0x80: 32-bit trap gate to 0x0010:0xc0100020, DPL 3, present',
    ]);
    expect(words({ bytes: [0xcd, 0x81], cpu: { idtr } })).toEqual([
      'gate 0x81 is beyond the limit of the IDT',
    ]);
    expect(operand({ bytes: [0xcc], platform: { hypervisor: 'xen' } })).toEqual({
      type: 'interrupt',
      vector: 3,
      noGate: 'hypervisor',
    });
  });

  it('sysenter and sysexit show where the MSRs send them', () => {
    // SDM vol. 2, SYSEXIT: CS is IA32_SYSENTER_CS + 16, SS + 24, both with RPL 3; EIP is EDX, ESP is ECX.
    const s = situation({ bytes: [0x0f, 0x35], registers: { ecx: 0xbfff0000, edx: 0x08048000 } });
    s.msrs.write(0x174, 0x60n);
    expect(operandOf(s)).toEqual({
      type: 'fast-call',
      instruction: 'sysexit',
      sysenterCs: 0x60,
      cs: 0x73,
      ss: 0x7b,
      eip: 0x08048000,
      esp: 0xbfff0000,
    });
    const entering = situation({ bytes: [0x0f, 0x34] });
    for (const [index, value] of [
      [0x174, 0x60n],
      [0x175, 0x5000n],
      [0x176, 0x6000n],
    ] as const) {
      entering.msrs.write(index, value);
    }
    expect(operandOf(entering)).toMatchObject({ cs: 0x60, ss: 0x68, eip: 0x6000, esp: 0x5000 });
  });

  it('invlpg shows what its page is mapped to', () => {
    const bytes = [0x0f, 0x01, 0x3d, 0x34, 0x12, 0x40, 0xc0];
    expect(operand({ bytes })).toEqual({ type: 'page', linear: 0xc0401234, unmapped: 'paging-off' });
    const control = { cr0: 0x80000011, cr2: 0, cr3: 0x5000, cr4: 0x10, efer: 0 };
    const s = situation({ bytes, cpu: { control } });
    // A 4 MiB page: PDE 0x301 of the directory, P, R/W, PS.
    const readPhysical = (physical: number) => (physical === 0x5c04 ? 0x00800083 : 0);
    const found = operandOf({ ...s, readPhysical });
    expect(found).toEqual({
      type: 'page',
      linear: 0xc0401234,
      mapping: { physical: 0x00801234, pageSize: 0x400000, writable: true, user: false },
    });
    expect(found && operandInWords(found)).toEqual([
      'page of 0xc0401234: physical 0x00801234, 4 MiB, writable, supervisor',
    ]);
    expect(operandOf({ ...s, readPhysical: () => 0 })).toMatchObject({ unmapped: 'page-not-present' });
  });

  it('an instruction that says it all has none: cli, cpuid, mov %eax,%ebx', () => {
    for (const bytes of [[0xfa], [0x0f, 0xa2], [0x89, 0xc3]]) {
      expect(operandOf(situation({ bytes }))).toBeUndefined();
    }
  });
});
