/** Segment registers and GDTs as loaders and hypervisors set them up. SDM vol. 3, 3.4. */
import type { Ring, TableRegister } from '../emulator/cpu-state.ts';
import type { SegmentEntry } from '../emulator/entry-state.ts';
import {
  DESCRIPTOR_SIZE,
  type Descriptor,
  encodeDescriptor,
  flatCode,
  flatData,
  type SegmentName,
  type SegmentRegister,
  TYPE_TSS32_BUSY,
} from '../emulator/segmentation.ts';

export const NULL_SEGMENT: SegmentRegister = { selector: 0, descriptor: undefined };

/** A GDTR or IDTR that leads nowhere. */
export const NO_TABLE: TableRegister = { base: 0, limit: 0 };

/** LDTR, TR and IDTR of a loader that leaves no system segment and no IDT to the kernel. */
export const NO_SYSTEM_TABLES = { ldtr: NULL_SEGMENT, tr: NULL_SEGMENT, idtr: NO_TABLE } as const;

/** GDT indices of __BOOT_CS 0x10 and __BOOT_DS 0x18 (boot.rst, "32-bit boot protocol"). */
export const BOOT_CS_INDEX = 2;
export const BOOT_DS_INDEX = 3;
/** A GDT that ends with __BOOT_DS. */
export const BOOT_GDT_ENTRIES = 4;

/** The selector of GDT entry `index` with RPL `ring`. */
export const selectorOf = (index: number, ring: Ring): number => (index << 3) | ring;

/** What FS and GS hold: null, or the data selector; and whether the protocol promises it. */
export interface ExtraSegments {
  readonly value: 'null' | 'data';
  readonly promised: boolean;
}

/** Flat CS and DS, ES, SS by GDT index; RPL and DPL are the ring, so that they load at it. */
export function flatSegments(
  ring: Ring,
  codeIndex: number,
  dataIndex: number,
  extra: ExtraSegments,
): Readonly<Record<SegmentName, SegmentEntry>> {
  const code = { selector: selectorOf(codeIndex, ring), descriptor: flatCode(ring), promised: true };
  const data = { selector: selectorOf(dataIndex, ring), descriptor: flatData(ring), promised: true };
  const fsGs = { ...(extra.value === 'null' ? NULL_SEGMENT : data), promised: extra.promised };
  return { es: data, cs: code, ss: data, ds: data, fs: fsGs, gs: fsGs };
}

/** A busy 32-bit TSS as TR's hidden part has it (SDM vol. 3, 7.2.2); DPL 0. */
export const busyTss = (base: number, limit: number): Descriptor => ({
  base,
  limit,
  type: TYPE_TSS32_BUSY,
  codeOrData: false,
  dpl: 0,
  present: true,
  available: false,
  long: false,
  big: false,
  granular: false,
});

/** GDTR as the knob asks for it: a table of `count` entries, or none. */
export const gdtr = (gdt: 'flat' | 'none', base: number, count: number): TableRegister =>
  gdt === 'flat' ? { base, limit: count * DESCRIPTOR_SIZE - 1 } : NO_TABLE;

/** The bytes of a GDT of `count` entries; those not named are zero. */
export function encodeGdt(count: number, entries: Readonly<Record<number, Descriptor>>): Uint8Array {
  const table = new Uint8Array(count * DESCRIPTOR_SIZE);
  const view = new DataView(table.buffer);
  for (const [index, descriptor] of Object.entries(entries)) {
    const { low, high } = encodeDescriptor(descriptor);
    view.setUint32(Number(index) * DESCRIPTOR_SIZE, low, true);
    view.setUint32(Number(index) * DESCRIPTOR_SIZE + 4, high, true);
  }
  return table;
}

/** The GDT of boot.rst: flat code and data at __BOOT_CS and __BOOT_DS. */
export const bootGdt = (ring: Ring): Uint8Array =>
  encodeGdt(BOOT_GDT_ENTRIES, { [BOOT_CS_INDEX]: flatCode(ring), [BOOT_DS_INDEX]: flatData(ring) });
