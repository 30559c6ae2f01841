/** Named CPU models: what they announce, and what they do not have. Signatures and bits: SDM vol. 2, CPUID; Intel AP-485. */
import { describe, expect, it } from 'vitest';
import { findProtocol, PROTOCOLS } from '../../boot-protocols/index.ts';
import { xenCpuid } from '../../boot-protocols/xen/cpuid.ts';
import {
  CPU_MODELS,
  type CpuidResult,
  type CpuModel,
  findCpuModel,
} from '../../emulator/cpu-models/index.ts';
import { Machine } from '../../emulator/machine.ts';
import { evaluate } from '../../emulator/sensitive/index.ts';
import { describeEachEngine } from '../support/engines.ts';
import { guestEntry } from '../support/guest.ts';
import { situation } from '../support/situation.ts';

const named = (name: string): CpuModel => {
  const model = findCpuModel(name);
  if (!model) throw new Error(`there is no CPU model ${name}`);
  return model;
};
const hex = ({ eax, ebx, ecx, edx }: CpuidResult): string =>
  [eax, ebx, ecx, edx].map(value => value.toString(16).padStart(8, '0')).join(' ');

it('are found by name', () => {
  expect(CPU_MODELS.map(model => model.name)).toEqual([
    'i686',
    'i686-hv',
    'i686-umip',
    'i686-umip-hv',
    'i686-xen',
    'core2',
    'core2-hv',
    'i586',
    'i486',
  ]);
  expect(findCpuModel('i386')).toBeUndefined();
});

describe('CPUID', () => {
  // "GenuineIntel" in EBX, EDX, ECX for all.
  it.each([
    // FPU VME DE PSE TSC MSR PAE CX8 SEP PGE CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2; SSE3 RDRAND.
    ['i686', 1, '000006f1 00000800 40000001 078ba97f'],
    ['i686-hv', 1, '000006f1 00000800 c0000001 078ba97f'],
    ['i686', 7, '00000000 00040000 00000000 00000000'],
    ['i686-umip', 7, '00000000 00040000 00000004 00000000'],
    // NX RDTSCP; with long mode LM too.
    ['i686', 0x80000001, '00000000 00000000 00000000 08100000'],
    ['core2', 0x80000001, '00000000 00000000 00000001 28100000'],
    ['i586', 0, '00000001 756e6547 6c65746e 49656e69'],
    // FPU VME DE PSE TSC MSR CX8.
    ['i586', 1, '0000052c 00000000 00000000 0000013f'],
    ['i486', 1, '00000480 00000000 00000000 00000003'],
    ['i486', 0x80000000, '00000000 00000000 00000000 00000000'],
  ])('of %s, leaf 0x%x', (name, leaf, expected) => {
    expect(hex(named(name).cpuid(leaf, 0))).toBe(expected);
  });

  it('has the hypervisor bit, and nothing else, more for -hv', () => {
    for (const model of CPU_MODELS.filter(each => each.name.endsWith('-hv'))) {
      const bare = named(model.name.slice(0, -'-hv'.length));
      expect(model.cpuid(1, 0).ecx ^ bare.cpuid(1, 0).ecx).toBe(1 << 31);
      for (const leaf of [0, 7, 0x80000000, 0x80000001])
        expect(model.cpuid(leaf, 0)).toEqual(bare.cpuid(leaf, 0));
    }
  });
});

it('i686-xen shows the leaves of Xen 4.14 (public/arch-x86/cpuid.h, arch/x86/traps.c)', () => {
  const leaf = (index: number): string => hex(named('i686-xen').cpuid(0x40000000 + index, 0));
  // "XenV" "MMXe" "nVMM" in EBX, ECX, EDX.
  expect(leaf(0)).toBe('40000005 566e6558 65584d4d 4d4d566e');
  expect(leaf(1)).toBe('0004000e 00000000 00000000 00000000');
  expect(leaf(2)).toBe('00000001 40000000 00000000 00000000');
  expect(leaf(4)).toBe('0000001c 00000000 00000001 00000000');
  for (const leaf of [0, 1, 7, 0x80000000, 0x80000001])
    expect(named('i686-xen').cpuid(leaf, 0)).toEqual(named('i686-hv').cpuid(leaf, 0));
  expect(hex(named('i686-hv').cpuid(0x40000000, 0))).toBe('00000000 00000000 00000000 00000000');
});

/** A boot loader hands over the machine itself. */
const BARE: ReadonlySet<string> = new Set(['pc', 'kexec', 'multiboot']);

it('the default has the hypervisor bit under every protocol that is a hypervisor', () => {
  const defaults = Object.fromEntries(PROTOCOLS.map(({ name }) => [name, findProtocol(name).defaults.cpu]));
  for (const [name, cpu] of Object.entries(defaults)) {
    expect([name, named(cpu).cpuid(1, 0).ecx >>> 31]).toEqual([name, BARE.has(name) ? 0 : 1]);
  }
  expect(defaults).toMatchObject({ pc: 'i686', xen: 'i686-hv', lguest: 'i686-hv', contract: 'i686-hv' });
});

describe('what a model does not have is refused', () => {
  const verdict = (name: string, bytes: readonly number[], registers = {}) =>
    evaluate({ ...situation({ bytes, ring: 0, registers }), model: named(name) });
  const UNDEFINED = { type: 'stop', exception: { vector: 6 } };

  it.each([
    ['rdtsc', [0x0f, 0x31], ['i486']],
    ['rdmsr', [0x0f, 0x32], ['i486']],
    ['wrmsr', [0x0f, 0x30], ['i486']],
    ['rdtscp', [0x0f, 0x01, 0xf9], ['i486', 'i586']],
    ['rdpmc', [0x0f, 0x33], ['i486', 'i586']],
    ['rdrand %eax', [0x0f, 0xc7, 0xf0], ['i486', 'i586']],
    ['sysenter', [0x0f, 0x34], ['i486', 'i586']],
    ['sysexit', [0x0f, 0x35], ['i486', 'i586']],
  ] as const)('%s', (_, bytes, without) => {
    for (const { name } of CPU_MODELS) {
      const refused = without.some(each => each === name);
      const found = verdict(name, bytes);
      if (refused) expect(found).toMatchObject(UNDEFINED);
      else expect(found).not.toMatchObject(UNDEFINED);
    }
  });

  it('NXE in EFER, without NX', () => {
    const wrmsr = (name: string) => verdict(name, [0x0f, 0x30], { ecx: 0xc0000080, eax: 0x800, edx: 0 });
    expect(wrmsr('i686')).toMatchObject({ type: 'answer' });
    expect(wrmsr('i586')).toMatchObject({ type: 'stop', exception: { vector: 13, errorCode: 0 } });
  });

  it.each([
    ['PAE', 5, ['i486', 'i586']],
    ['PSE', 4, ['i486']],
    ['PGE', 7, ['i486', 'i586']],
    ['OSFXSR', 9, ['i486', 'i586']],
    ['UMIP', 11, ['i486', 'i586', 'i686', 'i686-hv', 'i686-xen', 'core2', 'core2-hv']],
    ['SMEP', 20, CPU_MODELS.map(model => model.name)],
  ] as const)('CR4.%s', (_, bit, without) => {
    for (const { name } of CPU_MODELS) {
      const found = verdict(name, [0x0f, 0x22, 0xe0], { eax: 1 << bit });
      expect([name, found.type]).toEqual([name, without.some(each => each === name) ? 'stop' : 'run']);
    }
  });
});

describeEachEngine('UMIP', engine => {
  // mov $0x800,%eax; mov %eax,%cr4; sgdt 0x9000; hlt
  const code = 'b8 00 08 00 00 0f 22 e0 0f 01 05 00 90 00 00 f4';

  it('can be set where the model has it, and is #GP(0) where it has not', async () => {
    const run = async (cpuModel: string) => {
      using machine = Machine.open(
        await engine.load(),
        guestEntry({ code, ring: 0, platform: { cpuModel } }),
      );
      return machine.run();
    };
    const stop = await run('i686-umip');
    // Ring 0 may still use SGDT.
    expect([stop.kind, stop.cpu.control.cr4]).toEqual(['halt', 0x800]);
    expect(await run('i686')).toMatchObject({ kind: 'exception', exception: { vector: 13, errorCode: 0 } });
  });

  it('makes sgdt outside ring 0 a #GP(0), set at entry', async () => {
    const entry = guestEntry({
      code: '0f 01 05 00 90 00 00 f4',
      ring: 3,
      platform: { cpuModel: 'i686-umip' },
    });
    using machine = Machine.open(await engine.load(), {
      ...entry,
      control: { ...entry.control, cr4: entry.control.cr4 | 0x800 },
    });
    expect(machine.run()).toMatchObject({ instructions: 0, exception: { vector: 13, errorCode: 0 } });
  });
});

describe("Xen's answers to the forced-emulation prefix", () => {
  // Xen 4.14 xen/include/public/arch-x86/cpuid.h.
  it.each([
    [0x40000000, 0, '40000005 566e6558 65584d4d 4d4d566e'],
    [0x40000001, 0, '0004000e 00000000 00000000 00000000'],
    [0x40000002, 0, '00000001 40000000 00000001 00000000'],
    [0x40000003, 0, '00000004 00000000 00000000 00000000'],
    [0x40000004, 0, '00000000 00000000 00000000 00000000'],
    [0x40000005, 0, '00000000 00000020 00000000 00000000'],
    [0x40000006, 0, '00000000 00000000 00000000 00000000'],
  ])('leaf 0x%x.%i', (leaf, subleaf, expected) => {
    expect(hex(xenCpuid(named('i686-hv'), leaf, subleaf))).toBe(expected);
  });

  it('spells XenVMMXenVMM', () => {
    const { ebx, ecx, edx } = xenCpuid(named('i686-hv'), 0x40000000, 0);
    const text = [ebx, ecx, edx].map(value =>
      String.fromCharCode(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24),
    );
    expect(text.join('')).toBe('XenVMMXenVMM');
  });

  it('hides what paravirtual guests cannot use, and shows that there is a hypervisor', () => {
    // Of the model: VME (1), PSE (3), PGE (13), PSE36 (17) are gone; HYPERVISOR (31) is set whatever the model says.
    const hidden = (1 << 1) | (1 << 3) | (1 << 13) | (1 << 17);
    expect(hex(xenCpuid(named('i686'), 1, 0))).toBe(
      `000006f1 00000800 c0000001 ${((0x078ba97f & ~hidden) >>> 0).toString(16).padStart(8, '0')}`,
    );
    expect(hex(xenCpuid(named('i686-umip-hv'), 7, 0))).toBe('00000000 00040000 00000000 00000000');
    // A 32-bit domain has no long mode.
    expect(hex(xenCpuid(named('core2-hv'), 0x80000001, 0))).toBe('00000000 00000000 00000001 08100000');
  });

  it('leaves the rest as the CPU has it', () => {
    const model = named('i686-hv');
    for (const leaf of [0, 2, 0x80000000, 0x80000002, 0x80000008]) {
      expect(xenCpuid(model, leaf, 0)).toEqual(model.cpuid(leaf, 0));
    }
  });
});
