import { describe, expect, it } from 'vitest';
import {
  parseAddress,
  parseChoice,
  parseInstructions,
  parseNumber,
  parseSeconds,
  parseSize,
  parseTarget,
} from '../../src/cli/parse.ts';

describe('addresses and numbers', () => {
  it('are hex with 0x or decimal', () => {
    expect(parseAddress('0x100000')).toBe(0x100000);
    expect(parseAddress('1048576')).toBe(0x100000);
    expect(parseAddress('0xFFFFFFFF')).toBe(0xffffffff);
    expect(parseNumber('4')).toBe(4);
  });

  it.each(['', '-1', '0x', '100000h', '1e6', ' 1', '1 ', '0x1g', '1.5', '0b1', '4294967296', 'ten'])(
    'and "%s" is neither',
    text => {
      expect(() => parseAddress(text)).toThrow(`"${text}"; expected an address`);
      expect(() => parseNumber(text)).toThrow(`"${text}"; expected a number`);
    },
  );
});

describe('sizes', () => {
  it.each([
    ['4096', 4096],
    ['640K', 655360],
    ['64M', 67108864],
    ['64m', 67108864],
    ['1G', 1073741824],
    ['0x4000000', 67108864],
  ])('%s is %i bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each(['', 'M', '64MB', '64 M', '1.5G', '-64M', '5G', '1T'])('"%s" is refused', text => {
    expect(() => parseSize(text)).toThrow(`"${text}"; expected a size`);
  });
});

it('takes an instruction budget, or none', () => {
  expect(parseInstructions('1000')).toBe(1000);
  expect(parseInstructions('unlimited')).toBe(Number.POSITIVE_INFINITY);
  for (const text of ['0', '-5', 'infinity', '1k'])
    expect(() => parseInstructions(text)).toThrow(`"${text}"`);
});

it('takes seconds with a fraction, and gives milliseconds', () => {
  expect(parseSeconds('2')).toBe(2000);
  expect(parseSeconds('0.5')).toBe(500);
  for (const text of ['0', '0.0001', '-1', '1s', '', '99999999'])
    expect(() => parseSeconds(text)).toThrow(`"${text}"; expected a number of seconds`);
});

it('takes one of the words it knows, and suggests the nearest', () => {
  const paging = parseChoice({ off: 0, on: 1, pae: 2 });
  expect(paging('pae')).toBe(2);
  expect(() => paging('PAEE')).toThrow('"PAEE"; expected off, on, pae (did you mean pae?)');
  expect(() => paging('toString')).toThrow(/expected off, on, pae$/);
});

describe('the place of --until', () => {
  it('is an address, a symbol, or a symbol and an offset', () => {
    expect(parseTarget('0x100123')).toEqual({ text: '0x100123', offset: 0x100123 });
    expect(parseTarget('startup_32')).toEqual({ text: 'startup_32', symbol: 'startup_32', offset: 0 });
    expect(parseTarget('startup_32+0x40')).toEqual({
      text: 'startup_32+0x40',
      symbol: 'startup_32',
      offset: 0x40,
    });
    expect(parseTarget('.Lloop+8')).toMatchObject({ symbol: '.Lloop', offset: 8 });
  });

  it.each(['', '+0x40', 'a+', 'a-4', 'a b', '0x', '0x1ffffffff', 'a+0x1ffffffff', '12abc'])(
    '"%s" is none',
    text => {
      expect(() => parseTarget(text)).toThrow(`"${text}"`);
    },
  );
});
