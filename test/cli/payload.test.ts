/** `--payload`: the kernel proper out of a bzImage, in a run and in inspect. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { buildBzImage } from '../support/bzimage-builder.ts';

const NATIVE = 'images/native/native.elf';

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function startup32(...argv: string[]): Promise<Result> {
  let stdout = '';
  let stderr = '';
  const code = await main(argv, {
    stdout: { write: chunk => (stdout += String(chunk)) },
    stderr: { write: chunk => (stderr += String(chunk)) },
    color: false,
  });
  return { code, stdout, stderr };
}

const run = (...argv: string[]): Promise<Result> => startup32('run', '--engine', 'unicorn.js', ...argv);

const native = readFileSync(NATIVE);
const payload = gzipSync(native);
const file = buildBzImage({
  code: payload,
  fields: [
    [0x24c, 4, payload.length],
    [0x258, 8, 0x100000],
  ],
});

let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'startup32-payload-'));
  path = join(folder, 'vmlinuz');
  writeFileSync(path, file);
  vi.stubEnv('XDG_CACHE_HOME', join(folder, 'cache'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const cached = (): readonly string[] => {
  const entries = join(folder, 'cache', 'startup32', 'payloads');
  return existsSync(entries) ? readdirSync(entries) : [];
};

describe('run --payload', () => {
  it('starts the kernel inside as it starts that ELF file', async () => {
    const { code, stdout, stderr } = await run(path, '--as', 'lguest', '--payload');
    const bare = await run(NATIVE, '--as', 'lguest');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.split('\n').slice(0, 12)).toEqual(bare.stdout.split('\n').slice(0, 12));
    expect(stdout).toMatch(/^repeat .* --payload( |$)/m);
  });

  it('keeps what it has decoded, and with --no-cache does not', async () => {
    await run(path, '--as', 'lguest', '--payload', '--no-cache');
    expect(cached()).toEqual([]);
    const first = await run(path, '--as', 'lguest', '--payload');
    expect(cached()).toEqual([expect.stringMatching(/^[0-9a-f]{64}\.payload$/)]);
    expect(await run(path, '--as', 'lguest', '--payload')).toEqual(first);
  });

  it('refuses a payload of more than --memory', async () => {
    writeFileSync(path, buildBzImage({ code: bomb(), fields: [[0x24c, 4, bomb().length]] }));
    const { code, stderr } = await run(path, '--as', 'lguest', '--payload', '--memory', '16M');
    expect(code).toBe(3);
    expect(stderr).toMatch(
      /^startup32: payload-too-big: .* decodes to 0x2000000 bytes; expected at most 0x1000000\nstartup32: .* --memory .*$/m,
    );
  });

  it('says where a payload is corrupt', async () => {
    const bytes = file.slice();
    bytes[1024 + 20] = (bytes[1024 + 20] ?? 0) ^ 0xff;
    writeFileSync(path, bytes);
    const { code, stderr } = await run(path, '--as', 'lguest', '--payload');
    expect(code).toBe(3);
    expect(stderr).toMatch(
      /^startup32: corrupt-payload: .*: the gzip payload at offset 0x400 is corrupt at offset 0x[0-9a-f]+: .*; expected /m,
    );
    expect(cached()).toEqual([]);
  });

  it('ends in 130 when it is interrupted meanwhile', async () => {
    let stderr = '';
    const code = await main(['run', path, '--as', 'lguest', '--payload', '--no-cache'], {
      stdout: { write: () => {} },
      stderr: { write: chunk => (stderr += String(chunk)) },
      color: false,
      signal: AbortSignal.abort(),
    });
    expect([code, stderr]).toEqual([130, 'startup32: interrupted: ended by Ctrl-C before it was done\n']);
  });

  it.each(['xen', 'pvh'])('of %s, which unpacks by itself, a failure says who starts the rest', async as => {
    writeFileSync(path, buildBzImage());
    const { code, stderr } = await run(path, '--as', as);
    expect(code).toBe(3);
    expect(stderr).toMatch(
      /^startup32: no-payload: .*\nstartup32: it can be started as: pc, kexec, lguest, [a-z0-9, -]*contract\n$/,
    );
  });

  it('refuses an ELF file', async () => {
    const { code, stderr } = await run(NATIVE, '--as', 'lguest', '--payload');
    expect(code).toBe(2);
    expect(stderr).toMatch(/no-payload/);
  });
});

const zeros = (mebibytes: number): Uint8Array => gzipSync(new Uint8Array(mebibytes << 20));
const bomb = (): Uint8Array => zeros(32);

describe('inspect', () => {
  it('does not unpack to find out who could start the kernel proper', async () => {
    const { stdout } = await startup32('inspect', path);
    expect(stdout).toMatch(/^ {2}xen +\? +.*\n? +.*\(not-unpacked\)$/m);
    expect(cached()).toEqual([]);
  });

  it('takes a kernel proper of more than the memory that a run has by default', async () => {
    const large = zeros(96);
    writeFileSync(path, buildBzImage({ code: large, fields: [[0x24c, 4, large.length]] }));
    expect((await startup32('inspect', path, '--payload')).stderr).toMatch(/^startup32: payload-not-elf: /);
  });

  it('has no line of more than 100 columns but for a word that is longer', async () => {
    const long = join(folder, 'x'.repeat(70));
    writeFileSync(long, file);
    const { stdout } = await startup32('inspect', long);
    const over = stdout.split('\n').filter(line => line.length > 100);
    expect(over.filter(line => line.trim().includes(' '))).toEqual([]);
  });

  it('says which payload, where, how it was found, and what it decodes to', async () => {
    const { stdout } = await startup32('inspect', path);
    expect(stdout).toContain(
      `payload gzip, ${payload.length} bytes at file offset 0x400 (found by payload_offset), decodes to ${native.length} bytes\n`,
    );
    const report = JSON.parse((await startup32('inspect', path, '--format', 'json')).stdout);
    expect(report.bzimage.payload).toEqual({
      format: 'gzip',
      offset: '0x400',
      length: payload.length,
      found: 'header',
      decodedSize: native.length,
    });
  });

  it('with --payload shows the kernel proper, and what it came out of', async () => {
    const { stdout } = await startup32('inspect', path, '--payload');
    expect(stdout).toMatch(/^.*vmlinuz \(kernel proper\): ELF32 i386 ET_EXEC/);
    expect(stdout).toContain(
      `kernel proper out of the gzip payload of a bzImage: boot protocol 2.15, ${file.length} bytes\n`,
    );
    expect(stdout).toContain('no relocation list: not relocatable\n');
    const report = JSON.parse((await startup32('inspect', path, '--payload', '--format', 'json')).stdout);
    expect(report).toMatchObject({
      format: 'elf',
      size: native.length,
      container: { protocolVersion: '2.15', size: file.length, payload: 'gzip' },
    });
  });
});
