/** What the reports advise has to be true and not yet done. */
import { describe, expect, it } from 'vitest';
import { findProtocol, PROTOCOLS } from '../../boot-protocols/index.ts';
import type { BootOptions } from '../../boot-protocols/protocol.ts';
import type { EntryState } from '../../emulator/entry-state.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { KernelImage } from '../../src/kernel-image/kernel-image.ts';
import { ALL_STOPS, common, STOPS } from '../support/stops.ts';
import { bzImage, startableBy, vmlinux } from './images.ts';

const startedBy = (name: string, options: BootOptions = {}): EntryState =>
  findProtocol(name).entryState(startableBy(name), options);

const advice = (name: string, stop: Stop, options: BootOptions = {}, image: KernelImage = vmlinux()) =>
  findProtocol(name).advice(stop, image, startedBy(name, options));

const cli: Stop = STOPS['iopl-sensitive-instruction'];

describe('a knob', () => {
  it.each(PROTOCOLS.map(({ name }) => name))('is never advised for the value that it has: %s', name => {
    const { knobs } = startedBy(name);
    for (const stop of ALL_STOPS) {
      for (const line of advice(name, stop)) {
        for (const [, knob = '', value] of line.matchAll(/--([a-z-]+) (\S+)/g)) {
          expect([line, knobs[knob]]).not.toEqual([line, value]);
        }
      }
    }
  });

  it('is advised for another value', () => {
    expect(advice('contract', cli, { keepSegments: false })[0]).toMatch(/^--keep-segments 1 makes Linux/);
    expect(advice('contract', cli)[0]).toMatch(/^KEEP_SEGMENTS is set here/);
    expect(advice('contract', STOPS['page-fault'], { paging: '32-bit' })).toEqual([]);
    expect(advice('contract', cli, { ring: 0 }).join()).not.toContain('--ring 0');
  });

  it('is not advised to a Linux that ignores it', () => {
    const image = bzImage();
    const of = (kernelVersion: string) => ({ ...image, setup: { ...image.setup, kernelVersion } });
    expect(advice('contract', cli, {}, of('6.1.0-50-686 (x)'))[0]).toMatch(/^Linux 6\.1 does not look at/);
    expect(advice('contract', cli, {}, of('5.7.0'))[0]).toMatch(/^Linux 5\.7 does not look at/);
    expect(advice('contract', cli, {}, of('5.6.19'))[0]).toMatch(/^KEEP_SEGMENTS is set here/);
  });

  it('is not advised to a kernel proper out of a bzImage of such a Linux', () => {
    const proper = (kernelVersion: string) => {
      const { setup, sha256, size } = bzImage();
      const container = { setup: { ...setup, kernelVersion }, sha256, size, payload: 'xz' as const };
      return vmlinux({ container });
    };
    const lgdt: Stop = STOPS['privileged-instruction'];
    expect(advice('xen-startup32', cli, {}, proper('6.1.0-50-686'))[0]).toMatch(
      /^Linux 6\.1 does not look at/,
    );
    for (const name of ['contract', 'lguest', 'xen-startup32']) {
      expect(advice(name, lgdt, {}, proper('6.1.0-50-686')).join()).toContain(
        'Linux 6.1 has no paravirtual entry in startup_32',
      );
      expect(advice(name, lgdt, {}, proper('5.8.18')).join()).not.toContain('no paravirtual entry');
    }
    expect(advice('contract', lgdt, {}, proper('5.8.18')).join()).toContain('--subarch 1 (lguest)');
    expect(advice('contract', lgdt, {}, proper('5.9.1')).join()).not.toContain('--subarch');
  });
});

describe('a GDT', () => {
  it('is advised only for the selectors that it has', () => {
    const load = STOPS['segment-load'];
    expect(advice('contract', load)[0]).toContain('--gdt flat');
    expect(advice('contract', { ...load, selector: 0x60 }).join()).not.toContain('--gdt flat');
    expect(advice('contract', { ...load, register: 'ss', selector: 0, problem: 'null' })).toEqual([]);
  });
});

describe('an access through a register that no one has set', () => {
  const at = (entry: EntryState, bytes: string, address: number): Stop => {
    const values = Object.entries(entry.registers).map(([name, { value }]) => [name, value]);
    return {
      ...common(bytes, { registers: Object.fromEntries(values) }),
      kind: 'memory-hole',
      access: 'write',
      address,
      size: 4,
      near: [],
    };
  };

  it.each([
    ['push %eax', '50', 0xdead0000, 'ESP', 'no stack yet'],
    ['mov %edx,(%ecx)', '89 11', 0xdead0001, 'ECX', 'not set ECX yet'],
  ])('is called so: %s', (_, bytes, address, name, claim) => {
    const entry = startedBy('contract');
    expect(findProtocol('contract').advice(at(entry, bytes, address), vmlinux(), entry)).toEqual([
      `${name} holds the pattern of a register that contract does not promise: the kernel has ${claim}`,
    ]);
  });

  it('is called so for the ESP of 0 that lguest leaves', () => {
    const entry = startedBy('lguest');
    expect(findProtocol('lguest').advice(at(entry, '50', 0xfffffffc), vmlinux(), entry)).toEqual([
      'ESP is 0 at entry: the kernel has no stack yet',
    ]);
  });

  it('is not claimed of an address in the instruction; more memory is advised where it helps', () => {
    const entry = startedBy('contract');
    const of = (address: number, bytes: string) =>
      findProtocol('contract').advice(at(entry, bytes, address), vmlinux(), entry);
    expect(of(0xdead0000, 'a3 00 00 ad de')).toEqual([]);
    expect(of(0x05000000, 'a3 00 00 00 05')).toEqual(['a larger --memory moves the end of RAM']);
    expect(of(0xf0000000, 'a3 00 00 00 f0')).toEqual([]);
  });
});

it('does not speak of mappings while paging is off', () => {
  const contract = findProtocol('contract');
  const off = startedBy('contract', { paging: 'off' });
  expect(contract.reaction(STOPS['memory-hole'], off).sentence).not.toContain('maps');
  expect(contract.reaction(STOPS['page-fault'], off).sentence).not.toContain('The contract maps');
});

it.each(PROTOCOLS.map(({ name }) => name))('spells every apostrophe with the same character: %s', name => {
  for (const stop of ALL_STOPS) {
    const { sentence, citation = '' } = findProtocol(name).reaction(stop, startedBy(name));
    expect([sentence, citation, ...advice(name, stop)].join()).not.toMatch(/[\u2018\u2019]/);
  }
});

describe('an address of the link before paging', () => {
  const LOADER = {
    name: 'load_ucode_intel_bsp',
    address: 0xc0100800,
    size: 0x100,
    kind: 'function' as const,
  };
  const image = vmlinux({ symbols: [LOADER] });
  const read = (eip: number, address: number, cr0 = 0x11): Stop => {
    // mov %fs:ADDRESS,%eax
    const stop = common('64 a1 00 28 10 c0', { eip });
    return {
      ...stop,
      cpu: { ...stop.cpu, control: { ...stop.cpu.control, cr0 } },
      kind: 'memory-hole',
      access: 'read',
      address,
      size: 4,
      near: [],
    };
  };
  const where =
    'paging is off, and the address is one of the link: LOAD 1, linked at 0xc0102000, is at 0x00102000; on a PC the kernel reads all ones and goes on';
  const skipped = '; --cpu i686-hv shows a hypervisor, under which Linux leaves out its microcode loader';

  it('is called so, and in Linux’s microcode loader a way past it is named', () => {
    expect(advice('pc', read(0x100817, 0xc0102800), {}, image)).toEqual([where + skipped]);
    expect(advice('kexec', read(0x100817, 0xc0102800), {}, image)).toEqual([where + skipped]);
    expect(advice('pc', read(0x100017, 0xc0102800), {}, image)).toEqual([where]);
    expect(advice('pc', read(0x100817, 0xc0102800), { cpu: 'i686-hv' }, image)).toEqual([where]);
  });

  it('is not claimed of another address, nor with paging on', () => {
    expect(advice('pc', read(0x100817, 0xc0200000), {}, image)).toEqual([]);
    expect(advice('pc', read(0x100817, 0xc0102800, 0x80000011), {}, image)).toEqual([]);
  });
});

it('names the FS that Xen leaves a PVH guest', () => {
  const stop = STOPS['segment-access'];
  const advised = findProtocol('pvh').advice({ ...stop, register: 'fs' }, vmlinux());
  expect(advised.join()).toContain('FS and GS null');
  expect(findProtocol('pvh').advice({ ...stop, register: 'ds' }, vmlinux())).toEqual([]);
});
