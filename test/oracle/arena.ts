/**
 * The template of the arena: what a case finds before its own writes. GDT, LDT, IDT, TSS and page tables as bytes.
 * The startup32 driver and the boot image fill the arena from the same bytes.
 */
import type { PagingMode } from '../../emulator/entry-state.ts';
import {
  ARENA,
  ARENA_SIZE,
  CODE,
  CODE_SIZE,
  codeSelector,
  DATA,
  DATA_SIZE,
  DOUBLE_FAULT_TSS,
  dataSelector,
  END_VECTOR,
  GDT,
  IDT,
  LDT,
  LDT_LIMIT,
  LDT_SELECTOR,
  type MemoryWrite,
  type OracleCase,
  RUNNER_CODE,
  RUNNER_DATA,
  SPARE,
  SPARE_SIZE,
  STACK_TOP,
  TABLES,
  TSS,
  TSS_SELECTOR,
  TSS2,
} from './case.ts';

// The runner's memory, below the arena. Supervisor pages wherever a case has paging on.

export const RUNNER = 0x10000;
/** The runner's own stack, from which it enters a case. */
export const RUNNER_STACK_TOP = 0x3c000;
/** Entry of vector n: HANDLERS + n * HANDLER_SIZE. */
export const HANDLERS = 0x18000;
export const HANDLER_SIZE = 0x10;
/** The TSS that the task gate of vector 8 switches to. */
export const DOUBLE_FAULT_TSS_BASE = 0x3d000;
export const DOUBLE_FAULT_STACK_TOP = 0x3e000;
/** ESP0 of the case's TSS; SS0 is RUNNER_DATA. */
export const RING0_STACK_TOP = 0x3f000;

/** Page 0 is mapped, with user access: the interrupt vectors of virtual-8086 mode, each this far pointer, and zeros. */
export const REAL_MODE_HANDLER = { cs: CODE >>> 4, ip: 0x1f00 } as const;

// The TSS (SDM vol. 3, 7.2.1 and figure 20-5): 104 bytes, interrupt redirection bitmap, I/O permission bitmap.

export const TSS_CR3 = 0x1c;
export const TSS_REDIRECTION_MAP = 0x68;
export const TSS_IO_MAP = 0x88;
/** The I/O permission bitmap covers the ports 0 to 0x3ff7: the CPU reads two bytes of it for each port. */
export const TSS_LIMIT = TSS_IO_MAP + 0x800 - 1;
/** Stacks of rings 1 and 2 in the case's TSS. */
const ESP1 = STACK_TOP + 0x800;
const ESP2 = STACK_TOP + 0xc00;
/** Where the task of TSS2 starts, in ring 0: an `int $0x40` of the template. */
export const TASK2_EIP = CODE + 0x1e00;
export const TASK2_ESP = STACK_TOP + 0x400;

// Page tables. The 1:1 mapping of page 0, the runner and the arena; nothing else is present.

export const PAGE_DIRECTORY = TABLES;
/** Linear 0 to 4 MiB. */
export const PAGE_TABLE = TABLES + 0x1000;
const PAE_POINTERS = TABLES + 0x2000;
/** Linear 0 to 1 GiB. */
export const PAE_DIRECTORY = TABLES + 0x3000;
/** Linear 0 to 2 MiB. */
export const PAE_TABLE = TABLES + 0x4000;
const TABLES_END = TABLES + 0x5000;

/** CR3 before the case; with paging off it is there for a case that switches it on. */
export const cr3Of = (paging: PagingMode): number => (paging === 'pae' ? PAE_POINTERS : PAGE_DIRECTORY);

/** Physical address of the page-table entry of a linear address below 2 MiB. 4 bytes, or 8 with PAE. */
export const pageTableEntry = (paging: '32-bit' | 'pae', linear: number): number =>
  paging === 'pae' ? PAE_TABLE + (linear >>> 12) * 8 : PAGE_TABLE + (linear >>> 12) * 4;

// Bits of page-table entries (SDM vol. 3, 4.3 and 4.4).
export const PTE_PRESENT = 0x01;
export const PTE_WRITE = 0x02;
export const PTE_USER = 0x04;
const PTE_ACCESSED_DIRTY = 0x60;

/** Bytes of a segment descriptor; `access` is byte 5, `flags` is G, D/B, L, AVL (SDM vol. 3, 3.4.5). */
export function descriptor(base: number, limit: number, access: number, flags: number): Uint8Array {
  return Uint8Array.of(
    limit & 0xff,
    (limit >>> 8) & 0xff,
    base & 0xff,
    (base >>> 8) & 0xff,
    (base >>> 16) & 0xff,
    access,
    (flags << 4) | ((limit >>> 16) & 0xf),
    base >>> 24,
  );
}

/** Bytes of a gate; `access` is P, DPL and type: 5 task, 0xc call, 0xe interrupt, 0xf trap (SDM vol. 3, 6.11). */
export function gate(selector: number, offset: number, access: number, parameters = 0): Uint8Array {
  return Uint8Array.of(
    offset & 0xff,
    (offset >>> 8) & 0xff,
    selector & 0xff,
    selector >>> 8,
    parameters,
    access,
    (offset >>> 16) & 0xff,
    offset >>> 24,
  );
}

const dword = (value: number): Uint8Array =>
  Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);

/** 4 GiB, 32 bits. */
const FLAT = 0xc;
const flat = (access: number): Uint8Array => descriptor(0, 0xfffff, access, FLAT);
/** Present, accessed: readable code, writable data. */
const CODE_ACCESS = 0x9b;
const DATA_ACCESS = 0x93;

let template: Uint8Array | undefined;

/** ARENA_SIZE bytes, for all paging modes. The caller gets the one copy and does not write to it. */
export function arenaTemplate(): Uint8Array {
  template ??= buildTemplate();
  return template;
}

/** The writes that come before the case's own: CR3 in both TSSs, for task switches with paging on. */
export const impliedWrites = (paging: PagingMode): readonly MemoryWrite[] => [
  { address: TSS + TSS_CR3, bytes: dword(cr3Of(paging)) },
  { address: TSS2 + TSS_CR3, bytes: dword(cr3Of(paging)) },
];

/** The arena as the case finds it, before LTR sets the busy bit of the TSS and segment loads set accessed bits. */
export function arenaOf(oracleCase: OracleCase): Uint8Array {
  const arena = arenaTemplate().slice();
  for (const { address, bytes } of [...impliedWrites(oracleCase.paging), ...oracleCase.writes]) {
    arena.set(bytes, address - ARENA);
  }
  return arena;
}

/** h = rol(h, 5) ^ dword, from 0, over the little-endian dwords of `bytes`. */
export function checksum(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let hash = 0;
  for (let offset = 0; offset < bytes.length; offset += 4) {
    hash = ((hash << 5) | (hash >>> 27)) ^ view.getUint32(offset, true);
  }
  return hash >>> 0;
}

/** What Outcome.tables is made of, in this order. */
export const CHECKED_TABLES = [
  { start: GDT, size: 0x1000 },
  { start: LDT, size: 0x1000 },
  { start: TSS, size: 0x2000 },
  { start: TSS2, size: 0x1000 },
] as const;

function buildTemplate(): Uint8Array {
  const bytes = new Uint8Array(ARENA_SIZE);
  const put = (address: number, value: Uint8Array): void => bytes.set(value, address - ARENA);

  // A jump to nowhere ends in a breakpoint exception. The real-mode handler and the second task end the case.
  bytes.fill(0xcc, CODE - ARENA, CODE + CODE_SIZE - ARENA);
  const end = Uint8Array.of(0xcd, END_VECTOR);
  put(CODE + REAL_MODE_HANDLER.ip, end);
  put(TASK2_EIP, end);
  for (const [start, size] of [
    [DATA, DATA_SIZE],
    [SPARE, SPARE_SIZE],
  ] as const) {
    for (let address = start; address < start + size; address += 4) {
      // Knuth's multiplicative hash: every dword is another one.
      put(address, dword(Math.imul(address, 0x9e3779b1) >>> 0));
    }
  }

  put(GDT + RUNNER_CODE, flat(CODE_ACCESS));
  put(GDT + RUNNER_DATA, flat(DATA_ACCESS));
  put(GDT + TSS_SELECTOR, descriptor(TSS, TSS_LIMIT, 0x89, 0));
  put(GDT + LDT_SELECTOR, descriptor(LDT, LDT_LIMIT, 0x82, 0));
  put(GDT + DOUBLE_FAULT_TSS, descriptor(DOUBLE_FAULT_TSS_BASE, 0x67, 0x89, 0));
  for (const ring of [0, 1, 2, 3] as const) {
    put(GDT + (codeSelector(ring) & ~7), flat(CODE_ACCESS | (ring << 5)));
    put(GDT + (dataSelector(ring) & ~7), flat(DATA_ACCESS | (ring << 5)));
  }

  for (let vector = 0; vector < 0x20; vector++) put(IDT + vector * 8, handlerGate(vector));
  put(IDT + END_VECTOR * 8, handlerGate(END_VECTOR));

  putTss(put, TSS, { eip: CODE, esp: STACK_TOP });
  putTss(put, TSS2, { eip: TASK2_EIP, esp: TASK2_ESP });
  // Every software interrupt of virtual-8086 mode goes to the IDT, and no port is open (SDM vol. 3, 20.3.3; vol. 1, 19.5.2).
  bytes.fill(0xff, TSS + TSS_REDIRECTION_MAP - ARENA, TSS + TSS_LIMIT + 2 - ARENA);

  putPageTables(put);
  return bytes;
}

function handlerGate(vector: number): Uint8Array {
  if (vector === 8) return gate(DOUBLE_FAULT_TSS, 0, 0x85);
  const fromAnyRing = vector === 3 || vector === 4 || vector === END_VECTOR;
  return gate(RUNNER_CODE, HANDLERS + vector * HANDLER_SIZE, fromAnyRing ? 0xee : 0x8e);
}

type Put = (address: number, value: Uint8Array) => void;

/** The fields of a 32-bit TSS, SDM vol. 3, figure 7-2. */
function putTss(put: Put, tss: number, task: { eip: number; esp: number }): void {
  const field = (offset: number, value: number): void => put(tss + offset, dword(value));
  field(0x04, RING0_STACK_TOP);
  field(0x08, RUNNER_DATA);
  field(0x0c, ESP1);
  field(0x10, dataSelector(1));
  field(0x14, ESP2);
  field(0x18, dataSelector(2));
  field(0x20, task.eip);
  field(0x24, 0x2); // EFLAGS
  field(0x38, task.esp);
  const segments = [0x48, 0x50, 0x54, 0x58, 0x5c]; // ES, SS, DS, FS, GS
  for (const offset of segments) field(offset, dataSelector(0));
  field(0x4c, codeSelector(0));
  field(0x64, (tss === TSS ? TSS_IO_MAP : 0xffff) << 16);
}

function putPageTables(put: Put): void {
  const directoryEntry = PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED_DIRTY;
  put(PAGE_DIRECTORY, dword(PAGE_TABLE | (directoryEntry & ~0x40)));
  put(PAE_POINTERS, dword(PAE_DIRECTORY | PTE_PRESENT));
  put(PAE_DIRECTORY, dword(PAE_TABLE | (directoryEntry & ~0x40)));
  for (let page = 0; page < ARENA + ARENA_SIZE; page += 0x1000) {
    if (page !== 0 && page < RUNNER) continue;
    const entry = page | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED_DIRTY | (isUserPage(page) ? PTE_USER : 0);
    put(pageTableEntry('32-bit', page), dword(entry));
    put(pageTableEntry('pae', page), dword(entry));
  }
}

/** CODE, DATA, STACK, SPARE and what the arena has no name for; never descriptor tables, page tables or the runner. */
function isUserPage(page: number): boolean {
  if (page === 0) return true;
  const isRunners = page < ARENA;
  const isDescriptors = page >= GDT && page < SPARE;
  const isPageTables = page >= TABLES && page < TABLES_END;
  return !isRunners && !isDescriptors && !isPageTables;
}
