import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flagsAfterPop } from '../../emulator/flags.ts';

const IF = 0x200;
const IOPL3 = 0x3000;
const RESERVED = 0x2;

/** SDM vol. 2, POPF, table 4-16, protected mode. */
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
