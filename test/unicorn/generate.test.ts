import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EngineError } from '../../emulator/unicorn/errors.ts';
import { PACKAGE_VERSION, transform } from '../../emulator/unicorn/generate.ts';

/** The three places that the generator looks for, and something around them. */
const START = 'var MUnicorn=(()=>{';
const HEAP = 'new ArrayBuffer(16973824)';
const END = '})(),ElfUInt=function(A){';
const SOURCE = `${START}return function(e){var r=${HEAP};return r}${END}return 1}(1),uc={};export{uc};`;

function failure(source: string, version = PACKAGE_VERSION): EngineError {
  try {
    transform(source, version);
  } catch (error) {
    if (error instanceof EngineError) return error;
    throw error;
  }
  throw new Error('transform did not fail');
}

describe('making the embedded engine', () => {
  it('keeps the factory alone, with a bigger heap', () => {
    const text = transform(SOURCE, PACKAGE_VERSION);
    expect(text).toContain(
      'export default (()=>{return function(e){var r=new ArrayBuffer(117440512);return r}})();',
    );
    expect(text).not.toContain('ElfUInt');
  });

  it('refuses another version of the package', () => {
    const error = failure(SOURCE, '1.1.1');
    expect(error.code).toBe('engine-generate-failed');
    expect(error.message).toBe('@specy/x86 is version 1.1.1, expected exactly 1.1.0.');
  });

  it.each([START, HEAP, END])('refuses a source without %s', marker => {
    const error = failure(SOURCE.replace(marker, ''));
    expect(error.code).toBe('engine-generate-failed');
    expect(error.message).toContain(`"${marker}" occurs 0 times`);
  });

  it.each([START, HEAP, END])('refuses a source with two of %s', marker => {
    expect(failure(SOURCE + marker).message).toContain(`"${marker}" occurs 2 times`);
  });

  it('makes a module that says where it is from, with the licence beside it', () => {
    const folder = new URL('../../emulator/unicorn/', import.meta.url);
    const text = readFileSync(new URL('unicorn-x86.generated.js', folder), 'utf8');
    expect(text.slice(0, 120)).toContain('@specy/x86@1.1.0');
    expect(readFileSync(new URL('unicorn-x86.LICENSE', folder), 'utf8')).toContain(
      'GNU GENERAL PUBLIC LICENSE',
    );
  });
});
