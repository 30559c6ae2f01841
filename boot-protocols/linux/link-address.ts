/** An address of the link, used while paging is off: C code that a kernel runs before it has page tables. */
import { CR0_PG } from '../../emulator/control-bits.ts';
import { ECX } from '../../emulator/cpu-models/features.ts';
import { findCpuModel } from '../../emulator/cpu-models/index.ts';
import type { EntryState } from '../../emulator/entry-state.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { createSymbolizer } from '../../src/kernel-image/symbolizer.ts';
import { hex } from '../regions.ts';

/**
 * Linux's microcode loader runs before paging from 3.9 on, and from 4.13 on not at all under a hypervisor
 * (arch/x86/kernel/cpu/microcode/core.c, check_loader_disabled_bsp). From 5.12 on, and in stable releases of 5.10, the
 * stack protector's canary is a per-CPU variable: %fs: and its link address, in every function that is protected
 * (commit 3fb0fdb3bbe7).
 */
const MICROCODE_LOADER = /^load_ucode_/;

/** Whether a kernel that asks by cpuid finds a hypervisor. */
const showsHypervisor = (entry: EntryState | undefined): boolean =>
  ((findCpuModel(entry?.knobs.cpu ?? '')?.cpuid(1, 0).ecx ?? 0) & ECX.HYPERVISOR) !== 0;

/** What is at a hole that is an address of the link, and how a run gets past it. */
export function linkAddress(stop: Stop, image: KernelImage, entry?: EntryState): string | undefined {
  if (stop.kind !== 'memory-hole' || image.format !== 'elf' || (stop.cpu.control.cr0 & CR0_PG) !== 0)
    return undefined;
  const { address, access, cpu } = stop;
  const home = image.segments.find(
    ({ virtual, physical, memorySize }) =>
      virtual !== physical && virtual <= address && address < virtual + memorySize,
  );
  if (!home) return undefined;
  const where = `paging is off, and the address is one of the link: ${home.name}, linked at ${hex(home.virtual)}, is at ${hex(home.physical)}`;
  const onAPc = access === 'read' ? '; on a PC the kernel reads all ones and goes on' : '';
  const name = createSymbolizer(image).symbolAt(cpu.eip, 'physical')?.name ?? '';
  const skipped =
    MICROCODE_LOADER.test(name) && !showsHypervisor(entry)
      ? '; --cpu i686-hv shows a hypervisor, under which Linux leaves out its microcode loader'
      : '';
  return `${where}${onAPc}${skipped}`;
}
