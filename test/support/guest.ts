/** Tiny guests: an EntryState from a few bytes of code, so that a test can say what runs, byte for byte. */
import { CPU_MODELS } from '../../emulator/cpu-models/index.ts';
import { GENERAL_REGISTERS, type GeneralRegister, type Ring } from '../../emulator/cpu-state.ts';
import {
  type EntryState,
  type MemoryBank,
  type MemoryRegion,
  type PageMapping,
  type PagingMode,
  type Platform,
  REGISTER_POISON,
  type SegmentEntry,
} from '../../emulator/entry-state.ts';
import { buildPageTables } from '../../emulator/page-tables.ts';
import {
  type Descriptor,
  encodeDescriptor,
  flatCode,
  flatData,
  type SegmentName,
} from '../../emulator/segmentation.ts';

/** Where the code is, unless a test says otherwise. */
export const CODE = 0x1000;
/** The loader's GDT: null, 0x08 code, 0x10 data, 0x18 16-bit code, 0x20 small data, all of the guest's ring. */
export const GDT = 0x8000;
/** A page of data; its first bytes count up from 0. */
export const DATA = 0x9000;
export const STACK = 0xc000;
export const TABLES = 0x40000;
export const MEMORY = 0x100000;
/** The second bank, read-only; nothing is between the first and it, nor after it. */
export const ROM = 0x200000;
export const HOLE = 0x300000;

/** Limit of the descriptor 0x20. */
const SMALL_LIMIT = 0x9fff;

/**
 * Bytes from a listing: `#` starts a comment.
 *
 *     listing(`
 *       31 c0      # xor %eax,%eax
 *       f4         # hlt
 *     `)
 */
export function listing(text: string): Uint8Array {
  const bytes = text
    .split('\n')
    .flatMap(line => (line.split('#')[0] ?? '').split(/\s+/))
    .filter(Boolean);
  return Uint8Array.from(bytes, byte => {
    if (!/^[0-9a-f]{2}$/.test(byte)) throw new Error(`not a byte: ${byte}`);
    return Number.parseInt(byte, 16);
  });
}

export interface GuestOptions {
  /** A listing, or bytes. */
  readonly code: string | Uint8Array;
  /** Where the code is loaded; linear and physical. Default CODE. */
  readonly at?: number;
  readonly eip?: number;
  readonly ring?: Ring;
  readonly eflags?: number;
  readonly registers?: Partial<Record<GeneralRegister, number>>;
  readonly segments?: Partial<Record<SegmentName, SegmentEntry>>;
  /** Default: a GDT that the guest may use and not touch. */
  readonly gdt?: 'guarded' | 'open' | 'none';
  readonly paging?: PagingMode;
  /** Default: all memory, 1:1. */
  readonly mappings?: readonly PageMapping[];
  /** More memory contents, by physical address. */
  readonly contents?: Readonly<Record<number, string | Uint8Array>>;
  readonly platform?: Partial<Platform>;
  readonly poison?: boolean;
}

const bytesOf = (code: string | Uint8Array): Uint8Array => (typeof code === 'string' ? listing(code) : code);

/** A writable mapping of whole pages. */
export const mapping = (linear: number, physical: number, size: number, writable = true): PageMapping => ({
  linear,
  physical,
  size,
  writable,
  user: true,
  name: 'mapping',
});

const BANKS: readonly MemoryBank[] = [
  { name: 'RAM', start: 0, size: MEMORY, kind: 'ram' },
  { name: 'ROM', start: ROM, size: 0x10000, kind: 'rom' },
];

export function guestEntry(options: GuestOptions): EntryState {
  const { at = CODE, ring = 0, gdt = 'guarded', paging = 'off' } = options;
  const data = (selector: number, descriptor: Descriptor): SegmentEntry => ({
    selector: selector | ring,
    descriptor,
    promised: true,
  });
  const flat = data(0x10, flatData(ring));
  const regions: MemoryRegion[] = [
    region('code', at, bytesOf(options.code)),
    region(
      'data',
      DATA,
      Uint8Array.from({ length: 256 }, (_, i) => i),
      0x1000,
    ),
    ...Object.entries(options.contents ?? {}).map(([start, contents]) =>
      region(`contents at ${start}`, Number(start), bytesOf(contents)),
    ),
  ];
  if (gdt !== 'none') {
    regions.push({
      ...region('GDT', GDT, descriptorTable(ring), 0x1000),
      owner: 'loader',
      guarded: gdt === 'guarded',
    });
  }
  let cr3 = 0;
  const mappings = paging === 'off' ? [] : (options.mappings ?? [mapping(0, 0, MEMORY)]);
  if (paging !== 'off') {
    const built = buildPageTables({ mode: paging, mappings, base: TABLES });
    cr3 = built.cr3;
    regions.push({ ...region('page tables', TABLES, built.tables), owner: 'loader' });
  }
  const [model] = CPU_MODELS;
  if (!model) throw new Error('there is no CPU model');
  const none = { selector: 0, descriptor: undefined };
  return {
    protocol: 'test',
    knobs: {},
    ring,
    registers: registersOf({ esp: STACK, ...options.registers }),
    eip: options.eip ?? at,
    eflags: options.eflags ?? 2,
    segments: {
      es: flat,
      cs: data(0x08, flatCode(ring)),
      ss: flat,
      ds: flat,
      fs: flat,
      gs: flat,
      ...options.segments,
    },
    ldtr: none,
    tr: none,
    gdtr: gdt === 'none' ? { base: 0, limit: 0 } : { base: GDT, limit: 5 * 8 - 1 },
    idtr: { base: 0, limit: 0 },
    control: {
      cr0: paging === 'off' ? 0x11 : 0x80000011,
      cr2: 0,
      cr3,
      cr4: paging === 'pae' ? 0x20 : 0,
      efer: 0,
    },
    paging: { mode: paging, mappings },
    banks: BANKS,
    regions: regions.sort((a, b) => a.start - b.start),
    structures: [],
    platform: { hypervisor: 'none', hypercallVectors: [], cpuModel: model.name, ...options.platform },
    ...(options.poison === undefined ? {} : { poison: options.poison }),
  };
}

function region(name: string, start: number, contents: Uint8Array, size = contents.length): MemoryRegion {
  return { name, start, size, owner: 'kernel', contents, defined: true };
}

function registersOf(given: Partial<Record<GeneralRegister, number>>): EntryState['registers'] {
  const entries = GENERAL_REGISTERS.map(name => [
    name,
    { value: given[name] ?? REGISTER_POISON[name], promised: given[name] !== undefined },
  ]);
  return Object.fromEntries(entries) as EntryState['registers'];
}

function descriptorTable(ring: Ring): Uint8Array {
  const table = new DataView(new ArrayBuffer(5 * 8));
  const descriptors = [
    flatCode(ring),
    flatData(ring),
    { ...flatCode(ring), big: false },
    { ...flatData(ring), limit: SMALL_LIMIT, granular: false },
  ];
  for (const [i, descriptor] of descriptors.entries()) {
    const { low, high } = encodeDescriptor(descriptor);
    table.setUint32((i + 1) * 8, low, true);
    table.setUint32((i + 1) * 8 + 4, high, true);
  }
  return new Uint8Array(table.buffer);
}
