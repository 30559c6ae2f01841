import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flagRows, flagsAfterPop, poppedFlags, pushedFlags } from '../../emulator/flags.ts';

const IF = 0x200;
const IOPL3 = 0x3000;
const RESERVED = 0x2;

/** SDM vol. 2, POPF, protected mode. */
describe('POPF in protected mode', () => {
  it('loads IF and IOPL at CPL 0', () => {
    expect(flagsAfterPop(RESERVED | IF, IOPL3, 0, 32)).toBe(RESERVED | IOPL3);
  });

  it('keeps IF and IOPL at CPL 1 with IOPL 0', () => {
    expect(flagsAfterPop(RESERVED | IF, IOPL3, 1, 32)).toBe(RESERVED | IF);
  });

  it('loads IF but not IOPL at CPL 3 with IOPL 3', () => {
    expect(flagsAfterPop(RESERVED | IOPL3, IF, 3, 32)).toBe(RESERVED | IOPL3 | IF);
  });

  it('lets AC and ID change at any CPL', () => {
    expect(flagsAfterPop(RESERVED, 0x240000, 3, 32)).toBe(RESERVED | 0x240000);
  });

  it('leaves the upper word alone with a 16-bit operand', () => {
    expect(flagsAfterPop(RESERVED | 0x240000, 0x0001, 0, 16)).toBe(RESERVED | 0x240001);
  });

  it('clears RF, which IRET loads from its frame', () => {
    expect(flagsAfterPop(RESERVED, 0x10000, 0, 32, 'popf')).toBe(RESERVED);
    expect(flagsAfterPop(RESERVED, 0x10000, 0, 32, 'iret')).toBe(RESERVED | 0x10000);
  });

  it('never changes VM, VIF, VIP', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 0xffffffff }),
        fc.nat({ max: 0xffffffff }),
        fc.nat({ max: 3 }),
        (current, image, cpl) => {
          const result = flagsAfterPop(current, image, cpl, 32);
          expect(result & 0x1a0000).toBe(current & 0x1a0000);
        },
      ),
    );
  });
});

/** EFLAGS bits, SDM vol. 1, figure 3-8. */
const BITS = {
  CF: 0x1,
  PF: 0x4,
  AF: 0x10,
  ZF: 0x40,
  SF: 0x80,
  TF: 0x100,
  IF: 0x200,
  DF: 0x400,
  OF: 0x800,
  IOPL: 0x3000,
  NT: 0x4000,
  RF: 0x10000,
  VM: 0x20000,
  AC: 0x40000,
  VIF: 0x80000,
  VIP: 0x100000,
  ID: 0x200000,
} as const;
type Bit = keyof typeof BITS;

/** `S` takes the value on the stack, `0` is cleared, `N` is not changed. */
type Column = Readonly<Partial<Record<Bit, 'S' | '0' | 'N'>>>;

/**
 * SDM vol. 2, POPF, "Effect of POPF/POPFD on the EFLAGS Register", by its rows. The flags that every row takes
 * from the stack (OF DF TF NT SF ZF AF PF CF) are left out; ID and AC are left out where the operand size decides.
 */
const POPF_TABLE: readonly {
  readonly mode: 'protected' | 'vm86';
  readonly size: 16 | 32;
  readonly cpl: readonly number[];
  readonly iopl: (iopl: number, cpl: number) => boolean;
  readonly vme?: boolean;
  readonly flags: Column | '#GP';
}[] = [
  // Protected, CPL 0
  {
    mode: 'protected',
    size: 16,
    cpl: [0],
    iopl: () => true,
    flags: { IOPL: 'S', IF: 'S', RF: '0', ID: 'N', AC: 'N' },
  },
  {
    mode: 'protected',
    size: 32,
    cpl: [0],
    iopl: () => true,
    flags: { IOPL: 'S', IF: 'S', RF: '0', ID: 'S', AC: 'S' },
  },
  // Protected, CPL 1 to 3, CPL > IOPL
  {
    mode: 'protected',
    size: 16,
    cpl: [1, 2, 3],
    iopl: (iopl, cpl) => iopl < cpl,
    flags: { IOPL: 'N', IF: 'N', RF: '0', ID: 'N', AC: 'N' },
  },
  {
    mode: 'protected',
    size: 32,
    cpl: [1, 2, 3],
    iopl: (iopl, cpl) => iopl < cpl,
    flags: { IOPL: 'N', IF: 'N', RF: '0', ID: 'S', AC: 'S' },
  },
  // Protected, CPL 1 to 3, CPL <= IOPL
  {
    mode: 'protected',
    size: 16,
    cpl: [1, 2, 3],
    iopl: (iopl, cpl) => iopl >= cpl,
    flags: { IOPL: 'N', IF: 'S', RF: '0', ID: 'N', AC: 'N' },
  },
  {
    mode: 'protected',
    size: 32,
    cpl: [1, 2, 3],
    iopl: (iopl, cpl) => iopl >= cpl,
    flags: { IOPL: 'N', IF: 'S', RF: '0', ID: 'S', AC: 'S' },
  },
  // Virtual-8086, IOPL 3, whatever VME is
  {
    mode: 'vm86',
    size: 16,
    cpl: [3],
    iopl: i => i === 3,
    flags: { IOPL: 'N', IF: 'S', RF: '0', ID: 'N', AC: 'N' },
  },
  {
    mode: 'vm86',
    size: 32,
    cpl: [3],
    iopl: i => i === 3,
    flags: { IOPL: 'N', IF: 'S', RF: '0', ID: 'S', AC: 'S' },
  },
  // Virtual-8086, IOPL < 3: VME has rows of its own
  { mode: 'vm86', size: 16, cpl: [3], iopl: i => i < 3, vme: false, flags: '#GP' },
  { mode: 'vm86', size: 32, cpl: [3], iopl: i => i < 3, flags: '#GP' },
];

/** SDM vol. 2, IRET: what RETURN-TO-SAME-PRIVILEGE-LEVEL and RETURN-FROM-VIRTUAL-8086-MODE do otherwise than POPF. */
const irets = (flags: Column, size: 16 | 32, mode: 'protected' | 'vm86', cpl: number): Column => ({
  ...flags,
  ...(size === 32 && { RF: 'S' }),
  ...(size === 32 && mode === 'protected' && cpl === 0 && { VIF: 'S', VIP: 'S' }),
});

function expected(column: Column, current: number, requested: number): number {
  const stack = BITS.OF | BITS.DF | BITS.TF | BITS.NT | BITS.SF | BITS.ZF | BITS.AF | BITS.PF | BITS.CF;
  let result = current;
  const take = (mask: number): void => {
    result = (result & ~mask) | (requested & mask);
  };
  take(stack);
  for (const [bit, what] of Object.entries(column)) {
    if (what === 'S') take(BITS[bit as Bit]);
    if (what === '0') result &= ~BITS[bit as Bit];
  }
  return (result | RESERVED) >>> 0;
}

/** Each flag alone, all, none, and each but one: enough to tell every bit's source from every other's. */
const IMAGES = [0, 0xffffffff, ...Object.values(BITS), ...Object.values(BITS).map(bit => ~bit >>> 0)];
/** EFLAGS that a CPU can hold: reserved bits as they are, IOPL put in by the row. */
const CURRENT = [
  RESERVED,
  0x3f7fd7 & ~BITS.IOPL & ~BITS.VM,
  RESERVED | BITS.IF,
  RESERVED | BITS.VIP,
  RESERVED | BITS.VIF,
];

describe.each(['popf', 'iret'] as const)('%s by the tables of the SDM', instruction => {
  it.each(POPF_TABLE)('$mode, operand size $size, CPL $cpl: $flags', row => {
    let cases = 0;
    for (const cpl of row.cpl) {
      for (const level of [0, 1, 2, 3].filter(i => row.iopl(i, cpl))) {
        for (const vme of row.vme === undefined ? [false, true] : [row.vme]) {
          for (const base of CURRENT) {
            const current = (base | (level << 12) | (row.mode === 'vm86' ? BITS.VM : 0)) >>> 0;
            for (const requested of IMAGES) {
              const context = { cpl, operandSize: row.size, vm86: row.mode === 'vm86', vme };
              const outcome = poppedFlags(instruction, context, current, requested);
              if (row.flags === '#GP') {
                expect(outcome).toEqual({ kind: 'fault', vector: 13, errorCode: 0 });
              } else {
                const column = instruction === 'iret' ? irets(row.flags, row.size, row.mode, cpl) : row.flags;
                expect(outcome).toEqual({ kind: 'flags', value: expected(column, current, requested) });
              }
              cases++;
            }
          }
        }
      }
    }
    expect(cases).toBeGreaterThanOrEqual(2 * CURRENT.length * IMAGES.length);
  });

  /** SDM vol. 3, 20.3.3.5 and the VME rows of POPF's table in vol. 2. */
  it('with VME in virtual-8086 mode takes IF into VIF, and faults for TF and for IF with VIP', () => {
    for (const level of [0, 1, 2]) {
      for (const base of CURRENT) {
        const current = (base | (level << 12) | BITS.VM) >>> 0;
        for (const requested of IMAGES) {
          const context = { cpl: 3, operandSize: 16, vm86: true, vme: true } as const;
          const outcome = poppedFlags(instruction, context, current, requested);
          const asksFor = (mask: number): boolean => (requested & mask) !== 0;
          if (asksFor(BITS.TF) || (asksFor(BITS.IF) && (current & BITS.VIP) !== 0)) {
            expect(outcome).toEqual({ kind: 'fault', vector: 13, errorCode: 0 });
          } else {
            const column: Column = { IOPL: 'N', IF: 'N', RF: '0', ID: 'N', AC: 'N', VIP: 'N' };
            const kept = expected(column, current, requested);
            const value = (asksFor(BITS.IF) ? kept | BITS.VIF : kept & ~BITS.VIF) >>> 0;
            expect(outcome).toEqual({ kind: 'flags', value });
          }
        }
      }
    }
  });
});

/** SDM vol. 2, PUSHF, "Operation". */
describe('PUSHF', () => {
  const all = 0x3f7fd7;
  const protectedMode = { cpl: 1, vm86: false, vme: false } as const;

  it.each([0, 1, 2, 3])('at CPL %i shows the real IF and IOPL, and clears VM and RF', cpl => {
    expect(pushedFlags({ ...protectedMode, cpl, operandSize: 32 }, all)).toEqual({
      kind: 'flags',
      value: 0x3c7fd7,
    });
    expect(pushedFlags({ ...protectedMode, cpl, operandSize: 16 }, all)).toEqual({
      kind: 'flags',
      value: 0x7fd7,
    });
  });

  it('in virtual-8086 mode with IOPL 3 is the same', () => {
    const context = { cpl: 3, vm86: true, vme: false } as const;
    expect(pushedFlags({ ...context, operandSize: 32 }, all)).toEqual({ kind: 'flags', value: 0x3c7fd7 });
    expect(pushedFlags({ ...context, operandSize: 16 }, all)).toEqual({ kind: 'flags', value: 0x7fd7 });
  });

  it('in virtual-8086 mode with IOPL < 3 faults, but for 16 bits with VME: IOPL 3, and VIF for IF', () => {
    const fault = { kind: 'fault', vector: 13, errorCode: 0 };
    const vm86 = { cpl: 3, vm86: true } as const;
    for (const level of [0, 1, 2]) {
      const current = BITS.VM | BITS.IF | RESERVED | (level << 12);
      expect(pushedFlags({ ...vm86, vme: false, operandSize: 16 }, current)).toEqual(fault);
      expect(pushedFlags({ ...vm86, vme: false, operandSize: 32 }, current)).toEqual(fault);
      expect(pushedFlags({ ...vm86, vme: true, operandSize: 32 }, current)).toEqual(fault);
      const virtual = { ...vm86, vme: true, operandSize: 16 } as const;
      expect(pushedFlags(virtual, current)).toEqual({ kind: 'flags', value: 0x3002 });
      expect(pushedFlags(virtual, current | BITS.VIF)).toEqual({ kind: 'flags', value: 0x3202 });
    }
  });
});

describe('the table of flags', () => {
  it('has a row for what is asked to change and for what is not given', () => {
    // IF stays 1, IOPL stays 0, ZF changes as asked, and nothing is asked of the others.
    expect(flagRows(RESERVED | IF, RESERVED | IOPL3 | BITS.ZF, RESERVED | IF | BITS.ZF)).toEqual([
      { flag: 'ZF', before: 0, requested: 1, after: 1 },
      { flag: 'IF', before: 1, requested: 0, after: 1 },
      { flag: 'IOPL', before: 0, requested: 3, after: 0 },
    ]);
  });

  it('is empty when nothing is asked for', () => {
    expect(flagRows(0x202, 0x202, 0x202)).toEqual([]);
  });
});
