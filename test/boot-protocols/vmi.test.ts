/** VMI: Linux 2.6.24 include/asm-x86/vmi.h and arch/x86/kernel/vmi_32.c. */
import { describe, expect, it } from 'vitest';
import { hostOf } from '../../boot-protocols/hosts/answers.ts';
import { pc } from '../../boot-protocols/pc/protocol.ts';
import { romCallName, vmiCallName } from '../../boot-protocols/vmi/calls.ts';
import { vmi } from '../../boot-protocols/vmi/protocol.ts';
import { Machine } from '../../emulator/machine.ts';
import { describeEachEngine } from '../support/engines.ts';
import { guestEntry, mapping } from '../support/guest.ts';
import { vmlinux } from './images.ts';
import { bytesOf, protocolError, regionNamed, viewOf } from './read.ts';

const ROM = 0xc8000;
const entry = vmi.entryState(vmlinux(), {});
const rom = viewOf(entry, 'VMI option ROM');
const text = (offset: number): string => {
  const bytes = bytesOf(entry, 'VMI option ROM').subarray(offset);
  return new TextDecoder('latin1').decode(bytes.subarray(0, bytes.indexOf(0)));
};

describe('the state', () => {
  it('is that of a PC: a VMI guest boots natively', () => {
    const native = pc.entryState(vmlinux(), { cpu: 'i686-hv' });
    const { protocol, regions, structures, platform, ...state } = entry;
    expect(state).toEqual({
      ...Object.fromEntries(Object.keys(state).map(key => [key, Reflect.get(native, key)])),
    });
    expect(protocol).toBe('vmi');
    expect([entry.ring, platform.hypervisor]).toEqual([0, 'none']);
    expect(structures.map(({ name }) => name)).toEqual([
      'boot_params',
      'vrom_header',
      'pci_header',
      'pnp_header',
    ]);
    expect(regions.filter(({ start }) => start >= 0xc0000 && start < 0x100000)).toMatchObject([
      { name: 'ROM', start: 0xc0000, size: 0x8000, owner: 'firmware' },
      { name: 'VMI option ROM', start: ROM, size: 2048, owner: 'firmware' },
      { name: 'ROM', start: ROM + 2048, size: 0x100000 - ROM - 2048, owner: 'firmware' },
    ]);
  });

  it('has the knobs of a PC', () => {
    expect(vmi.entryState(vmlinux(), { ring: 1 }).platform.hypervisor).toBe('generic');
    expect(protocolError(() => vmi.entryState(vmlinux(), { era: '4.13' })).message).toContain(
      'vmi has no knob --era',
    );
  });

  it('has a trap-and-emulate monitor under it', () => {
    expect(hostOf('vmi')).toBe('monitor');
  });
});

describe('the ROM (struct vrom_header)', () => {
  it('stands where probe_vmi_rom looks: 0xc0000 to 0xdffff in steps of 2 KiB', () => {
    const { start } = regionNamed(entry, 'VMI option ROM');
    expect(start).toBeGreaterThanOrEqual(0xc0000);
    expect(start).toBeLessThan(0xe0000);
    expect((start - 0xc0000) % 2048).toBe(0);
  });

  it('is what check_vmi_rom wants', () => {
    expect(rom.getUint16(0x00, true)).toBe(0xaa55);
    expect(rom.getUint8(0x02) * 512).toBe(2048);
    expect(rom.getUint32(0x08, true)).toBe(0x696d5663);
    expect([rom.getUint8(0x0d), rom.getUint8(0x0c)]).toEqual([3, 0]);
    expect(text(rom.getUint16(0x16, true))).toBe('GPL v2');
    const pci = rom.getUint16(0x18, true);
    expect(text(pci).slice(0, 4)).toBe('PCIR');
    expect([rom.getUint16(pci + 4, true), rom.getUint16(pci + 6, true)]).toEqual([0x15ad, 0x0801]);
    expect([rom.getUint8(pci + 0x13), rom.getUint8(pci + 0x12)]).toEqual([1, 0]);
  });

  it('names itself in its PnP header', () => {
    const pnp = rom.getUint16(0x1a, true);
    expect(text(pnp).slice(0, 4)).toBe('$PnP');
    expect(text(rom.getUint16(pnp + 0x0e, true))).toBe('startup32');
    expect(text(rom.getUint16(pnp + 0x10, true))).toBe('VMI option ROM');
  });

  it('has sums that a BIOS takes: 0 for the ROM and for the PnP header', () => {
    const bytes = bytesOf(entry, 'VMI option ROM');
    const sum = (part: Uint8Array): number => part.reduce((total, byte) => total + byte, 0) & 0xff;
    const pnp = rom.getUint16(0x1a, true);
    expect([sum(bytes), sum(bytes.subarray(pnp, pnp + rom.getUint8(pnp + 5) * 16))]).toEqual([0, 0]);
  });

  it('is described field by field', () => {
    const header = entry.structures.find(({ name }) => name === 'vrom_header');
    const field = (name: string) => header?.fields.find(each => each.name === name);
    expect(header?.address).toBe(ROM);
    expect(field('vrom_signature')).toMatchObject({ offset: 8, size: 4, by: 'loader', meaning: 'cVmi' });
    expect(field('vmi_init')).toMatchObject({ offset: 0x80, size: 8, as: 'bytes' });
    expect(field('get_reloc')).toMatchObject({ offset: 0x88, size: 8, as: 'bytes' });
  });
});

describe('the calls', () => {
  it('have numbers up to 48, and some after 60', () => {
    const names = Array.from({ length: 80 }, (_, n) => vmiCallName(n));
    expect([names[0], names[17], names[31], names[48]]).toEqual([
      'VMI_CALL_CPUID',
      'VMI_CALL_SetCR3',
      'VMI_CALL_GetInterruptMask',
      'VMI_CALL_SetLinearMapping',
    ]);
    expect([names[61], names[66], names[73]]).toEqual([
      'VMI_CALL_SetIOPLMask',
      'VMI_CALL_GetCycleFrequency',
      'VMI_CALL_SetLazyMode',
    ]);
    expect([names[49], names[60], names[72], names[74]]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('are named with what get_reloc asks for', () => {
    expect(romCallName(0, undefined)).toBe('vmi_init');
    expect(romCallName(1, 17)).toBe('get_reloc(VMI_CALL_SetCR3)');
    expect(romCallName(1, 60)).toBe('get_reloc(60)');
    expect(romCallName(2, 0)).toBeUndefined();
  });
});

describeEachEngine('a call of a ROM', engine => {
  // mov $0x22,%eax; jmp 0xa010: int $0xf0
  const code = 'b8 22 00 00 00  e9 06 90 00 00';
  const contents = { 40976: 'cd f0 c3', 45072: 'cd f0 c3' };
  const platform = { serviceEntries: [{ address: 0xa010, number: 1, arguments: ['eax'] as const }] };
  const run = async (options: Partial<Parameters<typeof guestEntry>[0]>) => {
    const machine = Machine.open(await engine.load(), guestEntry({ code, contents, platform, ...options }));
    try {
      return machine.run();
    } finally {
      machine.close();
    }
  };

  it('is a hypercall at the physical address of the entry', async () => {
    const stop = await run({});
    expect(stop).toMatchObject({
      kind: 'hypercall',
      via: 'rom',
      number: 1,
      arguments: [{ register: 'eax', value: 0x22 }],
      instructions: 2,
    });
    expect(stop.instruction?.address).toBe(0xa010);
    expect(stop.exception).toBeUndefined();
  });

  it('is one wherever that is mapped', async () => {
    const high = 0xc0000000;
    const stop = await run({
      paging: '32-bit',
      mappings: [mapping(0, 0, 0x100000), mapping(high, 0, 0x100000)],
      // mov $0x22,%eax; mov $0xc000a010,%ecx; jmp *%ecx
      code: 'b8 22 00 00 00  b9 10 a0 00 c0  ff e1',
    });
    expect(stop).toMatchObject({ kind: 'hypercall', via: 'rom', number: 1, instructions: 3 });
    expect(stop.instruction?.address).toBe(0xc000a010);
  });

  it('is an interrupt like any other elsewhere', async () => {
    // jmp 0xb010
    const stop = await run({ code: 'b8 22 00 00 00  e9 06 a0 00 00' });
    expect(stop.instruction?.address).toBe(0xb010);
    expect(stop).toMatchObject({ kind: 'shutdown', first: { vector: 13, errorCode: 0x782 } });
  });
});
