/**
 * The boot image and the drivers, held against what the SDM says: a few cases written by hand, on each oracle. Where an
 * emulator is known to leave the SDM, the case names it with what it does instead.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Ring } from '../../emulator/cpu-state.ts';
import {
  arenaOf,
  arenaTemplate,
  CHECKED_TABLES,
  checksum,
  descriptor,
  gate,
  HANDLERS,
  PAGE_DIRECTORY,
  PTE_PRESENT,
  PTE_USER,
  PTE_WRITE,
  pageTableEntry,
  REAL_MODE_HANDLER,
  TSS_IO_MAP,
  TSS_REDIRECTION_MAP,
} from './arena.ts';
import {
  ARENA,
  CODE,
  codeSelector,
  DATA,
  DATA_SIZE,
  dataSelector,
  END_VECTOR,
  FIRST_FREE,
  GDT,
  GDT_LIMIT,
  IDT,
  LDT,
  LDT_SELECTOR,
  type MemoryWrite,
  type OracleCase,
  type Outcome,
  RUNNER_CODE,
  SPARE,
  STACK,
  STACK_SIZE,
  STACK_TOP,
  TSS,
  TSS_SELECTOR,
} from './case.ts';
import { availability, type Oracle, runCases, type Wedged } from './drivers/index.ts';
import { decodeMessages } from './encoding.ts';

const DE = 0;
const BP = 3;
const UD = 6;
const DF = 8;
const NP = 11;
const SS = 12;
const GP = 13;
const PF = 14;

const IF = 0x200;
const VM = 0x20000;
const VIF = 0x80000;
const iopl = (level: number): number => level << 12;
const CR0_WP = 0x10000;
const CR4_VME = 0x1;
const CR4_PVI = 0x2;
const CR4_UMIP = 0x800;

const REGISTERS = {
  eax: 0x11111111,
  ecx: 0x22222222,
  edx: 0x33333333,
  ebx: 0x44444444,
  esp: STACK_TOP,
  ebp: 0x55555555,
  esi: 0x66666666,
  edi: 0x77777777,
};

/** The code goes on with `int $0x40`. */
function inRing(ring: Ring, code: readonly number[], more: Partial<OracleCase> = {}): OracleCase {
  const data = dataSelector(ring);
  return {
    topic: 'by hand',
    mode: 'protected',
    ring,
    eflags: 0x2,
    eip: CODE,
    registers: REGISTERS,
    selectors: { cs: codeSelector(ring), ss: data, ds: data, es: data, fs: data, gs: data },
    cr0: 0,
    cr4: 0,
    efer: 0,
    paging: 'off',
    ldtr: 0,
    ignore: [],
    undefinedFlags: 0,
    without: [],
    ...more,
    writes: [{ address: CODE, bytes: Uint8Array.of(...code, 0xcd, END_VECTOR) }, ...(more.writes ?? [])],
  };
}

const VM86_SELECTORS = {
  cs: CODE >>> 4,
  ss: STACK >>> 4,
  ds: DATA >>> 4,
  es: DATA >>> 4,
  fs: 0x1234,
  gs: 0xffff,
};

const inVm86 = (code: readonly number[], more: Partial<OracleCase> = {}): OracleCase =>
  inRing(3, code, {
    mode: 'vm86',
    eip: 0,
    selectors: VM86_SELECTORS,
    registers: { ...REGISTERS, esp: 0x1000 },
    ...more,
    eflags: (more.eflags ?? 0x2) | VM,
  });

const bytes32 = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);
const withEax = (eax: number): Partial<OracleCase> => ({ registers: { ...REGISTERS, eax } });
const address32 = (address: number): number[] => [...bytes32(address)];

/** Of the arena as the case finds it, after these writes. */
function sums(oracleCase: OracleCase, ...after: MemoryWrite[]): Pick<Outcome, 'data' | 'stack' | 'tables'> {
  const arena = arenaOf(oracleCase);
  // LTR sets the busy bit of the TSS.
  arena[GDT - ARENA + TSS_SELECTOR + 5] = 0x8b;
  for (const { address, bytes } of after) arena.set(bytes, address - ARENA);
  const part = (start: number, size: number): Uint8Array => arena.slice(start - ARENA, start - ARENA + size);
  const tables = CHECKED_TABLES.flatMap(({ start, size }) => [...part(start, size)]);
  return {
    data: checksum(part(DATA, DATA_SIZE)),
    stack: oracleCase.ring === 0 ? 0 : checksum(part(STACK, STACK_SIZE)),
    tables: checksum(Uint8Array.from(tables)),
  };
}

interface ByHand {
  readonly name: string;
  readonly run: OracleCase;
  readonly expected: Partial<Outcome>;
  /** What an oracle does against the SDM. */
  readonly instead?: Partial<Record<Oracle, Partial<Outcome>>>;
}

const fault = (vector: number, errorCode: number | undefined, eip = CODE): Partial<Outcome> => ({
  vector,
  errorCode,
  eip,
});
const end = (codeBytes: number): Partial<Outcome> => ({
  vector: END_VECTOR,
  errorCode: undefined,
  eip: CODE + codeBytes + 2,
});

const CLI = [0xfa];
const STI = [0xfb];
const NOP = [0x90];
const POPF = [0x9d];
const PUSH_EAX = [0x50];
const UD2 = [0x0f, 0x0b];
const HLT = [0xf4];
const MOV_EAX_SS = [0x8e, 0xd0];
const MOV_EAX_DS = [0x8e, 0xd8];
const IN_EDX = [0xec];

/** A whole outcome: the state at the end of a case that does nothing. */
function untouched(run: OracleCase): Outcome {
  const PG = run.paging === 'off' ? 0 : 0x80000000;
  return {
    vector: END_VECTOR,
    errorCode: undefined,
    eip: run.eip + 3,
    eflags: run.eflags,
    registers: run.registers,
    selectors: run.selectors,
    cr0: (0x11 | PG | run.cr0) >>> 0,
    cr2: 0,
    cr3: run.paging === 'pae' ? PAGE_DIRECTORY + 0x2000 : PAGE_DIRECTORY,
    cr4: run.paging === 'pae' ? 0x20 : 0,
    gdtr: { base: GDT, limit: GDT_LIMIT },
    idtr: { base: IDT, limit: 0x27f },
    ldtr: run.ldtr,
    tr: TSS_SELECTOR,
    ...sums(run),
  };
}

const doingNothing: readonly ByHand[] = [
  ...([0, 1, 2, 3] as const).flatMap(ring =>
    (['off', '32-bit', 'pae'] as const).map(paging => ({
      name: `ring ${ring}, paging ${paging}: nothing but int $0x40`,
      run: inRing(ring, NOP, { paging, cr0: CR0_WP, ldtr: LDT_SELECTOR, eflags: IF | 0x2 | iopl(2) | 0x8d5 }),
    })),
  ),
  { name: 'virtual-8086 mode: nothing but int $0x40 at IOPL 3', run: inVm86(NOP, { eflags: iopl(3) | 0x2 }) },
].map(one => ({ ...one, expected: untouched(one.run) }));

const freeSlot = (bytes: Uint8Array): MemoryWrite => ({ address: GDT + FIRST_FREE, bytes });
const readDs = [0xa1, ...address32(0x100)]; // mov 0x100, %eax

const toDataInRing3 = inRing(3, PUSH_EAX);
const withWriteOnly0 = (cr0: number): OracleCase =>
  inRing(0, [0xa3, ...address32(DATA)], {
    paging: '32-bit',
    cr0,
    writes: [{ address: pageTableEntry('32-bit', DATA), bytes: bytes32(DATA | PTE_PRESENT) }],
  });
const readOnlyWithoutWp = withWriteOnly0(0);
const accessed = inRing(3, MOV_EAX_DS, {
  ...withEax(FIRST_FREE | 3),
  writes: [freeSlot(descriptor(0, 0xfffff, 0xf2, 0xc))],
});

const byHand: readonly ByHand[] = [
  { name: 'cli in ring 1, IOPL 0: #GP(0)', run: inRing(1, CLI), expected: fault(GP, 0) },
  {
    name: 'cli in ring 1, IOPL 1: IF is cleared',
    run: inRing(1, CLI, { eflags: IF | 0x2 | iopl(1) }),
    expected: { ...end(1), eflags: 0x2 | iopl(1) },
  },
  {
    name: 'popf in ring 3, IOPL 0: IF and IOPL stay as they are, without a fault',
    run: inRing(3, [0x6a, 0x02, ...POPF], { eflags: IF | 0x2 }),
    expected: { ...end(3), eflags: IF | 0x2 },
  },
  { name: 'hlt in ring 3: #GP(0)', run: inRing(3, HLT), expected: fault(GP, 0) },
  { name: 'ud2: #UD', run: inRing(2, UD2), expected: fault(UD, undefined) },
  {
    name: 'div by zero: #DE',
    run: inRing(0, [0x31, 0xc9, 0xf7, 0xf1]),
    expected: fault(DE, undefined, CODE + 2),
  },
  { name: 'int3: #BP behind it', run: inRing(3, [0xcc]), expected: fault(BP, undefined, CODE + 1) },
  {
    name: 'int $0x0d in ring 3 through a gate with DPL 0: #GP with the vector and the IDT bit',
    run: inRing(3, [0xcd, GP]),
    expected: fault(GP, GP * 8 + 2),
  },
  {
    name: 'int $0x0d in ring 3 through a gate with DPL 3: vector 13 without an error code',
    run: inRing(3, [0xcd, GP], {
      writes: [{ address: IDT + GP * 8, bytes: gate(RUNNER_CODE, HANDLERS + GP * 16, 0xee) }],
    }),
    expected: fault(GP, undefined, CODE + 2),
  },

  // Segments.
  { name: 'null into SS: #GP(0)', run: inRing(3, MOV_EAX_SS, withEax(0)), expected: fault(GP, 0) },
  {
    name: 'a selector beyond the limit of the GDT: #GP(selector)',
    run: inRing(3, MOV_EAX_DS, withEax(0x10b)),
    expected: fault(GP, 0x108),
  },
  {
    name: 'a segment that is not present into DS: #NP(selector)',
    run: inRing(3, MOV_EAX_DS, {
      ...withEax(FIRST_FREE | 3),
      writes: [freeSlot(descriptor(0, 0xfffff, 0x72, 0xc))],
    }),
    expected: fault(NP, FIRST_FREE),
  },
  {
    name: 'a segment that is not present into SS: #SS(selector)',
    run: inRing(3, MOV_EAX_SS, {
      ...withEax(FIRST_FREE | 3),
      writes: [freeSlot(descriptor(0, 0xfffff, 0x72, 0xc))],
    }),
    expected: fault(SS, FIRST_FREE),
  },
  {
    name: 'a load sets the accessed bit',
    run: accessed,
    expected: {
      ...end(2),
      ...sums(accessed, { address: GDT + FIRST_FREE + 5, bytes: Uint8Array.of(0xf3) }),
    },
  },
  {
    name: 'beyond the limit of DS: #GP(0)',
    run: inRing(3, readDs, {
      selectors: { ...inRing(3, []).selectors, ds: FIRST_FREE | 3 },
      writes: [freeSlot(descriptor(DATA, 0xff, 0xf3, 0x4))],
    }),
    expected: fault(GP, 0),
    instead: { qemu: { ...end(5), errorCode: undefined } },
  },
  {
    name: 'a segment of the LDT, at its base',
    run: inRing(3, readDs, {
      ldtr: LDT_SELECTOR,
      selectors: { ...inRing(3, []).selectors, ds: 0x7 },
      writes: [
        { address: LDT, bytes: descriptor(DATA, 0xfff, 0xf3, 0x4) },
        { address: DATA + 0x100, bytes: bytes32(0xcafe0001) },
      ],
    }),
    expected: { ...end(5), registers: { ...REGISTERS, eax: 0xcafe0001 }, ldtr: LDT_SELECTOR },
  },

  // Memory and paging.
  {
    name: 'a push shows in the checksum of the stack',
    run: toDataInRing3,
    expected: {
      ...end(1),
      registers: { ...REGISTERS, esp: STACK_TOP - 4 },
      ...sums(toDataInRing3, { address: STACK_TOP - 4, bytes: bytes32(REGISTERS.eax) }),
    },
  },
  {
    name: 'a read outside the mapping in ring 3: #PF(user), CR2',
    run: inRing(3, [0xa1, ...address32(0x123456)], { paging: 'pae' }),
    expected: { ...fault(PF, 4), cr2: 0x123456 },
  },
  {
    name: 'a write to a read-only page in ring 0 with WP: #PF(present, write)',
    run: withWriteOnly0(CR0_WP),
    expected: { ...fault(PF, 3), cr2: DATA },
  },
  {
    name: 'the same without WP goes through',
    run: readOnlyWithoutWp,
    expected: {
      ...end(5),
      ...sums(readOnlyWithoutWp, { address: DATA, bytes: bytes32(REGISTERS.eax) }),
    },
  },
  {
    name: 'a reserved bit of a PAE entry: #PF(present, user, reserved)',
    run: inRing(3, [0xa1, ...address32(SPARE)], {
      paging: 'pae',
      writes: [
        {
          address: pageTableEntry('pae', SPARE),
          // Bit 52: bits 62 down to MAXPHYADDR are reserved (SDM vol. 3, table 4-11).
          bytes: bytes32(SPARE | PTE_PRESENT | PTE_WRITE | PTE_USER, 0x00100000),
        },
      ],
    }),
    expected: { ...fault(PF, 0xd), cr2: SPARE },
    instead: { qemu: { ...fault(PF, 0xc), cr2: SPARE } },
  },
  {
    name: 'a fault with a stack that is not there, in ring 0: double fault, with the state in the TSS',
    run: inRing(0, UD2, { paging: '32-bit', registers: { ...REGISTERS, esp: 0x200000 } }),
    expected: { vector: DF, errorCode: 0, eip: CODE, tr: TSS_SELECTOR, cr2: 0x1ffffc },
  },

  // What the TSS and the control registers permit.
  {
    name: 'in in ring 3 with the bit of the port set: #GP(0)',
    run: inRing(3, IN_EDX, { registers: { ...REGISTERS, edx: 0x84 } }),
    expected: fault(GP, 0),
  },
  {
    name: 'in in ring 3 with the bit of the port clear',
    run: inRing(3, IN_EDX, {
      registers: { ...REGISTERS, edx: 0x84 },
      writes: [{ address: TSS + TSS_IO_MAP + (0x84 >>> 3), bytes: Uint8Array.of(0xef) }],
    }),
    expected: end(1),
  },
  {
    name: 'sgdt in ring 3 with UMIP: #GP(0)',
    run: inRing(3, [0x0f, 0x01, 0x05, ...address32(DATA)], { cr4: CR4_UMIP }),
    expected: fault(GP, 0),
  },
  {
    name: 'sysenter with IA32_SYSENTER_CS 0: #GP(0)',
    run: inRing(3, [0x0f, 0x34]),
    expected: fault(GP, 0),
  },
  {
    name: 'lgdt in ring 0',
    run: inRing(0, [0x0f, 0x01, 0x15, ...address32(DATA)], {
      writes: [{ address: DATA, bytes: Uint8Array.of(0x7f, 0, ...address32(GDT)) }],
    }),
    expected: { ...end(7), gdtr: { base: GDT, limit: 0x7f } },
  },
  {
    name: 'sti in ring 3 with PVI: VIF instead of IF',
    run: inRing(3, STI, { cr4: CR4_PVI }),
    expected: { ...end(1), eflags: 0x2 | VIF },
    instead: { qemu: { ...fault(GP, 0), eflags: 0x2 } },
  },

  // Virtual-8086 mode.
  {
    name: 'cli in virtual-8086 mode, IOPL 0: #GP(0)',
    run: inVm86(CLI, { eflags: IF | 0x2 }),
    expected: { ...fault(GP, 0, 0), eflags: IF | VM | 0x2, selectors: VM86_SELECTORS },
  },
  {
    name: 'cli in virtual-8086 mode, IOPL 0, VME: VIF is cleared',
    run: inVm86([...CLI, 0xcc], { eflags: IF | VIF | 0x2, cr4: CR4_VME }),
    expected: { ...fault(BP, undefined, 2), eflags: IF | VM | 0x2 },
    instead: { qemu: { ...fault(GP, 0, 0), eflags: IF | VIF | VM | 0x2 } },
  },
  {
    name: 'int $0x60 in virtual-8086 mode with VME goes to the real-mode handler where the redirection bit is clear',
    run: inVm86([0xcd, 0x60], {
      eflags: 0x2 | iopl(3),
      cr4: CR4_VME,
      writes: [{ address: TSS + TSS_REDIRECTION_MAP + (0x60 >>> 3), bytes: Uint8Array.of(0xfe) }],
    }),
    expected: {
      vector: END_VECTOR,
      eip: REAL_MODE_HANDLER.ip + 2,
      selectors: { ...VM86_SELECTORS, cs: REAL_MODE_HANDLER.cs },
    },
    instead: { qemu: fault(GP, 0x60 * 8 + 2, 0) },
  },
];

/** Each of them wedges an emulator in its own way; the one behind it must not be lost. */
const wedges: readonly { name: string; run: OracleCase; wedged: boolean }[] = [
  { name: 'first', run: inRing(3, NOP), wedged: false },
  { name: 'jmp to itself', run: inRing(3, [0xeb, 0xfe]), wedged: true },
  { name: 'behind the loop', run: inRing(3, NOP), wedged: false },
  { name: 'hlt in ring 0', run: inRing(0, HLT), wedged: true },
  {
    name: 'triple fault: no IDT',
    run: inRing(0, [0x0f, 0x01, 0x1d, ...address32(DATA), ...UD2], {
      writes: [{ address: DATA, bytes: new Uint8Array(6) }],
    }),
    wedged: true,
  },
  { name: 'last', run: inRing(1, CLI), wedged: false },
];

const all = [...doingNothing, ...byHand];

const ORACLES: readonly Oracle[] = ['qemu', 'bochs', 'kvm'];
const missing = new Map<Oracle, string | undefined>();
for (const oracle of ORACLES) missing.set(oracle, await availability(oracle));

describe.each(ORACLES)('%s', oracle => {
  const reason = missing.get(oracle);
  if (reason !== undefined) {
    it('runs on this machine', ctx => {
      if (process.env.CI === 'true' && oracle !== 'kvm')
        throw new Error(`${oracle} cannot run here: ${reason}`);
      console.warn(`skipped: all cases on ${oracle}: ${reason}`);
      ctx.skip(`${oracle} cannot run here: ${reason}`);
    });
    return;
  }
  let outcomes: readonly (Outcome | Wedged)[] = [];
  let afterWedges: readonly (Outcome | Wedged)[] = [];

  beforeAll(async () => {
    outcomes = await runCases(
      oracle,
      all.map(({ run }) => run),
    );
    afterWedges = await runCases(
      oracle,
      wedges.map(({ run }) => run),
    );
  }, 0);

  for (const [index, { name, expected, instead }] of all.entries()) {
    it(name, () => {
      expect(outcomes[index]).toMatchObject(instead?.[oracle] ?? expected);
    });
  }

  it('a case that wedges is named, and those behind it are run', () => {
    expect(afterWedges.map(outcome => 'wedged' in outcome)).toEqual(wedges.map(({ wedged }) => wedged));
    expect(afterWedges[1]).toEqual({ wedged: 'no end' });
    expect(afterWedges[4]).toMatchObject({
      wedged: expect.stringMatching(/^shutdown \(triple fault\)$|3rd \(\d+\) exception/),
    });
    expect(afterWedges[0]).toEqual(afterWedges[2]);
    expect(afterWedges.at(-1)).toMatchObject(fault(GP, 0));
  });

  it('the order of the cases changes nothing', async () => {
    const turned = await runCases(oracle, all.map(({ run }) => run).toReversed());
    expect(turned.toReversed()).toEqual(outcomes);
  });
});

describe('the arena', () => {
  it('has the descriptors of the runner and of every ring in their places', () => {
    const view = new DataView(arenaTemplate().buffer);
    const entry = (selector: number): bigint => view.getBigUint64(GDT - ARENA + (selector & ~7), true);
    expect(entry(RUNNER_CODE)).toBe(0x00cf9b000000ffffn);
    expect(entry(codeSelector(3))).toBe(0x00cffb000000ffffn);
    expect(entry(dataSelector(1))).toBe(0x00cfb3000000ffffn);
    expect(entry(LDT_SELECTOR)).toBe(0x000082047000003fn);
  });

  it('sums up as rol 5, xor', () => {
    expect(checksum(bytes32(0x80000001))).toBe(0x80000001);
    expect(checksum(bytes32(0x80000001, 0))).toBe(0x00000030);
    expect(checksum(bytes32(1, 2))).toBe(0x22);
  });
});

describe('the messages', () => {
  const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
  const join = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap(part => [...part]));
  const begin = (number: number): Uint8Array => join(ascii('[BEG'), bytes32(number));
  const outcome = join(ascii('[OUT'), bytes32(7, GP, 1, 0x10), new Uint8Array(29 * 4), ascii(']OUT'));

  it('come through whatever else is written between them', () => {
    const output = join(
      ascii('[CPU0 ] says [BE\n'),
      begin(7),
      ascii('['),
      outcome,
      ascii('[END'),
      bytes32(0),
    );
    const messages = [...decodeMessages(output)];
    expect(messages.map(({ kind }) => kind)).toEqual(['begin', 'outcome', 'end']);
    expect(messages[1]).toMatchObject({ number: 7, outcome: { vector: GP, errorCode: 0x10 } });
  });

  it('do not count before they are whole', () => {
    for (let length = 0; length < outcome.length; length++) {
      expect([...decodeMessages(join(begin(7), outcome.subarray(0, length)))]).toEqual([
        { kind: 'begin', number: 7 },
      ]);
    }
  });
});
