/** Little-endian reads and the few formats that every message about a file uses. Callers check bounds first. */

export function u16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] ?? 0) | ((bytes[offset + 1] ?? 0) << 8);
}

export function u32(bytes: Uint8Array, offset: number): number {
  return (u16(bytes, offset) | (u16(bytes, offset + 2) << 16)) >>> 0;
}

export function u64(bytes: Uint8Array, offset: number): bigint {
  return BigInt(u32(bytes, offset)) | (BigInt(u32(bytes, offset + 4)) << 32n);
}

/** `0x1f1`; negative numbers and fractions do not occur. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

export function hexBytes(bytes: Uint8Array): string {
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join(' ');
}

const UNPRINTABLE = /[^\x20-\x7e]/g;

/** A name out of a file may hold anything; what reaches a terminal is printable ASCII, the rest U+FFFD. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, '\ufffd');
}

/** One character a byte, so that indices into the text are offsets into the bytes. */
export function byteText(bytes: Uint8Array): string {
  return new TextDecoder('latin1').decode(bytes);
}

/** The string that starts at `offset`: up to its NUL, the end of `bytes`, or `limit` bytes. */
export function stringAt(bytes: Uint8Array, offset: number, limit: number): string {
  const field = bytes.subarray(offset, offset + limit);
  const nul = field.indexOf(0);
  return printable(byteText(nul < 0 ? field : field.subarray(0, nul)));
}
