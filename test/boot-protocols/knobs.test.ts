import { describe, expect, it } from 'vitest';
import { describeKnobs, findProtocol, PROTOCOLS } from '../../boot-protocols/index.ts';
import { spellSize } from '../../boot-protocols/knobs.ts';
import type { BootOptions } from '../../boot-protocols/protocol.ts';
import { vmlinux } from './images.ts';
import { protocolError } from './read.ts';

describe('the list of protocols', () => {
  it('has a fixed order', () => {
    expect(PROTOCOLS.map(protocol => protocol.name)).toEqual([
      'pc',
      'kexec',
      'lguest',
      'xen',
      'xen-startup32',
      'xen-supervisor',
      'startup-paravirt',
      'vmi',
      'pvh',
      'multiboot',
      'contract',
    ]);
  });

  it('finds one by name', () => {
    expect(findProtocol('lguest').name).toBe('lguest');
  });

  it.each([
    ['xne', 'xen'],
    ['LGUEST', 'lguest'],
    ['contact', 'contract'],
    ['px', 'pc'],
  ])('names those that exist, and for %s the nearest, %s', (name, near) => {
    const error = protocolError(() => findProtocol(name));
    expect([error.code, error.usage]).toEqual(['unknown-protocol', true]);
    expect(error.message).toContain('pc, kexec, lguest, xen, xen-startup32');
    expect(error.message).toContain(`did you mean ${near}?`);
  });

  it('guesses nothing for a word that is near none', () => {
    for (const name of ['', 'coreboot', '__proto__']) {
      expect(protocolError(() => findProtocol(name)).message).not.toContain('did you mean');
    }
  });
});

describe('knobs', () => {
  const pc = findProtocol('pc');

  it.each<[string, BootOptions]>([
    ['--memory', { memory: 0 }],
    ['--memory', { memory: 4097 }],
    ['--memory', { memory: 2 ** 32 }],
    ['--memory', { memory: Number.NaN }],
    ['--subarch', { subarch: -1 }],
    ['--subarch', { subarch: 2 ** 32 }],
    ['--load-address', { loadAddress: 0.5 }],
    ['--cmdline', { cmdline: 'a\0b' }],
    ['--cpu', { cpu: '8086' }],
  ])('refuses a bad %s', (flag, options) => {
    const error = protocolError(() => pc.entryState(vmlinux(), options));
    expect([error.code, error.usage]).toEqual(['bad-knob', true]);
    expect(error.message).toContain(flag);
    expect(error.message).toContain('expected');
  });

  it('refuses a name that no protocol has', () => {
    const options: BootOptions = JSON.parse('{"colour": "red"}');
    const error = protocolError(() => pc.entryState(vmlinux(), options));
    expect([error.code, error.usage]).toEqual(['unknown-knob', true]);
    expect(error.message).toContain('colour');
  });

  it('passes over a knob that is undefined', () => {
    const options: BootOptions = Object.fromEntries([
      ['ring', undefined],
      ['loadAddress', undefined],
    ]);
    expect(findProtocol('lguest').entryState(vmlinux(), options).ring).toBe(1);
  });

  it('takes an empty initrd for none', () => {
    const entry = pc.entryState(vmlinux(), { initrd: new Uint8Array(0) });
    expect(entry.regions.some(region => region.name === 'initrd')).toBe(false);
    expect(entry.knobs.initrd).toBeUndefined();
  });

  it('are described with the protocol’s own values', () => {
    const values = Object.fromEntries(
      describeKnobs(findProtocol('lguest')).map(knob => [knob.flag, knob.default]),
    );
    expect(values).toEqual({
      '--memory': '64M',
      '--cmdline': undefined,
      '--initrd': undefined,
      '--ring': '1',
      '--paging': 'on',
      '--gdt': 'flat',
      '--keep-segments': '1',
      '--subarch': '1',
      '--poison': undefined,
      '--cpu': 'i686-hv',
      '--era': '4.13',
    });
  });

  it.each([
    [64 * 1024 * 1024, '64M'],
    [640 * 1024, '640K'],
    [12288, '12K'],
    [100, '100'],
  ])('spell %i bytes %s', (bytes, text) => {
    expect(spellSize(bytes)).toBe(text);
  });
});
