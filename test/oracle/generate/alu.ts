/** Straight-line integer code: the control group, in which nothing is sensitive. */
import type { OracleCase } from '../case.ts';
import { dword, OPERAND_SIZE, register } from './assemble.ts';
import { CaseBuilder, type Family } from './builder.ts';
import type { Draw } from './draw.ts';

/** Not ESP. */
const REGISTERS = [0, 1, 2, 3, 5, 6, 7];
const CF = 0x1;
const AF = 0x10;
const OF = 0x800;
const NOT_CARRY_OVERFLOW = 0xd4;
const CONDITIONS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf];

interface Instruction {
  readonly bytes: readonly number[];
  /** Flags that it leaves undefined, and that it defines. */
  readonly undefines?: number;
  readonly defines?: number;
  /** Reads flags. */
  readonly reads?: number;
}

const ALL = 0x8d5;

function instruction(draw: Draw): Instruction {
  const to = draw.pick(REGISTERS);
  const from = draw.pick(REGISTERS);
  const modrm = register(from, to);
  switch (draw.int(0, 15)) {
    case 0:
    case 1: {
      // add adc sbb sub cmp
      const operation = draw.pick([0, 2, 3, 5, 7]);
      return {
        bytes: [(operation << 3) | draw.pick([0, 1, 2, 3]), modrm],
        defines: ALL,
        reads: operation === 2 || operation === 3 ? CF : 0,
      };
    }
    case 2:
      // or and xor: AF is undefined
      return { bytes: [(draw.pick([1, 4, 6]) << 3) | 1, modrm], defines: ALL & ~AF, undefines: AF };
    case 3:
      return { bytes: [0x85, modrm], defines: ALL & ~AF, undefines: AF };
    case 4:
      return { bytes: [(draw.chance(50) ? 0x40 : 0x48) | to], defines: ALL & ~CF };
    case 5:
      return draw.chance(50)
        ? { bytes: [0xf7, register(3, to)], defines: ALL }
        : { bytes: [0xf7, register(2, to)] };
    case 6: {
      // shl shr sar by an immediate: OF is defined for one only
      const count = draw.int(1, 31);
      return {
        bytes: [0xc1, register(draw.pick([4, 5, 7]), to), count],
        defines: (ALL & ~AF & ~OF) | (count === 1 ? OF : 0),
        undefines: AF | (count === 1 ? 0 : OF),
      };
    }
    case 7: {
      const count = draw.int(1, 31);
      return {
        bytes: [0xc1, register(draw.pick([0, 1]), to), count],
        defines: CF,
        undefines: count === 1 ? 0 : OF,
      };
    }
    case 8:
      // mul imul: only CF and OF are defined
      return {
        bytes: [0xf7, register(draw.pick([4, 5]), to)],
        defines: CF | OF,
        undefines: NOT_CARRY_OVERFLOW,
      };
    case 9:
      return { bytes: [0x8d, 0x40 | (to << 3) | 3, draw.int(0, 127)] };
    case 10:
      return { bytes: [0x87, modrm] };
    case 11:
      return { bytes: [0x0f, 0x90 | draw.pick(CONDITIONS), register(0, draw.int(0, 3))], reads: ALL };
    case 12:
      return { bytes: [0x0f, 0x40 | draw.pick(CONDITIONS), register(to, from)], reads: ALL };
    case 13:
      return { bytes: [0x0f, 0xc8 | to] };
    case 14:
      return { bytes: [0x81, register(draw.pick([0, 5, 7]), to), ...dword(draw.dword())], defines: ALL };
    default:
      return { bytes: [0x0f, draw.pick([0xb6, 0xb7, 0xbe, 0xbf]), register(to, draw.int(0, 3))] };
  }
}

/** Jcc over a few bytes, taken or not. */
function straightLine(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'control/integer');
  b.registers.ebx = draw.dword();
  b.registers.ebp = draw.dword();
  let unknown = 0;
  const count = draw.int(1, 12);
  for (let i = 0; i < count; i++) {
    const { bytes, defines = 0, undefines = 0, reads = 0 } = instruction(draw);
    // A flag that may be anything decides nothing.
    if ((reads & unknown) !== 0) continue;
    const short =
      bytes[0] !== 0x81 &&
      bytes[0] !== 0xc1 &&
      !(bytes[0] === 0x0f && ((bytes[1] ?? 0) & 0xf8) === 0xc8) &&
      draw.chance(15);
    if (short) b.emit(OPERAND_SIZE);
    b.emit(...bytes);
    unknown = (unknown & ~defines) | undefines;
    if (unknown === 0 && draw.chance(15)) b.emit(0x70 | draw.pick(CONDITIONS), 1, 0x42);
  }
  b.undefinedFlags = unknown;
  return b.end();
}

/** DIV and IDIV: #DE, or a quotient; all flags are undefined. */
function divide(draw: Draw): OracleCase {
  const b = new CaseBuilder(draw, 'control/divide');
  b.undefinedFlags = ALL;
  b.registers.edx = draw.pick([0, 0, 1, 0xffffffff, draw.dword()]);
  b.registers.ecx = draw.pick([0, 1, 2, 0xffffffff, draw.dword()]);
  b.emit(draw.chance(70) ? 0xf7 : 0xf6, register(draw.pick([6, 7]), 1));
  return b.end();
}

/** AAM by zero, BOUND, INTO, LOCK where it may not be, too long, undefined. */
function odd(draw: Draw): OracleCase {
  const [topic, bytes, undefines] = draw.pick([
    ['control/aam', [0xd4, draw.pick([0, 1, 10])], 0x811],
    ['control/lock', [0xf0, 0x90], 0],
    ['control/lock', [0xf0, 0x01, 0xd0], 0],
    ['control/lock', [0xf0, 0x8b, 0x13], 0],
    ['control/too-long', [...Array.from({ length: 15 }, () => 0x66), 0x90], 0],
    ['control/too-long', [...Array.from({ length: 14 }, () => 0x3e), 0x90], 0],
    ['control/undefined', [0x0f, 0xff], 0],
    ['control/undefined', [0xff, 0xf8], 0],
    ['control/undefined', [0xfe, 0xd0], 0],
    ['control/undefined', [0x8f, 0xc8], 0],
    ['control/undefined', [0xc6, 0xf0], 0],
    ['control/undefined', [0x0f, 0xb9, 0xc0], 0],
    ['control/undefined', [0xd6], 0],
  ] as const);
  const b = new CaseBuilder(draw, topic);
  b.undefinedFlags = undefines;
  return b.emit(...bytes).end();
}

export const alu: Family = {
  name: 'alu',
  weight: 8,
  build: draw => draw.pick([straightLine, straightLine, straightLine, divide, odd])(draw),
};
