/** Builds boot_params as a loader of the 32-bit boot protocol does: zeroed, then the header, then its own fields. */
import { ProtocolError } from '../protocol.ts';
import * as layout from './layout.ts';

/** One entry of the BIOS memory map. Addresses and sizes in bytes. */
export interface E820Entry {
  readonly start: number;
  readonly size: number;
  readonly type: number;
}

/** Fields that a loader may write; one that is absent stays as the image's header has it, or zero. */
export interface BootParamsFields {
  /** Bytes 0x1f1 to the end of the header of a bzImage; absent for a bare vmlinux. */
  readonly header?: Uint8Array;
  /** Writes boot_flag 0xaa55 and "HdrS". */
  readonly signature?: boolean;
  readonly version?: number;
  readonly typeOfLoader?: number;
  readonly loadflags?: { readonly set: number; readonly clear: number };
  readonly code32Start?: number;
  readonly initrd?: { readonly start: number; readonly size: number };
  readonly heapEndPtr?: number;
  readonly cmdLinePtr?: number;
  /** The command line of protocol 2.01 and older: its offset from 0x90000. */
  readonly oldCommandLine?: number;
  readonly kernelAlignment?: number;
  readonly hardwareSubarch?: number;
  readonly e820: readonly E820Entry[];
}

/** @returns the 4096 bytes of boot_params */
export function buildBootParams(fields: BootParamsFields): Uint8Array {
  const bytes = new Uint8Array(layout.BOOT_PARAMS_SIZE);
  const view = new DataView(bytes.buffer);
  const u8 = (offset: number, value: number | undefined): void => {
    if (value !== undefined) view.setUint8(offset, value);
  };
  const u16 = (offset: number, value: number | undefined): void => {
    if (value !== undefined) view.setUint16(offset, value, true);
  };
  const u32 = (offset: number, value: number | undefined): void => {
    if (value !== undefined) view.setUint32(offset, value, true);
  };

  if (fields.header)
    bytes.set(fields.header.subarray(0, layout.E820_TABLE - layout.SETUP_HEADER), layout.SETUP_HEADER);
  if (fields.signature) {
    u16(layout.BOOT_FLAG, layout.BOOT_FLAG_MAGIC);
    u32(layout.HEADER, layout.HEADER_MAGIC);
  }
  u16(layout.VERSION, fields.version);
  u8(layout.TYPE_OF_LOADER, fields.typeOfLoader);
  if (fields.loadflags) {
    const { set, clear } = fields.loadflags;
    u8(layout.LOADFLAGS, (view.getUint8(layout.LOADFLAGS) & ~clear) | set);
  }
  u32(layout.CODE32_START, fields.code32Start);
  u32(layout.RAMDISK_IMAGE, fields.initrd?.start);
  u32(layout.RAMDISK_SIZE, fields.initrd?.size);
  u16(layout.HEAP_END_PTR, fields.heapEndPtr);
  u32(layout.CMD_LINE_PTR, fields.cmdLinePtr);
  if (fields.oldCommandLine !== undefined) {
    u16(layout.CL_MAGIC, layout.CL_MAGIC_VALUE);
    u16(layout.CL_OFFSET, fields.oldCommandLine);
  }
  u32(layout.KERNEL_ALIGNMENT, fields.kernelAlignment);
  u32(layout.HARDWARE_SUBARCH, fields.hardwareSubarch);

  u8(layout.E820_ENTRIES, fields.e820.length);
  for (const [index, entry] of fields.e820.entries()) {
    const offset = layout.E820_TABLE + index * layout.E820_ENTRY_SIZE;
    view.setBigUint64(offset, BigInt(entry.start), true);
    view.setBigUint64(offset + 8, BigInt(entry.size), true);
    view.setUint32(offset + 16, entry.type, true);
  }
  return bytes;
}

/** The command line as bytes with its NUL. */
export function encodeCommandLine(text: string): Uint8Array {
  const encoded = new TextEncoder().encode(text);
  const bytes = new Uint8Array(encoded.length + 1);
  bytes.set(encoded);
  return bytes;
}

/**
 * @param limit bytes without the NUL
 * @throws {ProtocolError} (usage) `cmdline-too-long`
 */
export function checkCommandLine(text: string, limit: number, whose: string): void {
  const { length } = new TextEncoder().encode(text);
  if (length > limit) {
    throw new ProtocolError(
      'cmdline-too-long',
      `--cmdline is ${length} bytes long; ${whose} takes at most ${limit}`,
      true,
    );
  }
}
