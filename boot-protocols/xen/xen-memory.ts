/**
 * Xen's own part of the address space, as far as it is modelled: the machine-to-phys table, which is ABI, and behind it what
 * a Xen here keeps outside the domain (its GDT, shared_info, its page tables), whose places are not.
 */
import type { MemoryBank, MemoryRegion } from '../../emulator/entry-state.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import { type Range, roundUp, writtenRegion } from '../regions.ts';
import { GDT_SIZE } from './segments.ts';
import { encodeWords } from './structures.ts';

/** INVALID_M2P_ENTRY: a frame that is not this domain's. */
const INVALID_M2P_ENTRY = 0xffffffff;

/** Addresses, linear and machine. */
export interface XenMemory {
  readonly m2p: number;
  readonly gdt: number;
  readonly sharedInfo: number;
  /** Its page tables come last. */
  readonly tables: number;
}

export function xenMemory(m2p: number, m2pEnd: number): XenMemory {
  const sharedInfo = m2pEnd + GDT_SIZE;
  return { m2p, gdt: m2pEnd, sharedInfo, tables: sharedInfo + PAGE_SIZE };
}

/** Word n is the pseudo-physical frame of machine frame n: from frame 0 to the last of the domain, in whole pages. */
export function machineToPhys(virtBase: number, memory: number): Uint8Array {
  const first = virtBase / PAGE_SIZE;
  const end = first + memory / PAGE_SIZE;
  const bytes = new Uint8Array(roundUp(end * 4, PAGE_SIZE)).fill(INVALID_M2P_ENTRY & 0xff);
  bytes.set(
    encodeWords(end - first, index => index),
    first * 4,
  );
  return bytes;
}

/** What stands in Xen's memory. */
export interface XenContents {
  readonly m2p: Uint8Array;
  readonly gdt: Uint8Array;
  readonly sharedInfo: Uint8Array;
  readonly tables: Uint8Array;
}

/** The domain's memory, and Xen's. */
export const xenBanks = (domain: Range, at: XenMemory, contents: XenContents): readonly MemoryBank[] => [
  { ...domain, name: 'domain memory', kind: 'ram' },
  { name: 'machine-to-phys table', start: at.m2p, size: contents.m2p.length, kind: 'ram' },
  { name: 'Xen memory', start: at.gdt, size: at.tables + contents.tables.length - at.gdt, kind: 'ram' },
];

export const xenRegions = (at: XenMemory, contents: XenContents): readonly MemoryRegion[] => [
  writtenRegion('machine-to-phys table', at.m2p, 'boot-data', contents.m2p),
  { ...writtenRegion('Xen GDT', at.gdt, 'loader', contents.gdt), guarded: true },
  writtenRegion('shared_info', at.sharedInfo, 'boot-data', contents.sharedInfo, PAGE_SIZE),
  writtenRegion('Xen page tables', at.tables, 'loader', contents.tables),
];
