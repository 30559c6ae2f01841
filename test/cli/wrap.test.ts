/** `startup32 wrap` in this process: what it writes, and what it refuses. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { main } from '../../src/cli/main.ts';

const XEN_HELLO = 'images/xen-hello/xen-hello.elf';
const folder = mkdtempSync(join(tmpdir(), 'startup32-wrap-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));
const output = join(folder, 'bzImage');

async function startup32(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  let [stdout, stderr] = ['', ''];
  const code = await main(argv, {
    stdout: { write: chunk => (stdout += chunk) },
    stderr: { write: chunk => (stderr += chunk) },
    color: false,
  });
  return { code, stdout, stderr };
}

describe('wrap', () => {
  it('writes a bzImage and says nothing', async () => {
    expect(await startup32('wrap', XEN_HELLO, '-o', output)).toEqual({ code: 0, stdout: '', stderr: '' });
    const image = readFileSync(output);
    expect(image.toString('latin1', 0x202, 0x206)).toBe('HdrS');
    expect([...image.subarray(0, 2)]).toEqual([0xeb, 0x45]);
  });

  it('that is interrupted writes nothing, and ends in 130', async () => {
    const none = join(folder, 'none');
    const code = await main(['wrap', XEN_HELLO, '-o', none], {
      stdout: { write: () => {} },
      stderr: { write: () => {} },
      color: false,
      signal: AbortSignal.abort(),
    });
    expect([code, existsSync(none)]).toEqual([130, false]);
  });

  it('writes over a file that is there, as cp does', async () => {
    writeFileSync(output, 'something else');
    expect((await startup32('wrap', XEN_HELLO, '-o', output, '--compress', 'none')).code).toBe(0);
    expect(readFileSync(output).includes(readFileSync(XEN_HELLO))).toBe(true);
  });

  it('makes an image whose ELF header in front and notes inspect shows', async () => {
    await startup32('wrap', XEN_HELLO, '-o', output, '--elf-header', '--notes', 'keep');
    const { stdout } = await startup32('inspect', output);
    expect(stdout).toMatch(/: bzImage, boot protocol 2\.10, 32-bit kernel, /);
    expect(stdout).toContain('\nELF header in front: ET_EXEC, e_entry 0x00100000\n');
    expect(stdout).toMatch(/^ {2}NOTE +0x1000 /m);
    expect(stdout).toMatch(/XEN_ELFNOTE_ENTRY +0xc0100004$/m);
    const { stdout: json } = await startup32('inspect', output, '--format', 'json');
    expect(JSON.parse(json).bzimage.frontElf).toMatchObject({
      type: 'ET_EXEC',
      entry: '0x00100000',
      magic: 'ELF',
      programHeaders: [
        { type: 'LOAD', offset: '0x2000' },
        { type: 'NOTE', offset: '0x1000' },
      ],
    });
  });

  it('says of a changed magic that it is changed', async () => {
    await startup32('wrap', XEN_HELLO, '-o', output, '--munge-magic');
    const { stdout } = await startup32('inspect', output);
    expect(stdout).toContain('\nELF header in front: ET_EXEC, e_entry 0x00100000, with a changed magic\n');
  });

  it('takes a payload that is compressed already', async () => {
    const payload = join(folder, 'kernel.gz');
    const gzip = gzipSync(readFileSync(XEN_HELLO));
    writeFileSync(payload, gzip);
    expect((await startup32('wrap', XEN_HELLO, '-o', output, '--payload', payload)).code).toBe(0);
    expect(readFileSync(output).includes(gzip)).toBe(true);
  });
});

describe('wrap refuses', () => {
  const refused = join(folder, 'refused');

  it.each([
    ['no output', [XEN_HELLO], 2, 'missing-output: -o is missing; expected the name of the bzImage to write'],
    [
      'two ways to compress',
      [XEN_HELLO, '-o', refused, '--compress', 'gzip', '--payload', XEN_HELLO],
      2,
      'bad-value: --compress and --payload are both given; expected one of them, because --payload names a file that is compressed already',
    ],
    [
      'notes without a place for them',
      [XEN_HELLO, '-o', refused, '--notes', 'keep'],
      2,
      'bad-value: --notes keep needs --elf-header or --munge-magic: notes are found by the program headers of an ELF header',
    ],
    [
      'a codec that the stub has not',
      [XEN_HELLO, '-o', refused, '--compress', 'xz'],
      2,
      'bad-value: --compress is "xz"; expected none, gzip',
    ],
    [
      'a file that is not there',
      ['missing.elf', '-o', refused],
      3,
      'unreadable-file: missing.elf: there is no such file',
    ],
    [
      'a payload that is not there',
      [XEN_HELLO, '-o', refused, '--payload', 'missing.xz'],
      2,
      'unreadable-payload: --payload names missing.xz: there is no such file',
    ],
    [
      'a bzImage',
      ['images/bzimage/bzimage.bin', '-o', refused],
      3,
      'not-an-elf: images/bzimage/bzimage.bin: is a bzImage already; expected an ELF file',
    ],
  ] as const)('%s', async (_name, argv, code, message) => {
    const result = await startup32('wrap', ...argv);
    expect(result).toEqual({ code, stdout: '', stderr: `startup32: ${message}\n` });
    expect(existsSync(refused)).toBe(false);
  });

  it('an output that cannot be written', async () => {
    const result = await startup32('wrap', XEN_HELLO, '-o', folder);
    expect(result).toEqual({
      code: 2,
      stdout: '',
      stderr: `startup32: unwritable-output: -o names ${folder}, which cannot be written (EISDIR)\n`,
    });
  });
});
