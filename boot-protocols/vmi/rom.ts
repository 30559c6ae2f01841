/**
 * The option ROM by which a VMI hypervisor shows itself: struct vrom_header, pci_header and pnp_header of Linux 2.6.24
 * include/asm-x86/vmi.h, and what arch/x86/kernel/vmi_32.c, check_vmi_rom, looks at. The ROM of VMware's own product is
 * not known here: what the header leaves open is a choice, and the page says which.
 */
import type { EntryStructure, MemoryRegion, ServiceEntry } from '../../emulator/entry-state.ts';
import { type Filled, type FilledStructure, fillStructure, type LayoutField } from '../structure.ts';
import { GET_RELOC, VMI_INIT } from './calls.ts';

/**
 * The first place behind a VGA BIOS of 32 KiB, where a PC has the ROMs of its other cards. The kernel looks from 0xc0000 to
 * 0xe0000, in steps of 2 KiB (vmi_32.c, probe_vmi_rom).
 */
const ROM_BASE = 0xc8000;
const ROM_SIZE = 2048;

/** Unit of the lengths in ROM and PCI header. */
const CHUNK = 512;

// The ROM, in address order.
const HEADER = 0x00;
const ENTRIES = 0x80;
const PCI_HEADER = 0x90;
const PNP_HEADER = 0xa8;
const LICENSE = 0xc8;
const MANUFACTURER = 0xd0;
const PRODUCT = 0xe0;
/** Makes the sum of all bytes 0, as a BIOS wants it of an option ROM. */
const CHECKSUM = ROM_SIZE - 1;

const ENTRY_SIZE = 8;
/** No PC uses it; where it stands decides. */
const SERVICE_VECTOR = 0xf0;
/** int $0xf0; ret; int3 … */
const ENTRY_CODE = Uint8Array.of(0xcd, SERVICE_VECTOR, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc);
/** lret: nothing is to be done when the BIOS starts the ROM. */
const BIOS_ENTRY_CODE = 0xcb;

/** 64 MiB at the end of the address space for the hypervisor. */
const VIRTUAL_TOP = 0xfc000000;

const PCI_SIZE = 0x18;
const PNP_SIZE = 0x20;
const PNP_UNIT = 16;
const PNP_CHECKSUM = 9;

const CITATION = 'Linux 2.6.24 include/asm-x86/vmi.h';

/** A field with its value; code in bytes. */
type Row = readonly [
  name: string,
  offset: number,
  size: number,
  value: number | Uint8Array,
  meaning?: string,
];

/** A header of the ROM from a table that is layout and values in one: no other ROM is known. */
function header(name: string, size: number, rows: readonly Row[]): FilledStructure {
  const fields = rows.map(
    ([field, offset, bytes, value]): LayoutField => ({
      name: field,
      offset,
      size: bytes,
      as: typeof value === 'number' ? 'number' : 'bytes',
    }),
  );
  const values = rows.map(([field, , , value, meaning]): readonly [string, Filled] => [
    field,
    { value, ...(meaning === undefined ? {} : { meaning }) },
  ]);
  return fillStructure({ name, size, citation: CITATION, fields }, Object.fromEntries(values), CITATION);
}

const VROM_HEADER = header('vrom_header', ENTRIES + 2 * ENTRY_SIZE, [
  ['rom_signature', 0x00, 2, 0xaa55, 'an option ROM'],
  ['rom_length', 0x02, 1, ROM_SIZE / CHUNK, `${ROM_SIZE} bytes`],
  ['rom_entry', 0x03, 4, BIOS_ENTRY_CODE, '16-bit code: lret'],
  ['vrom_signature', 0x08, 4, 0x696d5663, 'cVmi'],
  ['api_version_min', 0x0c, 1, 0],
  ['api_version_maj', 0x0d, 1, 3],
  ['jump_slots', 0x0e, 1, 2, 'vmi_init and get_reloc'],
  ['virtual_top', 0x10, 4, VIRTUAL_TOP, 'where the hypervisor begins'],
  ['license_offs', 0x16, 2, LICENSE, 'GPL v2'],
  ['pci_header_offs', 0x18, 2, PCI_HEADER],
  ['pnp_header_offs', 0x1a, 2, PNP_HEADER],
  [
    'vmi_init',
    ENTRIES + VMI_INIT * ENTRY_SIZE,
    ENTRY_SIZE,
    ENTRY_CODE,
    'call: takes nothing, returns 0 in EAX',
  ],
  [
    'get_reloc',
    ENTRIES + GET_RELOC * ENTRY_SIZE,
    ENTRY_SIZE,
    ENTRY_CODE,
    'call: EAX is a number, EDX:EAX the relocation',
  ],
]);

/** "PCIR", "$PnP" as little-endian numbers. */
const PCIR = 0x52494350;
const PNP = 0x506e5024;

const PCI = header('pci_header', PCI_SIZE, [
  ['sig', 0x00, 4, PCIR, 'PCIR'],
  ['vendorID', 0x04, 2, 0x15ad, 'VMware'],
  ['deviceID', 0x06, 2, 0x0801, 'VMI'],
  ['vpdData', 0x08, 2, 0],
  ['size', 0x0a, 2, PCI_SIZE],
  ['rev', 0x0c, 1, 0],
  // The class code from its low byte on: PCI Firmware Specification, "PCI Data Structure".
  ['class', 0x0d, 1, 0x00],
  ['subclass', 0x0e, 1, 0x80],
  ['interface', 0x0f, 1, 0x05, 'a memory controller'],
  ['chunks', 0x10, 2, ROM_SIZE / CHUNK, `${ROM_SIZE} bytes`],
  ['rom_version_min', 0x12, 1, 0],
  ['rom_version_maj', 0x13, 1, 1],
  ['codetype', 0x14, 1, 0, 'x86'],
  ['lastRom', 0x15, 1, 0x80, 'the last image'],
]);

const PLUG_AND_PLAY = header('pnp_header', PNP_SIZE, [
  ['sig', 0x00, 4, PNP, '$PnP'],
  ['rev', 0x04, 1, 1],
  ['size', 0x05, 1, PNP_SIZE / PNP_UNIT, `${PNP_SIZE} bytes`],
  ['next', 0x06, 2, 0, 'the last one'],
  // The high byte is the checksum.
  ['res', 0x08, 2, 0],
  ['devID', 0x0a, 4, 0],
  ['manufacturer_offset', 0x0e, 2, MANUFACTURER, 'startup32'],
  ['product_offset', 0x10, 2, PRODUCT, 'VMI option ROM'],
]);

const sum = (bytes: Uint8Array): number => bytes.reduce((total, byte) => total + byte, 0);

/** The byte that makes a sum of bytes end in 0. */
const complement = (bytes: Uint8Array): number => -sum(bytes) & 0xff;

/** The ROM's headers, in the order in which a kernel finds them. */
const HEADERS: readonly (readonly [offset: number, header: FilledStructure])[] = [
  [HEADER, VROM_HEADER],
  [PCI_HEADER, PCI],
  [PNP_HEADER, PLUG_AND_PLAY],
];

export const romStructures = (): readonly EntryStructure[] =>
  HEADERS.map(([offset, { describe }]) => describe(ROM_BASE + offset));

/** The ROM's bytes. */
function vmiRom(): Uint8Array {
  const rom = new Uint8Array(ROM_SIZE);
  const text = (offset: number, value: string): void => rom.set(new TextEncoder().encode(value), offset);
  for (const [offset, { bytes }] of HEADERS) rom.set(bytes, offset);
  rom[PNP_HEADER + PNP_CHECKSUM] = complement(PLUG_AND_PLAY.bytes);
  text(LICENSE, 'GPL v2');
  text(MANUFACTURER, 'startup32');
  text(PRODUCT, 'VMI option ROM');
  rom[CHECKSUM] = complement(rom);
  return rom;
}

const ROM_NAME = 'VMI option ROM';

/**
 * Puts the ROM into one that is there already.
 *
 * @throws {RangeError} when it does not stand there whole
 */
export function withVmiRom(regions: readonly MemoryRegion[]): readonly MemoryRegion[] {
  const end = ROM_BASE + ROM_SIZE;
  const home = regions.find(({ start, size }) => start <= ROM_BASE && end <= start + size);
  if (!home) throw new RangeError('there is no ROM to put the VMI ROM into');
  const around = (start: number, to: number): readonly MemoryRegion[] =>
    start === to
      ? []
      : [
          {
            ...home,
            start,
            size: to - start,
            ...(home.contents && { contents: home.contents.subarray(start - home.start, to - home.start) }),
          },
        ];
  const own: MemoryRegion = {
    name: ROM_NAME,
    start: ROM_BASE,
    size: ROM_SIZE,
    owner: 'firmware',
    contents: vmiRom(),
    defined: true,
  };
  const parts = [...around(home.start, ROM_BASE), own, ...around(end, home.start + home.size)];
  return regions.flatMap(region => (region === home ? parts : region));
}

/** regparm: vmi_init takes nothing, get_reloc the number of a call in EAX (vmi_32.c, VROMFUNC and VROMLONGFUNC). */
export const SERVICE_ENTRIES: readonly ServiceEntry[] = [
  { address: ROM_BASE + ENTRIES + VMI_INIT * ENTRY_SIZE, number: VMI_INIT, arguments: [] },
  { address: ROM_BASE + ENTRIES + GET_RELOC * ENTRY_SIZE, number: GET_RELOC, arguments: ['eax'] },
];
