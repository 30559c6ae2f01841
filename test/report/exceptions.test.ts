/** Intel SDM vol. 3, table 6-1 and figures 6-7 and 4-12. */
import { expect, it } from 'vitest';
import { exceptionName } from '../../boot-protocols/exceptions.ts';
import { errorCodeMeaning, exceptionTitle } from '../../src/report/exceptions.ts';

it.each([
  [0, '#DE'],
  [1, '#DB'],
  [3, '#BP'],
  [6, '#UD'],
  [7, '#NM'],
  [8, '#DF'],
  [10, '#TS'],
  [11, '#NP'],
  [12, '#SS'],
  [13, '#GP'],
  [14, '#PF'],
  [16, '#MF'],
  [17, '#AC'],
  [18, '#MC'],
  [19, '#XM'],
])('vector %i is %s', (vector, mnemonic) => {
  expect(exceptionName(vector).mnemonic).toBe(mnemonic);
});

it('writes an error code only for a vector that has one', () => {
  expect(exceptionTitle({ vector: 13, errorCode: 0 })).toBe('#GP(0)');
  expect(exceptionTitle({ vector: 13, errorCode: 0x18 })).toBe('#GP(0x18)');
  expect(exceptionTitle({ vector: 6 })).toBe('#UD');
});

it('names the table, index and EXT of a selector error code', () => {
  // 0x402 = index 0x80, IDT bit: int $0x80 through a gate with too small a DPL.
  expect(errorCodeMeaning({ vector: 13, errorCode: 0x402 })).toBe('error code 0x0402: IDT entry 0x80');
  expect(errorCodeMeaning({ vector: 11, errorCode: 0x0d })).toBe(
    'error code 0x000d: LDT entry 0x1, external event',
  );
  expect(errorCodeMeaning({ vector: 13, errorCode: 0 })).toBeUndefined();
});

it('names the bits of a page-fault error code', () => {
  expect(errorCodeMeaning({ vector: 14, errorCode: 0 })).toBe(
    'error code 0x0000: page not present (P=0), read (W/R=0), supervisor mode (U/S=0)',
  );
  expect(errorCodeMeaning({ vector: 14, errorCode: 7 })).toBe(
    'error code 0x0007: page present (P=1), write (W/R=1), user mode (U/S=1)',
  );
  expect(errorCodeMeaning({ vector: 14, errorCode: 0x19 })).toContain('instruction fetch (I/D=1)');
  expect(errorCodeMeaning({ vector: 14, errorCode: 0x19 })).toContain('reserved bit set (RSVD=1)');
});
