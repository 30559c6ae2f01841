/**
 * Task switches by JMP, CALL, INT and IRET: SDM vol. 3, 7.2 and 7.3. Faults up to the new task's own selectors are the
 * old task's; those behind are raised in the new one.
 */

import { CR0_PG, CR0_TS } from '../control-bits.ts';
import type { CpuState, GeneralRegister, Ring } from '../cpu-state.ts';
import type { Effect, LinearWrite } from '../effect.ts';
import { FLAG_NT, FLAG_RESERVED_1, FLAG_VM } from '../flags.ts';
import {
  type Descriptor,
  decodeDescriptor,
  isCode,
  isConforming,
  isData,
  isNullSelector,
  isReadable,
  isWritable,
  type SegmentName,
  type SegmentRegister,
  selectorRpl,
  selectorUsesLdt,
} from '../segmentation.ts';
import { type Entry, fetchEntry, loaded, locate, SYSTEM_TYPE } from './descriptors.ts';
import { checkAccess, littleEndianWrite, readSystem, systemWrite } from './memory-access.ts';
import { refuse, refuseLoad } from './refuse.ts';
import { INVALID_TSS, NOT_PRESENT, type Situation, STACK_FAULT } from './verdict.ts';
import { virtual8086Segment } from './virtual-segment.ts';

export type SwitchedBy = 'jmp' | 'call' | 'int' | 'iret';

const BUSY = 2;
/** Smallest limits of a TSS: SDM vol. 3, 7.2.2 and 7.6. */
const LIMIT_32 = 0x67;
const LIMIT_16 = 0x2b;

/** Offsets in a TSS: SDM vol. 3, figures 7-2 and 7-10. */
interface Layout {
  readonly size: 2 | 4;
  readonly eip: number;
  readonly eflags: number;
  readonly registers: number;
  readonly segments: number;
  readonly names: readonly SegmentName[];
  readonly ldt: number;
}
const TSS_32: Layout = {
  size: 4,
  eip: 0x20,
  eflags: 0x24,
  registers: 0x28,
  segments: 0x48,
  names: ['es', 'cs', 'ss', 'ds', 'fs', 'gs'],
  ldt: 0x60,
};
const TSS_16: Layout = {
  size: 2,
  eip: 0x0e,
  eflags: 0x10,
  registers: 0x12,
  segments: 0x22,
  names: ['es', 'cs', 'ss', 'ds'],
  ldt: 0x2a,
};
const TSS_CR3 = 0x1c;
const REGISTERS: readonly GeneralRegister[] = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];

const isWide = (type: number): boolean => (type & ~BUSY) === SYSTEM_TYPE.tss32;
const isTss = (d: Descriptor): boolean =>
  !d.codeOrData && (isWide(d.type) || (d.type & ~BUSY) === SYSTEM_TYPE.tss16);
export const isAvailableTss = (d: Descriptor): boolean => isTss(d) && (d.type & BUSY) === 0;

/** The TSS that a task gate names; `external` is bit 0 of the error codes. */
export function taskEntry(s: Situation, selector: number, external = 0): Entry {
  const errorCode = (selector & 0xfffc) | external;
  const refusal = { register: 'tr', selector, errorCode } as const;
  if (isNullSelector(selector)) refuseLoad({ ...refusal, problem: 'null' });
  if (selectorUsesLdt(selector)) refuseLoad({ ...refusal, problem: 'type' });
  const entry = fetchEntry(s, selector, { register: 'tr' });
  const { descriptor } = entry;
  if (!isAvailableTss(descriptor)) refuseLoad({ ...refusal, problem: 'type', descriptor });
  if (!descriptor.present) {
    refuseLoad({ ...refusal, problem: 'not-present', vector: NOT_PRESENT, descriptor });
  }
  return entry;
}

/** IRET in a nested task: back to the TSS that the link names. */
export function returnToTask(s: Situation): Effect {
  const link = readSystem(s, s.cpu.tr.descriptor?.base ?? 0, 2);
  const refusal = { register: 'tr', selector: link, vector: INVALID_TSS } as const;
  if (isNullSelector(link)) refuseLoad({ ...refusal, problem: 'null' });
  if (selectorUsesLdt(link)) refuseLoad({ ...refusal, problem: 'type' });
  const entry = fetchEntry(s, link, refusal);
  const { descriptor } = entry;
  if (!isTss(descriptor) || isAvailableTss(descriptor)) {
    refuseLoad({ ...refusal, problem: 'type', descriptor });
  }
  if (!descriptor.present) {
    refuseLoad({ ...refusal, problem: 'not-present', vector: NOT_PRESENT, descriptor });
  }
  return switchTask(s, entry, 'iret');
}

/** @param entry checked: a present TSS of the right state */
export function switchTask(s: Situation, entry: Entry, by: SwitchedBy): Effect {
  const { tr } = s.cpu;
  const { selector, descriptor } = entry;
  const wide = isWide(descriptor.type);
  if (descriptor.limit < (wide ? LIMIT_32 : LIMIT_16)) {
    refuseLoad({ register: 'tr', selector, problem: 'limit', vector: INVALID_TSS, descriptor });
  }
  const old = tr.descriptor;
  const oldWide = old !== undefined && isWide(old.type);
  if (!old || old.limit < (oldWide ? LIMIT_32 : LIMIT_16)) {
    refuseLoad({ register: 'tr', selector: tr.selector, problem: 'limit', vector: INVALID_TSS });
  }
  const { size } = wide ? TSS_32 : TSS_16;
  checkAccess(s, descriptor.base, (wide ? LIMIT_32 : LIMIT_16) + 1, 'read', 0, true);
  if (by === 'call' || by === 'int') checkAccess(s, descriptor.base, 2, 'write', 0, true);
  const writes = [
    ...busyBits(s, entry, by),
    ...savedState(s, old.base, oldWide ? TSS_32 : TSS_16, by),
    ...(by === 'call' || by === 'int' ? [littleEndianWrite(descriptor.base, 2, tr.selector)] : []),
  ];
  const layout = wide ? TSS_32 : TSS_16;
  // A task that switches to itself finds what it has just saved.
  const saved: Situation = { ...s, read: overlaid(s.read, writes) };
  const field = (offset: number, bytes: 2 | 4 = size): number =>
    readSystem(saved, descriptor.base + offset, bytes);
  const newTask = readTask(layout, field, by);
  const cr3 = wide && (s.cpu.control.cr0 & CR0_PG) !== 0 ? { cr3: field(TSS_CR3, 4) } : {};
  const common: Effect = {
    registers: newTask.registers,
    eip: newTask.eip,
    eflags: newTask.eflags,
    tr: { selector, descriptor: { ...descriptor, type: descriptor.type | BUSY } },
    control: { cr0: (s.cpu.control.cr0 | CR0_TS) >>> 0, ...cr3 },
    writes,
  };
  return loadSelectors(s, newTask, common);
}

/** Memory as it is after the writes. */
function overlaid(read: Situation['read'], writes: readonly LinearWrite[]): Situation['read'] {
  return (linear, size) => {
    const bytes = read(linear, size);
    for (const write of writes) {
      for (const [i, byte] of write.bytes.entries()) {
        const at = write.linear + i - linear;
        if (at >= 0 && at < bytes.length) bytes[at] = byte;
      }
    }
    return bytes;
  };
}

/** Which task is busy: SDM vol. 3, table 7-2. */
function busyBits(s: Situation, entry: Entry, by: SwitchedBy): LinearWrite[] {
  const writes: LinearWrite[] = [];
  if (by === 'jmp' || by === 'iret') {
    const at = locate(s, s.cpu.tr.selector);
    if (typeof at === 'number') {
      const type = readSystem(s, at + 5, 1);
      writes.push(systemWrite(s, at + 5, 1, type & ~BUSY));
    }
  }
  if (by !== 'iret') {
    writes.push(systemWrite(s, entry.linear + 5, 1, ((entry.high >>> 8) & 0xff) | BUSY));
  }
  return writes;
}

function savedState(s: Situation, base: number, layout: Layout, by: SwitchedBy): LinearWrite[] {
  const { cpu, instruction } = s;
  const flags = by === 'iret' ? cpu.eflags & ~FLAG_NT : cpu.eflags;
  const { size } = layout;
  const put = (offset: number, value: number, bytes: 2 | 4 = size): LinearWrite =>
    systemWrite(s, base + offset, bytes, value);
  return [
    put(layout.eip, cpu.eip + instruction.length),
    put(layout.eflags, flags),
    ...REGISTERS.map((name, i) => put(layout.registers + i * size, cpu.registers[name])),
    ...layout.names.map((name, i) => put(layout.segments + i * size, cpu.segments[name].selector, 2)),
  ];
}

interface NewTask {
  readonly registers: CpuState['registers'];
  readonly eip: number;
  readonly eflags: number;
  readonly selectors: Readonly<Record<SegmentName, number>>;
  readonly ldt: number;
}

function readTask(layout: Layout, field: (offset: number, bytes?: 2 | 4) => number, by: SwitchedBy): NewTask {
  const { size } = layout;
  const upper = size === 2 ? 0xffff0000 : 0;
  const registers = Object.fromEntries(
    REGISTERS.map((name, i) => [name, (field(layout.registers + i * size) | upper) >>> 0]),
  ) as CpuState['registers'];
  const selectors = { es: 0, cs: 0, ss: 0, ds: 0, fs: 0, gs: 0 };
  layout.names.forEach((name, i) => {
    selectors[name] = field(layout.segments + i * size, 2);
  });
  const nested = by === 'call' || by === 'int' ? FLAG_NT : 0;
  const flags = field(layout.eflags) | nested | FLAG_RESERVED_1;
  return {
    registers,
    eip: field(layout.eip),
    eflags: (flags & VALID_FLAGS) >>> 0,
    selectors,
    ldt: field(layout.ldt, 2),
  };
}

/** All flags that there are: SDM vol. 1, figure 3-8. */
export const VALID_FLAGS = 0x003f7fd7;

/** LDTR, then the segment registers: SDM vol. 3, table 7-1, checks 8 to 17. */
function loadSelectors(s: Situation, task: NewTask, common: Effect): Effect {
  const segments = {} as Record<SegmentName, SegmentRegister>;
  for (const name of Object.keys(task.selectors) as SegmentName[]) {
    segments[name] = { selector: task.selectors[name], descriptor: undefined };
  }
  const virtual = (task.eflags & FLAG_VM) !== 0;
  const writes = [...(common.writes ?? [])];
  const cpl = (virtual ? 3 : selectorRpl(task.selectors.cs)) as Ring;
  let ldtr: SegmentRegister = { selector: task.ldt, descriptor: undefined };
  /** What the new task has when one of its selectors is refused. */
  const soFar = (): Effect => ({ ...common, cpl, ldtr, segments: { ...segments }, writes });
  const fail = (
    register: SegmentName | 'ldtr',
    problem: 'null' | 'limit' | 'type' | 'privilege' | 'rpl' | 'not-present',
    selector: number,
    vector = INVALID_TSS,
    descriptor?: Descriptor,
  ): never =>
    refuse(
      { kind: 'segment-load', register, selector, problem, ...(descriptor ? { descriptor } : {}) },
      { vector, errorCode: selector & 0xfffc },
      soFar(),
    );
  const fetch = (register: SegmentName | 'ldtr', selector: number): Entry => {
    const inNewTask: Situation = { ...s, cpu: { ...s.cpu, ldtr } };
    const linear = locate(inNewTask, selector);
    if (typeof linear === 'string') return fail(register, 'limit', selector);
    const low = readSystem(s, linear, 4);
    const high = readSystem(s, linear + 4, 4);
    return { selector, low, high, descriptor: decodeDescriptor(low, high), linear };
  };
  const take = (name: SegmentName, entry: Entry): void => {
    const access = (entry.high >>> 8) & 0xff;
    if ((access & 1) === 0) writes.push(systemWrite(s, entry.linear + 5, 1, access | 1));
    segments[name] = loaded(entry, entry.selector);
  };

  if (!isNullSelector(task.ldt)) {
    if (selectorUsesLdt(task.ldt)) fail('ldtr', 'type', task.ldt);
    const entry = fetch('ldtr', task.ldt);
    const { descriptor } = entry;
    if (descriptor.codeOrData || descriptor.type !== SYSTEM_TYPE.ldt) {
      fail('ldtr', 'type', task.ldt, INVALID_TSS, descriptor);
    }
    if (!descriptor.present) fail('ldtr', 'not-present', task.ldt, INVALID_TSS, descriptor);
    ldtr = { selector: task.ldt, descriptor };
  }
  if (virtual) {
    const names = Object.keys(task.selectors) as SegmentName[];
    for (const name of names) segments[name] = virtual8086Segment(task.selectors[name]);
    return { ...common, cpl, ldtr, segments, writes };
  }
  loadStack();
  for (const name of ['ds', 'es', 'fs', 'gs'] as const) loadData(name);
  loadCode();
  const limit = segments.cs.descriptor?.limit ?? 0;
  if (task.eip > limit) {
    const { selector, descriptor } = segments.cs;
    const cause = {
      kind: 'segment-access',
      register: 'cs',
      selector,
      access: 'fetch',
      offset: task.eip,
      size: 1,
      problem: 'limit',
    } as const;
    refuse({ ...cause, ...(descriptor ? { descriptor } : {}) }, { vector: 13, errorCode: 0 }, soFar());
  }
  return { ...common, cpl, ldtr, segments, writes };

  function loadStack(): void {
    const selector = task.selectors.ss;
    if (isNullSelector(selector)) fail('ss', 'null', selector);
    const entry = fetch('ss', selector);
    const { descriptor } = entry;
    if (!isWritable(descriptor)) fail('ss', 'type', selector, INVALID_TSS, descriptor);
    if (!descriptor.present) fail('ss', 'not-present', selector, STACK_FAULT, descriptor);
    if (descriptor.dpl !== cpl) fail('ss', 'privilege', selector, INVALID_TSS, descriptor);
    if (selectorRpl(selector) !== cpl) fail('ss', 'rpl', selector, INVALID_TSS, descriptor);
    take('ss', entry);
  }

  function loadData(name: 'ds' | 'es' | 'fs' | 'gs'): void {
    const selector = task.selectors[name];
    if (isNullSelector(selector)) return;
    const entry = fetch(name, selector);
    const { descriptor } = entry;
    if (!descriptor.codeOrData || !isReadable(descriptor)) {
      fail(name, 'type', selector, INVALID_TSS, descriptor);
    }
    if (isData(descriptor) || !isConforming(descriptor)) {
      if (selectorRpl(selector) > descriptor.dpl || cpl > descriptor.dpl) {
        fail(name, 'privilege', selector, INVALID_TSS, descriptor);
      }
    }
    if (!descriptor.present) fail(name, 'not-present', selector, NOT_PRESENT, descriptor);
    take(name, entry);
  }

  function loadCode(): void {
    const selector = task.selectors.cs;
    if (isNullSelector(selector)) fail('cs', 'null', selector);
    const entry = fetch('cs', selector);
    const { descriptor } = entry;
    if (!isCode(descriptor)) fail('cs', 'type', selector, INVALID_TSS, descriptor);
    if (isConforming(descriptor) ? descriptor.dpl > cpl : descriptor.dpl !== cpl) {
      fail('cs', 'privilege', selector, INVALID_TSS, descriptor);
    }
    if (!descriptor.present) fail('cs', 'not-present', selector, NOT_PRESENT, descriptor);
    take('cs', entry);
  }
}
