/** Descriptors in the GDT and the LDT, read as the CPU reads them. SDM vol. 3, 3.4 and 3.5. */
import type { TableRegister } from '../cpu-state.ts';
import type { LinearWrite } from '../effect.ts';
import {
  DESCRIPTOR_SIZE,
  type Descriptor,
  decodeDescriptor,
  isNullSelector,
  type SegmentName,
  type SegmentRegister,
  selectorUsesLdt,
} from '../segmentation.ts';
import { readSystem, systemWrite } from './memory-access.ts';
import { type LoadRefusal, refuseLoad } from './refuse.ts';
import type { Situation } from './verdict.ts';

const ACCESSED = 1;
/** Offset of the access byte in a descriptor. */
const ACCESS_BYTE = 5;

/** System types: SDM vol. 3, table 3-2. */
export const SYSTEM_TYPE = {
  tss16: 0x1,
  ldt: 0x2,
  tss16Busy: 0x3,
  callGate16: 0x4,
  taskGate: 0x5,
  interruptGate16: 0x6,
  trapGate16: 0x7,
  tss32: 0x9,
  tss32Busy: 0xb,
  callGate32: 0xc,
  interruptGate32: 0xe,
  trapGate32: 0xf,
} as const;

/** An entry of a descriptor table. */
export interface Entry {
  readonly selector: number;
  readonly low: number;
  readonly high: number;
  readonly descriptor: Descriptor;
  /** Linear address of the entry. */
  readonly linear: number;
}

/** What a gate holds besides its DPL and P. */
export const gateSelector = (entry: { readonly low: number }): number => entry.low >>> 16;
export const gateOffset = (entry: { readonly low: number; readonly high: number }, wide: boolean): number =>
  wide ? ((entry.high & 0xffff0000) | (entry.low & 0xffff)) >>> 0 : entry.low & 0xffff;
export const gateParameters = (entry: { readonly high: number }): number => entry.high & 0x1f;

type Problem = 'no-gdt' | 'no-ldt' | 'limit';

/** Where the entry of a selector is, or why there is none. The null selector is for the caller to look at. */
export function locate(s: Situation, selector: number): number | Problem {
  let table: TableRegister = s.cpu.gdtr;
  if (selectorUsesLdt(selector)) {
    const ldt = s.cpu.ldtr.descriptor;
    if (!ldt) return 'no-ldt';
    table = ldt;
  } else if (s.state.noGdt) return 'no-gdt';
  const offset = selector & 0xfff8;
  return offset + DESCRIPTOR_SIZE - 1 > table.limit ? 'limit' : (table.base + offset) >>> 0;
}

type Refusal = Pick<LoadRefusal, 'register' | 'vector' | 'errorCode'>;

/** The entry of a selector that is not null; else the fault, by default #GP(selector). */
export function fetchEntry(s: Situation, selector: number, refusal: Refusal): Entry {
  const linear = locate(s, selector);
  if (typeof linear === 'string') refuseLoad({ ...refusal, selector, problem: linear });
  const low = readSystem(s, linear, 4);
  const high = readSystem(s, linear + 4, 4);
  return { selector, low, high, descriptor: decodeDescriptor(low, high), linear };
}

/** As {@link fetchEntry}; a null selector is refused with error code 0. */
export function fetchNonNull(s: Situation, selector: number, refusal: Refusal): Entry {
  if (isNullSelector(selector)) refuseLoad({ ...refusal, selector, problem: 'null', errorCode: 0 });
  return fetchEntry(s, selector, refusal);
}

/** The write with which the CPU marks a code or data segment as accessed. */
export function touch(s: Situation, entry: Entry): LinearWrite[] {
  const access = (entry.high >>> 8) & 0xff;
  if ((access & ACCESSED) !== 0) return [];
  return [systemWrite(s, entry.linear + ACCESS_BYTE, 1, access | ACCESSED)];
}

/** What a segment register holds after the entry was loaded. */
export function loaded(entry: Entry, selector: number): SegmentRegister {
  return { selector, descriptor: { ...entry.descriptor, type: entry.descriptor.type | ACCESSED } };
}

export const DATA_SEGMENTS = ['es', 'ds', 'fs', 'gs'] as const satisfies readonly SegmentName[];
