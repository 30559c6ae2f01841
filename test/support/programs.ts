/** Arbitrary small programs for `guestEntry`: harmless and sensitive instructions with arbitrary operands. */
import fc from 'fast-check';
import { CODE, DATA, GDT, HOLE, MEMORY, ROM } from './guest.ts';

type Bytes = readonly number[];

const dword = (value: number): number[] =>
  [value, value >>> 8, value >>> 16, value >>> 24].map(b => b & 0xff);
const byte = fc.nat(0xff);
/** EAX ECX EDX EBX EBP ESI EDI: never ESP. */
const register = fc.constantFrom(0, 1, 2, 3, 5, 6, 7);
const immediate = fc.oneof(fc.nat(0x10000), fc.nat(0xffffffff));
const address = fc.oneof(
  { weight: 12, arbitrary: fc.nat(0x1100).map(n => DATA + n) },
  { weight: 2, arbitrary: fc.nat(0x60).map(n => CODE + n) },
  { weight: 1, arbitrary: fc.nat(63).map(n => ROM + n) },
  { weight: 1, arbitrary: fc.nat(47).map(n => GDT + n) },
  { weight: 1, arbitrary: fc.nat(3).map(n => MEMORY - n) },
  { weight: 1, arbitrary: fc.constant(HOLE) },
);

const fixed = (...codes: readonly Bytes[]): fc.Arbitrary<Bytes> => fc.constantFrom(...codes);
/** opcode + register */
const plus = (...opcodes: readonly number[]): fc.Arbitrary<Bytes> =>
  fc.tuple(fc.constantFrom(...opcodes), register).map(([opcode, r]) => [opcode + r]);
/** opcode, ModRM of two registers */
const pair = (...opcodes: readonly Bytes[]): fc.Arbitrary<Bytes> =>
  fc
    .tuple(fc.constantFrom(...opcodes), register, register)
    .map(([opcode, a, b]) => [...opcode, 0xc0 | (a << 3) | b]);
/** opcode, ModRM of a register and an address */
const memory = (...opcodes: readonly Bytes[]): fc.Arbitrary<Bytes> =>
  fc
    .tuple(fc.constantFrom(...opcodes), register, address)
    .map(([opcode, r, at]) => [...opcode, 0x05 | (r << 3), ...dword(at)]);
/** opcode, address */
const absolute = (...opcodes: readonly Bytes[]): fc.Arbitrary<Bytes> =>
  fc.tuple(fc.constantFrom(...opcodes), address).map(([opcode, at]) => [...opcode, ...dword(at)]);
/** opcode, ModRM with a fixed middle field and a register */
const group = (opcode: Bytes, ...fields: readonly number[]): fc.Arbitrary<Bytes> =>
  fc.tuple(fc.constantFrom(...fields), register).map(([field, r]) => [...opcode, 0xc0 | (field << 3) | r]);
const then = (first: fc.Arbitrary<Bytes>, second: fc.Arbitrary<Bytes>): fc.Arbitrary<Bytes> =>
  fc.tuple(first, second).map(([a, b]) => [...a, ...b]);
const single = byte.map(b => [b]);

/** No flag is read that an instruction leaves undefined in one way or another: no BT, no shift by a variable count. */
const HARMLESS = [
  fc.tuple(register, immediate).map(([r, value]) => [0xb8 + r, ...dword(value)]),
  plus(0x40, 0x48, 0x50, 0x58),
  pair([0x01], [0x29], [0x11], [0x19], [0x21], [0x09], [0x31], [0x39], [0x85], [0x87], [0x0f, 0xaf]),
  then(group([0x83], 0, 1, 2, 3, 4, 5, 6, 7), single),
  then(group([0xc1], 0, 1, 2, 3, 4, 5, 7), single),
  group([0xf7], 2, 3, 4, 5),
  fixed([0x9c], [0xfc], [0xf8], [0xf9], [0xf5], [0x98], [0x99], [0x9e], [0x9f], [0x60], [0xc3]),
  absolute([0xa3], [0xa1], [0xa2], [0xbe], [0xbf], [0xff, 0x35]),
  memory([0x01], [0x03], [0x11], [0x39], [0xf0, 0x0f, 0xc1]),
  then(absolute([0xc6, 0x05]), single),
  fc.tuple(fc.nat(15), fc.nat(15)).map(([condition, by]) => [0x70 + condition, by]),
  fc
    .tuple(fc.nat(15), fc.integer({ min: 1, max: 24 }))
    .map(([condition, by]) => [0x70 + condition, 256 - by]),
  fc.nat(8).map(by => [0xeb, by]),
  fc.nat(16).map(by => [0xe2, 254 - by]),
  fc.nat(12).map(by => [0xe8, ...dword(by)]),
  fc
    .tuple(fc.integer({ min: 1, max: 40 }), fc.constantFrom(0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xa6, 0xae))
    .map(([count, string]) => [0xb9, ...dword(count), 0xf3, string]),
  fixed([0xa4], [0xa5], [0xaa], [0xab], [0xac], [0xad], [0xa6], [0xae]),
  fc.tuple(fc.nat(15), register, register).map(([c, a, b]) => [0x0f, 0x40 + c, 0xc0 | (a << 3) | b]),
  fc.tuple(fc.nat(15), fc.nat(7)).map(([condition, r]) => [0x0f, 0x90 + condition, 0xc0 | r]),
];

const SENSITIVE = [
  fixed(
    [0x0f, 0xa2],
    [0x0f, 0x31],
    [0x9d],
    [0xfa],
    [0xfb],
    [0xec],
    [0x0f, 0x0b],
    [0xf4],
    [0x0f, 0x08],
    [0x0f, 0x09],
  ),
  fixed([0x66, 0xba, 0xf8, 0x03, 0xee], [0xb9, 0x10, 0, 0, 0, 0x0f, 0x32], [0xb9, 0x10, 0, 0, 0, 0x0f, 0x30]),
  group([0x0f, 0xc7], 6, 7),
  group([0x8e], 0, 2, 3, 4, 5),
  group([0x8c], 0, 1, 2, 3, 4, 5),
  fc
    .tuple(fc.nat(47), fc.constantFrom(0xc0, 0xd0, 0xd8, 0xe0, 0xe8))
    .map(([selector, to]) => [0xb8, ...dword(selector), 0x8e, to]),
  absolute([0x65, 0xa1], [0x64, 0xa3]),
  memory([0x64, 0x89], [0x36, 0x8b]),
  then(fixed([0xe4], [0xe6], [0xcd]), single),
  group([0x0f, 0x01], 4),
  group([0x0f, 0x00], 0, 1, 4, 5),
  fixed([0x66, 0x9c], [0x66, 0x9d], [0x0e], [0x16], [0x1e], [0x0f, 0xa0], [0x1f], [0x66, 0x07]),
  absolute([0x0f, 0x01, 0x05], [0x0f, 0x01, 0x0d], [0x0f, 0x01, 0x25]),
  pair([0x0f, 0x02], [0x0f, 0x03]),
  fc.tuple(register).map(([r]) => [0x0f, 0x20, 0xc0 | r]),
  group([0xf7], 6, 7),
  fc.nat(0x40).map(to => [0xea, ...dword(CODE + to), 8, 0]),
];

export const program: fc.Arbitrary<Uint8Array> = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.oneof(...HARMLESS) },
      { weight: 1, arbitrary: fc.oneof(...SENSITIVE) },
    ),
    {
      minLength: 4,
      maxLength: 24,
    },
  )
  .map(instructions => Uint8Array.from(instructions.flat()));
