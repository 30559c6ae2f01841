/** Guests with a GDT, a TSS and an IDT of their own, for what goes through them. */
import type { Ring } from '../../emulator/cpu-state.ts';
import type { EntryState } from '../../emulator/entry-state.ts';
import { Machine } from '../../emulator/machine.ts';
import { decodeDescriptor, type SegmentRegister } from '../../emulator/segmentation.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { UnicornLibrary } from '../../emulator/unicorn/api.ts';
import { type GuestOptions, guestEntry } from './guest.ts';

export const GDT = 0x5000;
export const IDT = 0x6000;
export const TSS = 0x7000;
/** The TSS that task switches go to. */
export const TSS2 = 0x7800;
/** Stack of ring 0 in the TSS. */
export const RING0_STACK = 0xb000;

/** Dwords of a descriptor, low first, as SDM vol. 3, figure 3-8 has them. */
export type Entry = readonly [low: number, high: number];

export const CODE_0: Entry = [0x0000ffff, 0x00cf9b00];
const DATA_0: Entry = [0x0000ffff, 0x00cf9300];
export const CODE_1: Entry = [0x0000ffff, 0x00cfbb00];
export const CODE_3: Entry = [0x0000ffff, 0x00cffb00];
export const DATA_3: Entry = [0x0000ffff, 0x00cff300];
/** Available 32-bit TSS with the smallest limit. */
export const tssEntry = (base: number, type = 0x9): Entry => [(base << 16) | 0x67, 0x00008000 | (type << 8)];
/** A present gate: call gate 0xc, interrupt gate 0xe, trap gate 0xf, task gate 5. */
export const gate = (type: number, dpl: number, selector: number, offset: number, count = 0): Entry => [
  (selector << 16) | (offset & 0xffff),
  ((offset & 0xffff0000) | 0x8000 | (dpl << 13) | (type << 8) | count) >>> 0,
];

/** Selectors of what every GDT here begins with. */
export const SELECTOR = { code0: 0x08, data0: 0x10, code3: 0x1b, data3: 0x23, tss: 0x28 } as const;
/** The first selector of a test's own descriptors. */
export const FIRST = 0x30;

function dwords(values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  for (const [i, value] of values.entries()) view.setUint32(4 * i, value >>> 0, true);
  return new Uint8Array(view.buffer);
}

export interface ProtectedOptions extends Omit<GuestOptions, 'gdt'> {
  /** Descriptors from selector FIRST on. */
  readonly gdt?: readonly Entry[];
  /** Gates by vector. */
  readonly idt?: Readonly<Record<number, Entry>>;
  /** Dwords of the TSS by offset. */
  readonly tss?: Readonly<Record<number, number>>;
  readonly tss2?: Readonly<Record<number, number>>;
}

function table(fields: Readonly<Record<number, number>>, size: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(size));
  for (const [offset, value] of Object.entries(fields)) view.setUint32(Number(offset), value >>> 0, true);
  return new Uint8Array(view.buffer);
}

function protectedEntry(options: ProtectedOptions): EntryState {
  const ring: Ring = options.ring ?? 0;
  const entries: Entry[] = [
    [0, 0],
    CODE_0,
    DATA_0,
    CODE_3,
    DATA_3,
    tssEntry(TSS, 0xb),
    ...(options.gdt ?? []),
  ];
  const gates = Array.from({ length: 0x40 }, (_, vector): Entry => options.idt?.[vector] ?? [0, 0]);
  const entry = guestEntry({
    ...options,
    gdt: 'none',
    contents: {
      [GDT]: dwords(entries.flat()),
      [IDT]: dwords(gates.flat()),
      [TSS]: table({ 4: RING0_STACK, 8: SELECTOR.data0, ...options.tss }, 0x68),
      [TSS2]: table(options.tss2 ?? {}, 0x68),
      ...options.contents,
    },
  });
  const segment = (selector: number, [low, high]: Entry): SegmentRegister => ({
    selector,
    descriptor: decodeDescriptor(low, high),
  });
  const data = { ...(ring === 0 ? segment(0x10, DATA_0) : segment(0x23, DATA_3)), promised: true };
  const code = { ...(ring === 0 ? segment(0x08, CODE_0) : segment(0x1b, CODE_3)), promised: true };
  return {
    ...entry,
    segments: { es: data, cs: code, ss: data, ds: data, fs: data, gs: data, ...options.segments },
    tr: segment(SELECTOR.tss, tssEntry(TSS, 0xb)),
    gdtr: { base: GDT, limit: entries.length * 8 - 1 },
    idtr: { base: IDT, limit: gates.length * 8 - 1 },
  };
}

/** Runs to the first fault or end; what the machine's memory holds then can be read by `look`. */
export function runProtected(
  library: UnicornLibrary,
  options: ProtectedOptions,
  look?: (machine: Machine) => void,
): Stop {
  using machine = Machine.open(library, protectedEntry(options));
  const stop = machine.run({ stopOn: 'fault' });
  look?.(machine);
  return stop;
}

export function readDwords(machine: Machine, linear: number, count: number): number[] {
  const bytes = machine.readMemory(linear, count * 4);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: count }, (_, i) => view.getUint32(4 * i, true));
}
