/** The PC's physical memory as a boot loader leaves it, in address order. */
import type { MemoryBank, MemoryRegion } from '../../emulator/entry-state.ts';
import type { E820Entry } from '../linux/boot-params.ts';
import { E820_RAM, E820_RESERVED } from '../linux/layout.ts';

// 0x00000: conventional memory
/** Interrupt vector table and BIOS data area; zero: no EBDA pointer at 0x40e, no memory size at 0x413. */
const BIOS_DATA = 0x00000;
const BIOS_DATA_SIZE = 0x500;
export const GDT = 0x00800;
/** Where Linux's own setup code puts its empty TSS (Linux 6.1 arch/x86/boot/pm.c). */
export const TSS = 0x01000;
// boot_params at 0x10000 and the command line at 0x20000: linux/boot-data.ts
export const EBDA = 0x9fc00;

// 0xa0000: adapters
const VGA_MEMORY = 0xa0000;
export const ROM = 0xc0000;

// 0x100000: the rest
export const EXTENDED_MEMORY = 0x100000;
/** What the BIOS reserves in the memory map: the last 64 KiB below 1 MiB. */
const BIOS_ROM = 0xf0000;

/** What an empty socket reads as. */
const ABSENT_ROM = 0xff;

export const banks = (memory: number): readonly MemoryBank[] => [
  { name: 'conventional memory', start: 0, size: VGA_MEMORY, kind: 'ram' },
  { name: 'VGA memory', start: VGA_MEMORY, size: ROM - VGA_MEMORY, kind: 'ram' },
  { name: 'ROM', start: ROM, size: EXTENDED_MEMORY - ROM, kind: 'rom' },
  { name: 'extended memory', start: EXTENDED_MEMORY, size: memory - EXTENDED_MEMORY, kind: 'ram' },
];

export const firmware = (): readonly MemoryRegion[] => [
  { name: 'BIOS data area', start: BIOS_DATA, size: BIOS_DATA_SIZE, owner: 'firmware', defined: true },
  { name: 'extended BIOS data area', start: EBDA, size: VGA_MEMORY - EBDA, owner: 'firmware', defined: true },
  { name: 'VGA memory', start: VGA_MEMORY, size: ROM - VGA_MEMORY, owner: 'firmware', defined: true },
  {
    name: 'ROM',
    start: ROM,
    size: EXTENDED_MEMORY - ROM,
    owner: 'firmware',
    contents: new Uint8Array(EXTENDED_MEMORY - ROM).fill(ABSENT_ROM),
    defined: true,
  },
];

/** The BIOS memory map with its hole below 1 MiB. */
export const e820 = (memory: number): readonly E820Entry[] => [
  { start: 0, size: EBDA, type: E820_RAM },
  { start: EBDA, size: VGA_MEMORY - EBDA, type: E820_RESERVED },
  { start: BIOS_ROM, size: EXTENDED_MEMORY - BIOS_ROM, type: E820_RESERVED },
  { start: EXTENDED_MEMORY, size: memory - EXTENDED_MEMORY, type: E820_RAM },
];
