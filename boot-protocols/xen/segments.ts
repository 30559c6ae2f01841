/** Xen's segments: in the GDT of every domain, on a page of its own behind what the guest may fill. */
import type { Ring } from '../../emulator/cpu-state.ts';
import type { SegmentEntry } from '../../emulator/entry-state.ts';
import { PAGE_SIZE } from '../../emulator/paging.ts';
import {
  DESCRIPTOR_SIZE,
  type Descriptor,
  flatCode,
  flatData,
  type SegmentName,
} from '../../emulator/segmentation.ts';
import type { XenHost } from '../protocol.ts';
import { encodeGdt, selectorOf } from '../segments.ts';

// GDT indices of FLAT_RING1_CS 0xe019, FLAT_RING1_DS 0xe021, FLAT_RING3_CS 0xe02b, FLAT_RING3_DS 0xe033.
const RING1_CS_INDEX = 7171;
const RING1_DS_INDEX = 7172;
const RING3_CS_INDEX = 7173;
const RING3_DS_INDEX = 7174;
// Xen's own: __HYPERVISOR_CS 0xe008 and __HYPERVISOR_DS 0xe010; a 64-bit Xen has a 32-bit ring-0 code segment at 0xe038.
const XEN_CS_INDEX = 7169;
const XEN_DS_INDEX = 7170;
const XEN_COMPAT_CS_INDEX = 7175;
/** __HYPERVISOR_CS. */
export const XEN_CS = XEN_CS_INDEX << 3;
/** 14 pages for the guest's own descriptors, then one of Xen's (FIRST_RESERVED_GDT_ENTRY 7168). */
export const GDT_SIZE = 15 * PAGE_SIZE;
export const GDT_ENTRIES = GDT_SIZE / DESCRIPTOR_SIZE;

/**
 * A guest's flat segments, as its host has them: gdt_table of Xen 4.2 xen/arch/x86/boot/x86_32.S ends them where the M2P
 * table ends, compat_gdt_table of Xen 4.14 xen/arch/x86/boot/x86_64.S at 4 GiB.
 *
 * @param end of the M2P table
 */
const guest = (descriptor: Descriptor, host: XenHost, end: number): Descriptor =>
  host === 32 ? { ...descriptor, limit: end - 1 } : descriptor;

export function xenGdt(host: XenHost, ring: Ring, end: number): Uint8Array {
  const longCode = { ...flatCode(0), long: true, big: false };
  return encodeGdt(GDT_ENTRIES, {
    [XEN_CS_INDEX]: host === 64 ? longCode : flatCode(0),
    [XEN_DS_INDEX]: flatData(0),
    [RING1_CS_INDEX]: guest(flatCode(ring), host, end),
    [RING1_DS_INDEX]: guest(flatData(ring), host, end),
    [RING3_CS_INDEX]: guest(flatCode(3), host, end),
    [RING3_DS_INDEX]: guest(flatData(3), host, end),
    ...(host === 64 ? { [XEN_COMPAT_CS_INDEX]: flatCode(0) } : {}),
  });
}

/** What a guest's kernel starts with: its code segment, and its data segment everywhere else. */
export function xenSegments(
  host: XenHost,
  ring: Ring,
  end: number,
): Readonly<Record<SegmentName, SegmentEntry>> {
  const entry = (index: number, descriptor: Descriptor): SegmentEntry => ({
    selector: selectorOf(index, ring),
    descriptor: guest(descriptor, host, end),
    promised: true,
  });
  const cs = entry(RING1_CS_INDEX, flatCode(ring));
  const data = entry(RING1_DS_INDEX, flatData(ring));
  return { es: data, cs, ss: data, ds: data, fs: data, gs: data };
}
