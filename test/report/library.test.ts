/** The library as a program uses it: everything by its public name. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type BootRequest,
  boot,
  KernelImageError,
  loadImage,
  ProtocolError,
  report,
  textReport,
} from '../../src/index.ts';

const NATIVE = 'images/native/native.elf';

it('boots an image, runs it to its first stop and reports it', async () => {
  const image = await loadImage(NATIVE);
  await using machine = await boot(image, { as: 'lguest', engine: 'unicorn.js' });
  const stop = machine.run();
  // The kind narrows the type: `rule` exists only on some.
  expect(stop.kind === 'iopl-sensitive-instruction' && stop.rule).toBe('cli');
  const json = report(machine, image, stop);
  expect(json.command).toBeUndefined();
  expect(textReport(json).split('\n')[0]).toBe(json.headline);
});

it('loads an image from bytes as well', async () => {
  const image = await loadImage(readFileSync(NATIVE), { name: 'native' });
  expect(image).toMatchObject({ name: 'native', format: 'elf', entry: 0x100000 });
});

it('takes the symbols of a System.map in bytes, and warns about one that has none', async () => {
  const map = new TextEncoder().encode('c0100000 T _text\nc0100000 T startup_32\nc0100005 t other\n');
  const image = await loadImage(NATIVE, { systemMap: map });
  expect(image.symbols.map(symbol => symbol.name)).toContain('other');
  const stub = new TextEncoder().encode('ffffffffffffffff B The real System.map is in another package\n');
  const stubbed = await loadImage(NATIVE, { systemMap: stub });
  expect(stubbed.warnings).toHaveLength(1);
});

describe('throws typed errors', () => {
  it('for a file that is not there, and one that is no kernel', async () => {
    await expect(loadImage('images/none')).rejects.toMatchObject({
      name: 'KernelImageError',
      code: 'unreadable-file',
    });
    await expect(loadImage('package.json')).rejects.toBeInstanceOf(KernelImageError);
  });

  it('for a protocol that does not exist', async () => {
    const image = await loadImage(NATIVE);
    const request: BootRequest = JSON.parse('{"as": "lgest"}');
    await expect(boot(image, request)).rejects.toBeInstanceOf(ProtocolError);
  });
});

it('says what is missing or of the wrong type, instead of failing on it', async () => {
  const image = await loadImage('images/native/native.elf');
  await expect(boot(image, {} as never)).rejects.toMatchObject({
    name: 'ProtocolError',
    code: 'unknown-protocol',
    message:
      'as is missing; expected one of pc, kexec, lguest, xen, xen-startup32, xen-supervisor, startup-paravirt, vmi, pvh, multiboot, contract',
  });
  await expect(boot(image, { as: 'pc', memory: '64M' } as never)).rejects.toMatchObject({
    code: 'bad-knob',
    message: '--memory is a string; expected a number of bytes',
  });
});
