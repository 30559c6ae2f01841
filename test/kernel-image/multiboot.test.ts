/** The Multiboot header: Multiboot Specification 0.6.96, 3.1. */
import { expect, test } from 'vitest';
import { readMultibootHeader } from '../../src/kernel-image/multiboot.ts';

const MAGIC = 0x1badb002;

function file(size: number, offset: number, words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  for (const [index, word] of words.entries()) view.setUint32(offset + index * 4, word >>> 0, true);
  return bytes;
}
const header = (flags: number, ...addresses: number[]): readonly number[] => [
  MAGIC,
  flags,
  -(MAGIC + flags),
  ...addresses,
];

test('is found at a multiple of 4 in the first 8192 bytes', () => {
  expect(readMultibootHeader(file(0x4000, 0x1ff4, header(3)))).toEqual({ offset: 0x1ff4, flags: 3 });
  expect(readMultibootHeader(file(0x4000, 0x1ff8, header(3)))).toBeUndefined();
  expect(readMultibootHeader(file(0x100, 0x12, header(3)))).toBeUndefined();
  expect(readMultibootHeader(file(12, 0, header(0)))).toEqual({ offset: 0, flags: 0 });
  expect(readMultibootHeader(new Uint8Array(0))).toBeUndefined();
});

test('needs its checksum', () => {
  expect(readMultibootHeader(file(0x100, 0, [MAGIC, 3, 0]))).toBeUndefined();
});

test('has addresses where bit 16 says so: load_addr is where the header minus its distance is', () => {
  // header_addr 0x200010, load_addr 0x200000: the load begins 0x10 before the header.
  const bytes = file(0x100, 0x20, header(0x10000, 0x200010, 0x200000, 0x200040, 0x200080, 0x200030));
  expect(readMultibootHeader(bytes)).toEqual({
    offset: 0x20,
    flags: 0x10000,
    addresses: { load: 0x200000, bssEnd: 0x200080, entry: 0x200030, contents: bytes.subarray(0x10, 0x50) },
  });
  // load_end_addr 0: to the end of the file.
  const toEnd = file(0x100, 0x20, header(0x10000, 0x200010, 0x200000, 0, 0, 0x200030));
  expect(readMultibootHeader(toEnd)?.addresses?.contents).toHaveLength(0xf0);
});

test('names bytes that are not in the file', () => {
  const before = file(0x100, 0, header(0x10000, 0x200010, 0x200000, 0x200040, 0, 0x200000));
  expect(readMultibootHeader(before)?.addresses).toEqual({ load: 0x200000, bssEnd: 0, entry: 0x200000 });
});
