import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { shellQuote } from '../../src/cli/quote.ts';

it('leaves plain words as they are', () => {
  expect(shellQuote('images/native/native.elf')).toBe('images/native/native.elf');
  expect(shellQuote('startup_32+0x40')).toBe('startup_32+0x40');
});

it('quotes what a shell would take apart', () => {
  expect(shellQuote('console=ttyS0 quiet')).toBe("'console=ttyS0 quiet'");
  expect(shellQuote("it's")).toBe("'it'\\''s'");
  expect(shellQuote('')).toBe("''");
});

it('writes control characters by their bytes, which do nothing to a terminal', () => {
  expect(shellQuote("a\u001b[31m'b\\")).toBe("$'a\\033[31m\\'b\\\\'");
  expect(shellQuote('\u0085')).toBe("$'\\302\\205'");
});

it('is read back by a shell as it was', () => {
  const word = fc.string({ unit: 'grapheme-ascii', maxLength: 20 });
  fc.assert(
    fc.property(fc.array(word, { maxLength: 30 }), words => {
      const script = `set -- ${words.map(shellQuote).join(' ')}; for w; do printf '%s\\0' "$w"; done`;
      const output = execFileSync('sh', ['-c', script], { encoding: 'utf8' });
      expect(output).toBe(words.map(w => `${w}\0`).join(''));
    }),
    { numRuns: 30, seed: 1 },
  );
});
