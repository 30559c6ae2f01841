/** The purgatory: the code of kexec-tools that stands between two kernels, and the GDT and stack that it leaves behind. */

import type { Ring } from '../../emulator/cpu-state.ts';
import type { MemoryRegion } from '../../emulator/entry-state.ts';
import { DESCRIPTOR_SIZE, type Descriptor, flatCode, flatData } from '../../emulator/segmentation.ts';
import { BOOT_CS_INDEX, BOOT_DS_INDEX, encodeGdt } from '../segments.ts';
import { PURGATORY_GDT, PURGATORY_SIZE, PURGATORY_STACK_END } from './layout.ts';

// purgatory/arch/i386/entry32.S: besides the documented selectors those that Linux 2.6 has itself.
const KERNEL_CS_INDEX = 12;
const KERNEL_DS_INDEX = 13;
export const GDT_ENTRIES = 14;

/** Bit 0 of a descriptor's type, which the CPU sets when it loads it (SDM vol. 3, 3.4.5.1). */
const TYPE_ACCESSED = 1;
const untouched = (descriptor: Descriptor): Descriptor => ({
  ...descriptor,
  type: descriptor.type & ~TYPE_ACCESSED,
});

export interface Purgatory {
  readonly regions: readonly MemoryRegion[];
  readonly gdtBase: number;
  readonly stackEnd: number;
}

/** @param ring the DPL of its descriptors: 0 but for a kernel that never had ring 0 */
export function purgatory(start: number, ring: Ring): Purgatory {
  const gdtBase = start + PURGATORY_GDT;
  const gdt = encodeGdt(GDT_ENTRIES, {
    [BOOT_CS_INDEX]: flatCode(ring),
    [BOOT_DS_INDEX]: flatData(ring),
    [KERNEL_CS_INDEX]: untouched(flatCode(ring)),
    [KERNEL_DS_INDEX]: untouched(flatData(ring)),
  });
  // Entry 0 is never used, so that the operand of lgdt stands in it.
  const view = new DataView(gdt.buffer);
  view.setUint16(0, GDT_ENTRIES * DESCRIPTOR_SIZE - 1, true);
  view.setUint32(2, gdtBase, true);
  const part = (name: string, from: number, to: number, contents?: Uint8Array): MemoryRegion => ({
    name,
    start: start + from,
    size: to - from,
    owner: 'loader',
    ...(contents ? { contents } : {}),
    defined: contents !== undefined,
  });
  const gdtEnd = PURGATORY_GDT + gdt.length;
  return {
    regions: [
      part('purgatory code', 0, PURGATORY_GDT),
      part('purgatory GDT', PURGATORY_GDT, gdtEnd, gdt),
      part('purgatory data and stack', gdtEnd, PURGATORY_SIZE),
    ],
    gdtBase,
    stackEnd: start + PURGATORY_STACK_END,
  };
}
