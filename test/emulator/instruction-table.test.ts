import { describe, expect, it } from 'vitest';
import { unmatchedPatterns } from '../../emulator/decode/sensitivity.ts';

describe('the table of sensitive instructions', () => {
  it('names only opcodes that the decoder has', () => {
    expect(unmatchedPatterns()).toEqual([]);
  });
});
