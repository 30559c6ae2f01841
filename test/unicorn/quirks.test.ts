import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { QUIRKS } from '../../emulator/unicorn/quirks.ts';

describe('the list of quirks', () => {
  it('names each once', () => {
    expect(new Set(QUIRKS.map(quirk => quirk.id)).size).toBe(QUIRKS.length);
  });

  it.each(QUIRKS)('$id has a test that names it', quirk => {
    const file = new URL(quirk.test, import.meta.url);
    expect(existsSync(file)).toBe(true);
    expect(readFileSync(file, 'utf8')).toContain(`quirk ${quirk.id}`);
  });

  it('cannot be changed', () => {
    expect(Object.isFrozen(QUIRKS)).toBe(true);
    expect(QUIRKS.every(quirk => Object.isFrozen(quirk))).toBe(true);
  });
});
