import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EngineError } from '../../emulator/unicorn/errors.ts';
import { checkVersion } from '../../emulator/unicorn/libunicorn.ts';
import { loadUnicorn } from '../../emulator/unicorn/load.ts';
import { describeEachEngine } from '../support/engines.ts';

async function failure(action: () => unknown): Promise<EngineError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof EngineError) return error;
    throw error;
  }
  throw new Error('no error');
}

describe('choosing an engine', () => {
  it('loads the embedded engine by name, once', async () => {
    const library = await loadUnicorn({ engine: 'unicorn.js' });
    expect([library.name, library.version]).toEqual(['unicorn.js', '1.0.3']);
    expect(await loadUnicorn({ engine: 'unicorn.js' })).toBe(library);
  });

  it('a path that is not there is an error, also for auto', async () => {
    for (const engine of ['auto', 'libunicorn'] as const) {
      const error = await failure(() => loadUnicorn({ engine, libunicorn: '/no/such/libunicorn.so' }));
      expect(error.code).toBe('engine-not-found');
      expect(error.message).toContain('/no/such/libunicorn.so');
    }
  });

  it('a file that is not a library is an error', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'startup32-'));
    const file = join(folder, 'libunicorn.so');
    writeFileSync(file, 'text');
    const error = await failure(() => loadUnicorn({ libunicorn: file }));
    expect(error.code).toBe('engine-load-failed');
    rmSync(folder, { recursive: true });
  });

  it('quirk native-2.0-aborts: refuses anything before 2.1, with the reason', async () => {
    for (const [major, minor] of [
      [1, 0],
      [2, 0],
    ] as const) {
      const error = await failure(() => checkVersion(major, minor));
      expect(error.code).toBe('engine-too-old');
      expect(error.message).toContain(`libunicorn is ${major}.${minor}, expected 2.1 or later`);
      expect(error.message).toContain('libunicorn2t64');
    }
    expect(() => checkVersion(2, 1)).not.toThrow();
    expect(() => checkVersion(3, 0)).not.toThrow();
  });
});

describeEachEngine('guest memory', engine => {
  it('is zero, also when it was used before', async () => {
    const library = await engine.load();
    for (let i = 0; i < 8; i++) {
      const uc = library.open();
      const memory = library.allocate(0x1000 * (1 + (i % 3)));
      expect(memory.bytes().every(byte => byte === 0)).toBe(true);
      memory.bytes().fill(0xff);
      uc.map(0, memory.size, 7, memory, 0);
      uc.close();
      memory.free();
    }
  });

  it('is shared with the guest, also mapped twice', async () => {
    const library = await engine.load();
    const uc = library.open();
    const memory = library.allocate(0x3000);
    uc.map(0, 0x3000, 7, memory, 0);
    uc.map(0xc0000000, 0x1000, 7, memory, 0x2000);
    // mov eax,[0xc0000010]; inc eax; mov [0x20],eax
    memory.bytes().set([0xa1, 0x10, 0, 0, 0xc0, 0x40, 0xa3, 0x20, 0, 0, 0], 0x1000);
    memory.bytes()[0x2010] = 0x41;
    expect(uc.start(0x1000, 0x100b, 0)).toBe(0);
    expect(memory.bytes()[0x20]).toBe(0x42);
    uc.close();
    memory.free();
  });
});
