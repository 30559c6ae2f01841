/** Walks a guest's page tables as the CPU would: SDM vol. 3, 4.3 (32-bit paging) and 4.4 (PAE paging). */
import { CR0_PG, CR0_WP, CR4_PAE, CR4_PSE, EFER_NXE } from './control-bits.ts';
import type { ControlRegisters, Ring } from './cpu-state.ts';
import type { Access, PageWalkStep } from './stop.ts';

export const PAGE_SIZE = 4096;

const PRESENT = 0x1;
const WRITABLE = 0x2;
const USER = 0x4;
const LARGE = 0x80;
const NO_EXECUTE_HIGH = 0x80000000;
/** PAE with MAXPHYADDR 36: bits 62:36 are reserved (SDM vol. 3, 4.4.2). */
const PAE_ADDRESS_HIGH = 0xf;

export const pagingIsOn = (control: ControlRegisters): boolean => (control.cr0 & CR0_PG) !== 0;

/** Reads a dword of physical memory; `undefined` where there is none. */
export type ReadPhysical32 = (physical: number) => number | undefined;

export interface WalkResult {
  readonly steps: readonly PageWalkStep[];
  /** Present when every level is: the physical address (it may exceed 2^32 - 1 with PAE). */
  readonly physical?: number;
  /** Bytes of the page. */
  readonly pageSize: number;
  readonly writable: boolean;
  readonly user: boolean;
  readonly noExecute: boolean;
  readonly reserved: boolean;
}

const unmapped = (steps: readonly PageWalkStep[], pageSize: number, reserved = false): WalkResult => ({
  steps,
  pageSize,
  writable: false,
  user: false,
  noExecute: false,
  reserved,
});

/**
 * Translates one linear address.
 *
 * @param linear 0 to 2^32 - 1
 * @returns the walk; without `physical` when an entry is not present or has a reserved bit set
 */
export function walk(linear: number, control: ControlRegisters, read: ReadPhysical32): WalkResult {
  if (!pagingIsOn(control)) {
    return {
      steps: [],
      physical: linear,
      pageSize: 4096,
      writable: true,
      user: true,
      noExecute: false,
      reserved: false,
    };
  }
  return (control.cr4 & CR4_PAE) !== 0 ? walkPae(linear, control, read) : walk32(linear, control, read);
}

function walk32(linear: number, control: ControlRegisters, read: ReadPhysical32): WalkResult {
  const pdeAddress = ((control.cr3 & 0xfffff000) >>> 0) + (linear >>> 22) * 4;
  const pde = read(pdeAddress) ?? 0;
  const steps: PageWalkStep[] = [{ level: 'PD', entryAddress: pdeAddress, low: pde, high: 0 }];
  if ((pde & PRESENT) === 0) return unmapped(steps, 4 << 20);
  if ((pde & LARGE) !== 0 && (control.cr4 & CR4_PSE) !== 0) {
    return {
      steps,
      physical: ((pde & 0xffc00000) >>> 0) + (linear & 0x3fffff),
      pageSize: 4 << 20,
      writable: (pde & WRITABLE) !== 0,
      user: (pde & USER) !== 0,
      noExecute: false,
      reserved: false,
    };
  }
  const pteAddress = ((pde & 0xfffff000) >>> 0) + ((linear >>> 12) & 0x3ff) * 4;
  const pte = read(pteAddress) ?? 0;
  steps.push({ level: 'PT', entryAddress: pteAddress, low: pte, high: 0 });
  if ((pte & PRESENT) === 0) return unmapped(steps, 4096);
  const both = pde & pte;
  return {
    steps,
    physical: ((pte & 0xfffff000) >>> 0) + (linear & 0xfff),
    pageSize: 4096,
    writable: (both & WRITABLE) !== 0,
    user: (both & USER) !== 0,
    noExecute: false,
    reserved: false,
  };
}

/** Whether the high dword of a PAE entry has a reserved bit set. */
const reservedHigh = (high: number, control: ControlRegisters): boolean =>
  (high & 0x7fffffff & ~PAE_ADDRESS_HIGH) !== 0 ||
  ((control.efer & EFER_NXE) === 0 && (high & NO_EXECUTE_HIGH) !== 0);

/** The address in a PAE entry. */
const frame = (low: number, high: number, mask: number): number =>
  (high & PAE_ADDRESS_HIGH) * 2 ** 32 + ((low & mask) >>> 0);

function walkPae(linear: number, control: ControlRegisters, read: ReadPhysical32): WalkResult {
  const nxe = (control.efer & EFER_NXE) !== 0;
  const entry = (level: PageWalkStep['level'], address: number): PageWalkStep => ({
    level,
    entryAddress: address,
    low: read(address) ?? 0,
    high: read(address + 4) ?? 0,
  });

  const pdpte = entry('PDPT', ((control.cr3 & 0xffffffe0) >>> 0) + (linear >>> 30) * 8);
  const steps = [pdpte];
  if ((pdpte.low & PRESENT) === 0) return unmapped(steps, 1 << 30);
  const pde = entry('PD', frame(pdpte.low, pdpte.high, 0xfffff000) + ((linear >>> 21) & 0x1ff) * 8);
  steps.push(pde);
  if ((pde.low & PRESENT) === 0) return unmapped(steps, 2 << 20);
  if (reservedHigh(pde.high, control)) return unmapped(steps, 2 << 20, true);
  if ((pde.low & LARGE) !== 0) {
    return {
      steps,
      physical: frame(pde.low, pde.high, 0xffe00000) + (linear & 0x1fffff),
      pageSize: 2 << 20,
      writable: (pde.low & WRITABLE) !== 0,
      user: (pde.low & USER) !== 0,
      noExecute: nxe && (pde.high & NO_EXECUTE_HIGH) !== 0,
      reserved: false,
    };
  }
  const pte = entry('PT', frame(pde.low, pde.high, 0xfffff000) + ((linear >>> 12) & 0x1ff) * 8);
  steps.push(pte);
  if ((pte.low & PRESENT) === 0) return unmapped(steps, 4096);
  if (reservedHigh(pte.high, control)) return unmapped(steps, 4096, true);
  const both = pde.low & pte.low;
  return {
    steps,
    physical: frame(pte.low, pte.high, 0xfffff000) + (linear & 0xfff),
    pageSize: 4096,
    writable: (both & WRITABLE) !== 0,
    user: (both & USER) !== 0,
    noExecute: nxe && ((pde.high | pte.high) & NO_EXECUTE_HIGH) !== 0,
    reserved: false,
  };
}

export type PageFaultProblem = 'not-present' | 'read-only' | 'supervisor' | 'reserved-bit' | 'no-execute';

/** Why an access faults, or `undefined` when it does not (SDM vol. 3, 4.6). */
export function accessProblem(
  result: WalkResult,
  access: Access,
  cpl: Ring,
  control: ControlRegisters,
): PageFaultProblem | undefined {
  if (result.reserved) return 'reserved-bit';
  if (result.physical === undefined) return 'not-present';
  const user = cpl === 3;
  if (user && !result.user) return 'supervisor';
  if (access === 'write' && !result.writable && (user || (control.cr0 & CR0_WP) !== 0)) return 'read-only';
  if (access === 'fetch' && result.noExecute) return 'no-execute';
  return undefined;
}

/** A run of linear addresses that the tables map to consecutive physical ones. */
export interface MappedRange {
  readonly linear: number;
  readonly physical: number;
  readonly size: number;
}

/** Every mapped range, in linear order, merged; and the pages that hold the tables. */
export function mappedRanges(
  control: ControlRegisters,
  read: ReadPhysical32,
): { ranges: readonly MappedRange[]; tablePages: ReadonlySet<number> } {
  const ranges: { linear: number; physical: number; size: number }[] = [];
  const tablePages = new Set<number>();
  const add = (linear: number, physical: number, size: number): void => {
    const last = ranges.at(-1);
    if (last && last.linear + last.size === linear && last.physical + last.size === physical)
      last.size += size;
    else ranges.push({ linear, physical, size });
  };
  const entrySize = (control.cr4 & CR4_PAE) !== 0 ? 8 : 4;
  let linear = 0;
  while (linear < 2 ** 32) {
    const result = walk(linear, control, read);
    for (const step of result.steps) tablePages.add((step.entryAddress & 0xfffff000) >>> 0);
    const table = result.steps.at(-1);
    if (table?.level === 'PT') {
      // The first entry of a page table: the others are read here, without a walk for each.
      const end = table.entryAddress + PAGE_SIZE;
      for (let entry = table.entryAddress; entry < end; entry += entrySize, linear += PAGE_SIZE) {
        const high = entrySize === 8 ? (read(entry + 4) ?? 0) : 0;
        const physical = pageOf(read(entry) ?? 0, high, control);
        if (physical !== undefined) add(linear, physical, PAGE_SIZE);
      }
    } else {
      // Entries below the first absent level all cover the same span: skip to its end.
      if (result.physical !== undefined) add(linear, result.physical, result.pageSize);
      linear += result.pageSize;
    }
  }
  return { ranges, tablePages };
}

/** Where the entry of a page table points to; `undefined` when it is not present or has a reserved bit set. */
function pageOf(low: number, high: number, control: ControlRegisters): number | undefined {
  if ((low & PRESENT) === 0 || reservedHigh(high, control)) return undefined;
  return frame(low, high, 0xfffff000);
}

/** Consecutive pages as [begin, end) pairs, ascending. */
export function pageRuns(pages: ReadonlySet<number>): [number, number][] {
  const runs: [number, number][] = [];
  for (const page of [...pages].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last && last[1] === page) last[1] = page + PAGE_SIZE;
    else runs.push([page, page + PAGE_SIZE]);
  }
  return runs;
}
