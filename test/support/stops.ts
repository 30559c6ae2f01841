/** One Stop of every kind, written by hand, and a small image and protocol to report them with. */
import type { BootProtocol } from '../../boot-protocols/protocol.ts';
import type { CpuState, Ring } from '../../emulator/cpu-state.ts';
import type { EntryState, SegmentEntry } from '../../emulator/entry-state.ts';
import { flatCode, flatData, type SegmentRegister } from '../../emulator/segmentation.ts';
import type { Near, Stop, StopCommon, StopKind, StopOf } from '../../emulator/stop.ts';
import type { ElfImage } from '../../src/kernel-image/kernel-image.ts';
import type { ReportContext } from '../../src/report/stop/json.ts';

/** Bytes from a listing: `bytes('fc fa')`. */
export const bytes = (hex: string): Uint8Array =>
  Uint8Array.from(hex.split(' ').filter(Boolean), byte => Number.parseInt(byte, 16));

/** cld; cli; lgdtl 0x100120; mov $0x18,%eax; mov %eax,%ds */
export const CODE = bytes('fc fa 0f 01 15 20 01 10 00 b8 18 00 00 00 8e d8');
export const BASE = 0x100000;

const NULL_SEGMENT: SegmentRegister = { selector: 0, descriptor: undefined };
const SYSTEM = {
  base: 0,
  limit: 0xffff,
  codeOrData: false,
  dpl: 0,
  present: true,
  available: false,
  long: false,
  big: false,
  granular: false,
} as const;

/** The state of an lguest guest at its first instruction: CPL 1, IOPL 0, selectors 0x61 and 0x69. */
export const cpuState = (changes: Partial<CpuState> = {}): CpuState => ({
  registers: {
    eax: 0xdead0000,
    ecx: 0xdead0001,
    edx: 0xdead0002,
    ebx: 0xdead0003,
    esp: 0,
    ebp: 0xdead0006,
    esi: 0,
    edi: 0xdead0007,
  },
  eip: BASE + 1,
  eflags: 0x2,
  segments: {
    es: { selector: 0x69, descriptor: flatData(1) },
    cs: { selector: 0x61, descriptor: flatCode(1) },
    ss: { selector: 0x69, descriptor: flatData(1) },
    ds: { selector: 0x69, descriptor: flatData(1) },
    fs: NULL_SEGMENT,
    gs: NULL_SEGMENT,
  },
  ldtr: { selector: 0, descriptor: { ...SYSTEM, type: 0x2 } },
  tr: { selector: 0, descriptor: { ...SYSTEM, type: 0xb } },
  gdtr: { base: 0x3fff000, limit: 0x7f },
  idtr: { base: 0, limit: 0 },
  control: { cr0: 0x80000011, cr2: 0, cr3: 0x3ffe000, cr4: 0, efer: 0 },
  cpl: 1,
  ...changes,
});

const promised = (segment: SegmentRegister): SegmentEntry => ({ ...segment, promised: true });

export function entryState(ring: Ring = 1): EntryState {
  const { registers, segments, ...cpu } = cpuState();
  const register = (value: number) => ({ value, promised: value >>> 16 !== 0xdead });
  return {
    protocol: 'lguest',
    knobs: { memory: '64M', 'keep-segments': '1' },
    ring,
    registers: {
      eax: register(registers.eax),
      ecx: register(registers.ecx),
      edx: register(registers.edx),
      ebx: register(registers.ebx),
      esp: register(registers.esp),
      ebp: register(registers.ebp),
      esi: register(registers.esi),
      edi: register(registers.edi),
    },
    eip: BASE,
    eflags: cpu.eflags,
    segments: {
      es: promised(segments.es),
      cs: promised(segments.cs),
      ss: promised(segments.ss),
      ds: promised(segments.ds),
      fs: promised(segments.fs),
      gs: promised(segments.gs),
    },
    ldtr: cpu.ldtr,
    tr: cpu.tr,
    gdtr: cpu.gdtr,
    idtr: cpu.idtr,
    control: cpu.control,
    paging: {
      mode: '32-bit',
      mappings: [{ linear: 0, physical: 0, size: 0x4000000, writable: true, user: true, name: 'all RAM' }],
    },
    banks: [{ name: 'RAM', start: 0, size: 0x4000000, kind: 'ram' }],
    regions: [{ name: 'LOAD 0', start: BASE, size: 0x1000, owner: 'kernel', contents: CODE, defined: true }],
    structures: [],
    platform: { hypervisor: 'lguest', hypercallVectors: [0x1f], cpuModel: 'pentium3' },
  };
}

/** A one-segment ELF without symbols: its entry is named startup_32 all the same. */
export const image: ElfImage = {
  format: 'elf',
  type: 'ET_EXEC',
  name: 'kernel.elf',
  size: 4112,
  sha256: 'ab'.repeat(32),
  entry: BASE,
  segments: [
    {
      name: 'LOAD 0',
      physical: BASE,
      virtual: BASE,
      contents: CODE,
      memorySize: 0x1000,
      fileOffset: 0x1000,
      readable: true,
      writable: true,
      executable: true,
    },
  ],
  notes: [],
  symbols: [],
  warnings: [],
  programHeaders: [],
  sections: [],
};

export const protocol: BootProtocol = {
  name: 'lguest',
  summary: 'a protocol for tests',
  page: 'lguest.md',
  knobs: ['memory', 'keepSegments'],
  unpacks: false,
  canStart: () => ({ ok: true }),
  entryState: () => entryState(),
  reaction: stop =>
    stop.kind === 'iopl-sensitive-instruction'
      ? {
          outcome: 'skips',
          sentence: 'lguest skips cli and goes on.',
          citation: 'Linux 4.13 drivers/lguest/x86/core.c',
        }
      : { outcome: 'unknown', sentence: 'Nothing is known about this.' },
  advice: () => ['start the kernel as --as pc', 'build it with CONFIG_LGUEST_GUEST=y'],
  hypercallName: number => (number === 0 ? 'LHCALL_LGUEST_INIT' : undefined),
};

export const context: ReportContext = {
  entry: entryState(),
  image,
  protocol,
  engine: { name: 'unicorn.js', version: '1.0.3' },
  command: 'startup32 run kernel.elf --as lguest',
};

/** A stop in the second instruction of CODE, with `hex` there in place of cli when given. */
export function common(hex = 'fa', changes: Partial<CpuState> = {}): StopCommon {
  const instruction = bytes(hex);
  return {
    cpu: cpuState(changes),
    instruction: { address: BASE + 1, bytes: instruction },
    code: { blockStart: BASE, bytes: bytes(`fc ${hex} 0f 01 15 20 01 10 00 8e d8`) },
    instructions: 1,
    counted: true,
    trail: [BASE],
    observations: [],
  };
}

const GP0 = { exception: { vector: 13, errorCode: 0 } } as const;
const HYPERVISOR = { delivery: { to: 'hypervisor' } } as const;
const NEAR: Near = {
  name: 'LOAD 0',
  owner: 'kernel',
  start: BASE,
  end: BASE + 0x1000,
  where: 'after',
  distance: 0x300,
};

/** The compiler checks that no kind is missing. */
export const STOPS: { readonly [K in StopKind]: StopOf<K> } = {
  'privileged-instruction': {
    kind: 'privileged-instruction',
    rule: 'lgdt',
    ...common('0f 01 15 20 01 10 00'),
    ...GP0,
    ...HYPERVISOR,
  },
  'iopl-sensitive-instruction': {
    kind: 'iopl-sensitive-instruction',
    rule: 'cli',
    ...common(),
    ...GP0,
    ...HYPERVISOR,
  },
  popf: {
    kind: 'popf',
    rule: 'popf',
    ...common('9d', { eflags: 0x202 }),
    operandSize: 32,
    current: 0x202,
    requested: 0x2,
    resulting: 0x202,
    lost: [{ flag: 'IF', current: 1, requested: 0, resulting: 1 }],
  },
  iret: {
    kind: 'iret',
    rule: 'iret',
    ...common('cf', { eflags: 0x202 }),
    operandSize: 32,
    current: 0x202,
    requested: 0x3002,
    resulting: 0x202,
    lost: [
      { flag: 'IF', current: 1, requested: 0, resulting: 1 },
      { flag: 'IOPL', current: 0, requested: 3, resulting: 0 },
    ],
  },
  sensitive: {
    kind: 'sensitive',
    rule: 'pushf',
    ...common('9c', { eflags: 0x202 }),
    saw: { what: 'flags', image: 0x202, operandSize: 32 },
    bare: { what: 'flags', image: 0x2, operandSize: 32 },
    differs: true,
  },
  'segment-load': {
    kind: 'segment-load',
    ...common('8e d8', { gdtr: { base: 0, limit: 0 } }),
    exception: { vector: 13, errorCode: 0x18 },
    register: 'ds',
    selector: 0x18,
    problem: 'no-gdt',
  },
  'segment-access': {
    kind: 'segment-access',
    ...common('65 a1 14 00 00 00'),
    ...GP0,
    register: 'gs',
    selector: 0,
    problem: 'null',
    access: 'read',
    offset: 0x14,
    size: 4,
  },
  'page-fault': {
    kind: 'page-fault',
    ...common('a3 00 13 10 00'),
    exception: { vector: 14, errorCode: 2 },
    access: 'write',
    address: 0x101300,
    walk: [
      { level: 'PD', entryAddress: 0x3ffe000, low: 0x3ffd027, high: 0 },
      { level: 'PT', entryAddress: 0x3ffd404, low: 0, high: 0 },
    ],
    problem: 'not-present',
    near: [NEAR],
  },
  'invalid-opcode': { kind: 'invalid-opcode', ...common('0f 0b'), exception: { vector: 6 } },
  'forced-emulation': {
    kind: 'forced-emulation',
    ...common('0f 0b 78 65 6e 0f a2'),
    exception: { vector: 6 },
    prefixed: 'cpuid',
  },
  'software-interrupt': {
    kind: 'software-interrupt',
    ...common('cd 80'),
    exception: { vector: 13, errorCode: 0x402 },
    vector: 0x80,
  },
  hypercall: {
    kind: 'hypercall',
    ...common('cd 1f'),
    via: 'int',
    vector: 0x1f,
    number: 0,
    arguments: [{ register: 'ebx', value: 0x1234 }],
  },
  halt: { kind: 'halt', ...common('f4'), interruptsEnabled: false },
  shutdown: {
    kind: 'shutdown',
    ...common('fa'),
    ...GP0,
    delivery: { to: 'shutdown', reason: 'idt-limit' },
    first: { vector: 13, errorCode: 0 },
    reason: 'idt-limit',
  },
  'long-mode': {
    kind: 'long-mode',
    ...common('0f 22 c0', { control: { cr0: 0x11, cr2: 0, cr3: 0x1000, cr4: 0x20, efer: 0x100 } }),
  },
  exception: { kind: 'exception', ...common('f7 f1'), exception: { vector: 0 } },
  reached: { kind: 'reached', ...common(), address: BASE + 1 },
  'memory-hole': {
    kind: 'memory-hole',
    ...common('a1 00 00 00 f0'),
    access: 'read',
    address: 0xf0000000,
    size: 4,
    near: [],
  },
  'rom-write': {
    kind: 'rom-write',
    ...common('a3 00 00 0f 00'),
    address: 0xf0000,
    size: 4,
    value: 1,
    near: [{ ...NEAR, name: 'BIOS', owner: 'firmware', where: 'inside', distance: 0 }],
  },
  'loader-memory': {
    kind: 'loader-memory',
    ...common('a3 00 f0 ff 03'),
    access: 'write',
    address: 0x3fff000,
    size: 4,
    near: [{ name: 'GDT', owner: 'loader', start: 0x3fff000, end: 0x4000000, where: 'inside', distance: 0 }],
  },
  budget: { kind: 'budget', ...common(), instructions: 50_000_000, limit: 50_000_000 },
  timeout: { kind: 'timeout', ...common(), counted: false, milliseconds: 2000 },
  interrupted: { kind: 'interrupted', ...common() },
  'engine-limit': {
    kind: 'engine-limit',
    ...common(),
    limit: 'paging-not-identity',
    detail: '0xc0000000 is mapped to 0x00000000',
  },
};

export const ALL_STOPS: readonly Stop[] = Object.values(STOPS);
