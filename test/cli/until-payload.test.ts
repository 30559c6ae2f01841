/** `--until payload`: the stub's hand-over to the kernel proper. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { main } from '../../src/cli/main.ts';
import { stopJsonSchema } from '../../src/report/schema/build.ts';
import type { StopReport } from '../../src/report/stop/report.ts';
import { wrapKernel } from '../../src/wrap/wrap.ts';
import { buildElf } from '../support/elf-builder.ts';
import { describeEachEngine } from '../support/engines.ts';

/** images/paravirt inside: not compressed, and placed at 0x100000, over the stub's own first instructions. */
const BZIMAGE = 'images/bzimage/bzimage.bin';

/** A bzImage around a kernel of these bytes, which is linked at 2 MiB. */
const wrapped = (contents: Uint8Array): Promise<Uint8Array> =>
  wrapKernel(buildElf({ entry: 0x200000, segments: [{ physical: 0x200000, contents }] }));

async function run(...argv: string[]) {
  let stdout = '';
  let stderr = '';
  const code = await main(['run', ...argv], {
    stdout: { write: chunk => (stdout += String(chunk)) },
    stderr: { write: chunk => (stderr += String(chunk)) },
    color: false,
  });
  return { code, stdout, stderr };
}

describeEachEngine('run --until payload', ({ name }) => {
  it('stops at the first instruction of the kernel proper, and shows what changed on the way', async () => {
    const { code, stdout } = await run(BZIMAGE, '--as', 'pc', '--until', 'payload', '--engine', name);
    expect(code).toBe(0);
    expect(stdout.split('\n')[0]).toBe(
      'reached at startup_32 (0x00100000): cmpw $0x207,0x206(%esi) is next; nothing trapped before',
    );
    expect(stdout).toContain('hand-over the kernel proper begins at 0x00100000, where it is linked for\n');
    expect(stdout).toMatch(/^ {3}ESI {5}0x00010000 +the same$/m);
    // The stub takes a stack of its own: stack_end of bzimage.S, at the end of init_size.
    expect(stdout).toMatch(/^ {3}ESP {5}0xdead0004, not promised +0x00110000$/m);
    expect(stdout).toMatch(/^ {3}CS {6}0x0010 00000000 ffffffff 00cf9b00 +the same$/m);
    // boot.rst, "32-bit boot protocol": interrupts off, paging off, protected mode, a GDT somewhere, and no word of the rest.
    expect(stdout).toMatch(/^ {3}EFLAGS {2}0x00000046, IF=0 DF=0 IOPL=0, promised IF +the same$/m);
    expect(stdout).toMatch(/^ {3}GDTR {4}0x[0-9a-f]{8}, limit 0x27, not promised +the same$/m);
    expect(stdout).toMatch(/^ {3}IDTR {4}0x00000000, limit 0x0, not promised +the same$/m);
    expect(stdout).toMatch(/^ {3}paging {2}off +the same$/m);
    expect(stdout).toMatch(/^ {3}CR0 {5}0x00000011 \(PE ET\), promised PE PG +the same$/m);
    expect(stdout).toMatch(/^ {3}CR3 {5}0x00000000, not promised +the same$/m);
    expect(stdout).toMatch(/^ {3}CR4 {5}0x00000000, not promised +the same$/m);
    expect(stdout).toMatch(/^repeat .* --until payload( |$)/m);
  });

  it('is in the JSON report, which the published schema accepts', async () => {
    const { stdout } = await run(
      ...[BZIMAGE, '--as', 'lguest', '--until', 'payload', '--engine', name, '--format', 'json'],
    );
    const report = JSON.parse(stdout) as StopReport;
    const validate = new Ajv({ allowUnionTypes: true }).compile(stopJsonSchema());
    validate(report);
    expect(validate.errors).toBeNull();
    expect(report.handOver).toMatchObject({ entry: '0x00100000', linkedAt: '0x00100000' });
    const row = (what: string) => report.handOver?.rows.find(each => each.what === what);
    expect(row('ESI')).toEqual({
      what: 'ESI',
      given: '0x00000000',
      promised: true,
      found: '0x00000000',
      same: true,
    });
    expect(row('CS')?.given).toBe('0x0061 00000000 ffffffff 00cfbb00');
    expect(row('FS')?.found).toBe('0x0000, null');
    expect(row('paging')).toMatchObject({ given: 'on', promised: true, same: true });
    // lguest sets EFLAGS itself, and runs its guest with paging on; the other bits of CR0 are the host's.
    expect(row('EFLAGS')).toMatchObject({ promised: true });
    expect(row('EFLAGS')).not.toHaveProperty('promisedBits');
    expect(row('CR0')).toMatchObject({ promised: true, promisedBits: ['PE', 'PG'] });
    expect(row('CR4')).toMatchObject({ promised: false });
  });

  it('ends where something traps before: as any run does', async () => {
    const { stdout } = await run(
      ...[BZIMAGE, '--as', 'pc', '--ring', '1', '--until', 'payload', '--engine', name],
    );
    expect(stdout).toMatch(/^#GP\(0\) at startup_32\+0xa /);
    expect(stdout).not.toContain('hand-over');
  });

  // The stub of a wrapped kernel begins with cld as well; and here the kernel begins with as much of the stub as it looks for.
  it.each([
    ['one byte of it', 1],
    ['300 bytes of it', 300],
  ])('goes to the kernel proper and not to a stub that begins the same: %s', async (_, size) => {
    const stub = await wrapped(Uint8Array.of(0xf4));
    const start = ((stub[0x1f1] ?? 0) + 1) * 512; // setup_sects: Documentation/x86/boot.rst
    expect(stub[start]).toBe(0xfc);
    const path = join(mkdtempSync(join(tmpdir(), 'startup32-')), 'bzImage');
    writeFileSync(path, await wrapped(stub.slice(start, start + size)));
    const { stdout } = await run(path, '--as', 'pc', '--until', 'payload', '--engine', name);
    expect(stdout.split('\n')[0]).toBe(
      'reached at startup_32 (0x00200000): cld is next; nothing trapped before',
    );
  });

  it('goes to a kernel proper of one byte, of which its stub has many, with zeros behind them too', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'startup32-')), 'bzImage');
    writeFileSync(path, await wrapped(Uint8Array.of(0x90)));
    const { stdout } = await run(path, '--as', 'pc', '--until', 'payload', '--engine', name);
    expect(stdout.split('\n')[0]).toBe(
      'reached at startup_32 (0x00200000): nop is next; nothing trapped before',
    );
  });

  it('goes on through traps with --all-traps', async () => {
    const { stdout } = await run(
      ...[BZIMAGE, '--as', 'pc', '--ring', '1', '--all-traps', '--until', 'payload', '--engine', name],
    );
    expect(stdout).toContain('hand-over the kernel proper begins at 0x00100000');
  });
});

describe('run --until payload where there is no stub', () => {
  it.each([
    [
      ['images/native/native.elf', '--as', 'pc'],
      /until-payload: .* and images\/native\/native\.elf is an ELF file/,
    ],
    [[BZIMAGE, '--as', 'pc', '--payload'], /until-payload: .* here the kernel proper is started without it/],
  ])('%j is a usage error', async (argv, message) => {
    const { code, stderr } = await run(...argv, '--until', 'payload', '--engine', 'unicorn.js');
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});
