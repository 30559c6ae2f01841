/** Numbers as the report writes them: lower-case hex, `0x` in prose and JSON, none in dumps. */

const digits = (value: number, width: number): string => (value >>> 0).toString(16).padStart(width, '0');

/** Two digits, e.g. `0x0d`. */
export const hex8 = (value: number): string => `0x${digits(value, 2)}`;
/** Four digits, e.g. `0x0061`: selectors, ports and error codes. */
export const hex16 = (value: number): string => `0x${digits(value, 4)}`;
/** Eight digits, e.g. `0x00100001`: addresses and register values. */
export const hex32 = (value: number): string => `0x${digits(value, 8)}`;
/** Without leading zeros, e.g. `0x1`: offsets and sizes in prose. */
export const hexShort = (value: number): string => `0x${digits(value, 1)}`;
/** Sixteen digits. */
export const hex64 = (value: bigint): string => `0x${value.toString(16).padStart(16, '0')}`;

/** Bytes as objdump writes them: `0f 01 15`. */
export const hexBytes = (bytes: Uint8Array): string => Array.from(bytes, byte => digits(byte, 2)).join(' ');

/** The digits of a JSON hex string without its `0x`, as dumps show them. */
export const bare = (hex: string): string => hex.slice(2);

/** `1 byte`, `7 bytes`, `1 instruction`. */
export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;
