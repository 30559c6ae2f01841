import { describe, expect, it } from 'vitest';
import { pc } from '../../boot-protocols/pc/protocol.ts';
import { startupParavirt } from '../../boot-protocols/startup-paravirt/protocol.ts';
import { walk } from '../../emulator/paging.ts';
import type { Stop } from '../../emulator/stop.ts';
import { STOPS } from '../support/stops.ts';
import { vmlinux } from './images.ts';
import { fingerprint, general, protocolError, readPhysical32, selectors } from './read.ts';

const MIB = 1024 * 1024;

describe('startup-paravirt: a hypervisor’s environment', () => {
  const entry = startupParavirt.entryState(vmlinux(), {});

  it('has nothing in %esi, nor in any other register, that both sides know', () => {
    expect(new Set(Object.values(general(entry)).map(text => text.endsWith('unspecified')))).toEqual(
      new Set([true]),
    );
    expect(entry.registers.esi.value).toBe(0xdead0006);
    expect(entry.structures).toEqual([]);
    expect(entry.regions.map(region => region.name)).not.toContain('boot_params');
  });

  it('is ring 1 with paging on, from the kernel’s entry', () => {
    expect(entry.ring).toBe(1);
    expect(selectors(entry)).toMatchObject({ cs: '11', ds: '19', es: '19', ss: '19' });
    expect(entry.control.cr0).toBe(0x80000011);
    expect(entry.eip).toBe(0x100000);
  });

  it.each(['32-bit', 'pae'] as const)('maps memory 1:1 and at PAGE_OFFSET: %s', paging => {
    const mapped = startupParavirt.entryState(vmlinux(), { paging, memory: 32 * MIB });
    const at = (linear: number) => walk(linear, mapped.control, readPhysical32(mapped)).physical;
    expect(at(0x100000)).toBe(0x100000);
    expect(at(0xc0100000)).toBe(0x100000);
    expect(at(0xc1ffffff)).toBe(0x1ffffff);
    expect(at(0xc2000000)).toBeUndefined();
    expect(at(0xdead0006)).toBeUndefined();
  });

  it.each([
    [1, 'off', 1, 0x11],
    [0, '32-bit', 0, 0x80000011],
    [3, 'pae', 3, 0x80000011],
  ] as const)('--ring %i --paging %s is one as well', (ring, paging, rpl, cr0) => {
    const other = startupParavirt.entryState(vmlinux(), { ring, paging });
    expect(other.segments.cs.selector & 3).toBe(rpl);
    expect(other.control.cr0).toBe(cr0);
    expect(other.structures).toEqual([]);
    expect(other.platform.hypervisor).toBe('generic');
  });

  it('takes no command line and no initrd, for they are named in boot_params', () => {
    for (const [options, flag] of [
      [{ cmdline: 'quiet' }, '--cmdline'],
      [{ initrd: new Uint8Array(8) }, '--initrd'],
    ] as const) {
      const error = protocolError(() => startupParavirt.entryState(vmlinux(), options));
      expect([error.code, error.usage]).toEqual(['bad-knob', true]);
      expect(error.message).toContain(flag);
    }
  });
});

describe('startup-paravirt --ring 0 --paging off: the native environment', () => {
  it('is a PC boot loader’s, boot_params in %esi', () => {
    const options = { ring: 0, paging: 'off', cmdline: 'quiet', cpu: 'i686' } as const;
    const entry = startupParavirt.entryState(vmlinux(), options);
    const native = pc.entryState(vmlinux(), options);
    expect(entry.protocol).toBe('startup-paravirt');
    const plain = { protocol: 'pc', knobs: {} } as const;
    expect(fingerprint({ ...entry, ...plain })).toBe(fingerprint({ ...native, ...plain }));
    expect(entry.structures.map(({ name }) => name)).toEqual(['boot_params']);
  });
});

describe('startup-paravirt: who hears of an exception in ring 0', () => {
  const stop: Stop = { ...STOPS['page-fault'], cpu: { ...STOPS['page-fault'].cpu, cpl: 0 } };

  it('is the hypervisor, where there is one', () => {
    const entry = startupParavirt.entryState(vmlinux(), { ring: 0, paging: '32-bit' });
    expect(startupParavirt.reaction(stop, entry)).toMatchObject({ outcome: 'unknown' });
  });

  it('is the kernel itself on a PC', () => {
    const entry = startupParavirt.entryState(vmlinux(), { ring: 0, paging: 'off' });
    expect(startupParavirt.reaction(stop, entry)).toMatchObject({ outcome: 'cpu-delivers' });
  });
});
