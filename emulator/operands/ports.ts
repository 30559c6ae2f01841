/**
 * I/O ports of a PC by name: Linux 6.1 arch/x86/kernel/setup.c (standard_io_resources), IBM PC AT Technical Reference
 * (1985), section 1; PCI Local Bus 3.0, 3.2.2.3.2 (0xcf8, 0xcfc); National PC16550D (UARTs); ACPI and chipset ports as
 * QEMU 7.2 has them on `pc` and `q35` (hw/i386/pc.c, hw/isa/lpc_ich9.c, hw/acpi/piix4.c).
 */

interface PortRange {
  readonly first: number;
  /** Inclusive. */
  readonly last: number;
  readonly name: string;
  /** Names of the ports in it, from the first on. */
  readonly ports?: readonly string[];
}

/** Offsets of a 16550's registers while DLAB is 0. */
const UART = [
  'data',
  'interrupt enable',
  'interrupt identification / FIFO control',
  'line control',
  'modem control',
  'line status',
  'modem status',
  'scratch',
] as const;
const uart = (name: string, first: number): PortRange => ({ first, last: first + 7, name, ports: UART });
const PARALLEL = ['data', 'status', 'control'] as const;
const ATA = [
  'data',
  'error / features',
  'sector count',
  'LBA low',
  'LBA mid',
  'LBA high',
  'device',
  'status / command',
];

/** In port order. */
const RANGES: readonly PortRange[] = [
  { first: 0x00, last: 0x1f, name: 'DMA controller 1' },
  { first: 0x20, last: 0x21, name: 'first PIC', ports: ['command', 'data (interrupt mask)'] },
  { first: 0x22, last: 0x23, name: 'chipset configuration / IMCR', ports: ['index', 'data'] },
  { first: 0x2e, last: 0x2f, name: 'Super I/O', ports: ['index', 'data'] },
  {
    first: 0x40,
    last: 0x43,
    name: 'PIT',
    ports: ['counter 0 (timer)', 'counter 1', 'counter 2 (speaker)', 'mode'],
  },
  { first: 0x60, last: 0x60, name: 'keyboard controller', ports: ['data'] },
  { first: 0x61, last: 0x61, name: 'system control port B', ports: ['speaker, timer 2 gate, NMI status'] },
  { first: 0x64, last: 0x64, name: 'keyboard controller', ports: ['status / command'] },
  { first: 0x70, last: 0x71, name: 'CMOS RAM and RTC', ports: ['index, NMI mask', 'data'] },
  { first: 0x80, last: 0x80, name: 'POST code', ports: ['also the delay port of Linux'] },
  { first: 0x81, last: 0x8f, name: 'DMA page registers' },
  { first: 0x92, last: 0x92, name: 'system control port A', ports: ['A20 gate, fast reset'] },
  { first: 0xa0, last: 0xa1, name: 'second PIC', ports: ['command', 'data (interrupt mask)'] },
  { first: 0xb2, last: 0xb3, name: 'APM / SMI', ports: ['command', 'status'] },
  { first: 0xc0, last: 0xdf, name: 'DMA controller 2' },
  { first: 0xed, last: 0xed, name: 'delay port of Linux (io_delay=0xed)' },
  { first: 0xf0, last: 0xf1, name: 'FPU', ports: ['clear busy latch', 'reset'] },
  { first: 0x170, last: 0x177, name: 'second ATA channel', ports: ATA },
  { first: 0x1f0, last: 0x1f7, name: 'first ATA channel', ports: ATA },
  { first: 0x278, last: 0x27a, name: 'LPT2', ports: PARALLEL },
  uart('COM4', 0x2e8),
  uart('COM2', 0x2f8),
  { first: 0x376, last: 0x376, name: 'second ATA channel', ports: ['alternate status / device control'] },
  { first: 0x378, last: 0x37a, name: 'LPT1', ports: PARALLEL },
  { first: 0x3b4, last: 0x3b5, name: 'MDA CRT controller', ports: ['index', 'data'] },
  { first: 0x3c0, last: 0x3c1, name: 'VGA attribute controller' },
  { first: 0x3c2, last: 0x3c2, name: 'VGA miscellaneous output / input status 0' },
  { first: 0x3c4, last: 0x3c5, name: 'VGA sequencer', ports: ['index', 'data'] },
  { first: 0x3c6, last: 0x3c9, name: 'VGA palette' },
  { first: 0x3cc, last: 0x3cc, name: 'VGA miscellaneous output (read)' },
  { first: 0x3ce, last: 0x3cf, name: 'VGA graphics controller', ports: ['index', 'data'] },
  { first: 0x3d4, last: 0x3d5, name: 'VGA CRT controller', ports: ['index', 'data'] },
  { first: 0x3da, last: 0x3da, name: 'VGA input status 1' },
  uart('COM3', 0x3e8),
  { first: 0x3f0, last: 0x3f5, name: 'floppy disk controller' },
  { first: 0x3f6, last: 0x3f6, name: 'first ATA channel', ports: ['alternate status / device control'] },
  { first: 0x3f7, last: 0x3f7, name: 'floppy disk controller' },
  uart('COM1', 0x3f8),
  { first: 0x402, last: 0x402, name: 'firmware debug console' },
  { first: 0x4d0, last: 0x4d1, name: 'PIC edge/level control', ports: ['first', 'second'] },
  { first: 0x510, last: 0x511, name: 'QEMU fw_cfg', ports: ['selector', 'data'] },
  { first: 0xcf8, last: 0xcf8, name: 'PCI configuration', ports: ['address'] },
  { first: 0xcf9, last: 0xcf9, name: 'reset control' },
  { first: 0xcfa, last: 0xcfb, name: 'PCI configuration', ports: ['address', 'address'] },
  { first: 0xcfc, last: 0xcff, name: 'PCI configuration', ports: ['data', 'data', 'data', 'data'] },
];

/** @returns what is behind a port of a PC, e.g. `first PIC: command`; `undefined` for one that has no fixed use */
export function portName(port: number): string | undefined {
  const range = RANGES.find(({ first, last }) => port >= first && port <= last);
  if (!range) return undefined;
  const part = range.ports?.[port - range.first];
  return part === undefined ? range.name : `${range.name}: ${part}`;
}
