/** Builds bzImages by hand: Linux Documentation/x86/boot.rst, "The Real-Mode Kernel Header". */

export interface BzImageSpec {
  /** e.g. 0x020f; 2.15 by default. */
  readonly version?: number;
  /** As in the file; 1 by default. */
  readonly setupSects?: number;
  /** The byte at 0x201; by default the header ends where Linux 6.1's does, at 0x26c. */
  readonly jump?: number;
  /** Fields by offset in the file; each value has `size` bytes. */
  readonly fields?: readonly (readonly [offset: number, size: 1 | 2 | 4 | 8, value: number])[];
  /** Text at 0x200 + 0x100, with kernel_version pointing there. */
  readonly kernelVersion?: string;
  /** cld; cli by default. */
  readonly code?: Uint8Array;
}

const SECTOR = 512;
const LINUX_6_1_HEADER_END = 0x26c;
const VERSION_STRING = 0x100;

export function buildBzImage(spec: BzImageSpec = {}): Uint8Array {
  const setupSects = spec.setupSects ?? 1;
  const code = spec.code ?? Uint8Array.of(0xfc, 0xfa);
  // 0 sectors are 4 (boot.rst, setup_sects).
  const start = ((setupSects === 0 ? 4 : setupSects) + 1) * SECTOR;
  const file = new Uint8Array(start + code.length);
  const view = new DataView(file.buffer);
  view.setUint8(0x1f1, setupSects);
  view.setUint32(0x1f4, Math.ceil(code.length / 16), true);
  view.setUint16(0x1fe, 0xaa55, true);
  view.setUint8(0x200, 0xeb);
  view.setUint8(0x201, spec.jump ?? LINUX_6_1_HEADER_END - 0x202);
  file.set(new TextEncoder().encode('HdrS'), 0x202);
  view.setUint16(0x206, spec.version ?? 0x020f, true);
  view.setUint8(0x211, 1); // LOADED_HIGH
  view.setUint32(0x214, 0x100000, true);
  for (const [offset, size, value] of spec.fields ?? []) {
    if (size === 1) view.setUint8(offset, value);
    else if (size === 2) view.setUint16(offset, value, true);
    else if (size === 4) view.setUint32(offset, value, true);
    else view.setBigUint64(offset, BigInt(value), true);
  }
  if (spec.kernelVersion !== undefined) {
    view.setUint16(0x20e, VERSION_STRING, true);
    file.set(new TextEncoder().encode(`${spec.kernelVersion}\0`), 0x200 + VERSION_STRING);
  }
  file.set(code, start);
  return file;
}
