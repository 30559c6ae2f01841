import { existsSync, readdirSync, readFileSync } from 'node:fs';
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

  it('has every quirk that a comment in the code refers to', () => {
    const folder = new URL('../../emulator/', import.meta.url);
    const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(name =>
      name.endsWith('.ts'),
    );
    const cited = sources.flatMap(name =>
      [...readFileSync(new URL(name, folder), 'utf8').matchAll(/quirk\s(?:\*\s)?`([a-z0-9.-]+)`/g)].map(
        m => m[1],
      ),
    );
    expect(cited.length).toBeGreaterThan(3);
    const known = QUIRKS.map(quirk => quirk.id as string);
    expect(cited.filter(id => id === undefined || !known.includes(id))).toEqual([]);
  });

  it('cannot be changed', () => {
    expect(Object.isFrozen(QUIRKS)).toBe(true);
    expect(QUIRKS.every(quirk => Object.isFrozen(quirk))).toBe(true);
  });
});
