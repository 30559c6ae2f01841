/** What differs between the lguests of Linux 2.6.23 to 4.13: lguest.c, drivers/lguest and asm/lguest_hcall.h of each. */
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { lguestEra } from '../../boot-protocols/lguest/eras.ts';
import { lguestHypercall, lguestHypercallName } from '../../boot-protocols/lguest/hypercalls.ts';
import { lguest } from '../../boot-protocols/lguest/protocol.ts';
import type { BootOptions } from '../../boot-protocols/protocol.ts';
import { walk } from '../../emulator/paging.ts';
import type { Stop } from '../../emulator/stop.ts';
import type { ElfImage } from '../../src/kernel-image/kernel-image.ts';
import { common, STOPS } from '../support/stops.ts';
import { bzImage, segment, vmlinux } from './images.ts';
import { bytesOf, protocolError, readPhysical32, regionNamed, selectors, viewOf } from './read.ts';

const MIB = 1024 * 1024;
const ERAS = ['2.6.23', '2.6.24', '2.6.29', '2.6.31', '3.10', '4.13'] as const;

const ascii = (text: string): number[] => [...new TextEncoder().encode(text)];

/** A vmlinux whose first instruction for lguest stands at 0x100000 + 5 + 13. */
const genuine = (overrides: Partial<ElfImage> = {}): ElfImage =>
  vmlinux({
    segments: [
      segment(
        'LOAD 0',
        0x100000,
        0xc0100000,
        Uint8Array.from([...Array(5).fill(0x90), ...ascii('GenuineLguest'), 0xcd, 0x1f]),
        0x1000,
      ),
    ],
    ...overrides,
  });

const start = (era: string, options: BootOptions = {}) =>
  lguest.entryState(genuine(), { memory: 16 * MIB, ...options, era });

describe('what every era has in common (lguest_arch_setup_regs)', () => {
  for (const era of ERAS) {
    it(`${era}: ring 1, 0x61 and 0x69, interrupts on, %esi 0`, () => {
      const entry = start(era);
      expect(entry.ring).toBe(1);
      expect(selectors(entry)).toEqual({ cs: '61', ds: '69', es: '69', ss: '69', fs: '0', gs: '0' });
      expect([entry.eflags, entry.registers.esi.value, entry.registers.esp.value]).toEqual([0x202, 0, 0]);
      expect(entry.knobs.era).toBe(era);
    });
  }
});

describe('the hypercall (include/linux/lguest.h; asm/lguest_hcall.h)', () => {
  it('passes arguments in EDX, EBX, ECX to 2.6.29, then EBX, ECX, EDX, and from 2.6.31 on ESI too', () => {
    for (const era of ['2.6.23', '2.6.24', '2.6.29']) {
      expect(start(era).platform.hypercallArguments).toEqual(['edx', 'ebx', 'ecx']);
    }
    expect(start('2.6.30').platform.hypercallArguments).toEqual(['ebx', 'ecx', 'edx']);
    expect(lguestEra('2.6.31').hypercallArguments).toEqual(['ebx', 'ecx', 'edx', 'esi']);
    expect(lguestEra('4.13').hypercallArguments).toEqual(['ebx', 'ecx', 'edx', 'esi']);
  });

  it('is vmcall as well from 2.6.30 to 2.6.33', () => {
    const eras = ['2.6.23', '2.6.29', '2.6.30', '2.6.33', '2.6.34', '3.10', '4.13'];
    expect(eras.filter(era => start(era).platform.vmcall)).toEqual(['2.6.30', '2.6.33']);
    for (const era of eras) expect(start(era).platform.hypercallVectors).toEqual([0x1f]);
  });

  it('has numbers that changed their meaning', () => {
    expect(lguestHypercall(2, '2.6.24')).toBe('LHCALL_CRASH');
    expect(lguestHypercall(2, '2.6.25')).toBe('LHCALL_SHUTDOWN');
    expect(lguestHypercall(13, '2.6.23')).toBe('LHCALL_SEND_DMA');
    expect(lguestHypercall(13, '2.6.30')).toBeUndefined();
    expect(lguestHypercall(13, '2.6.31')).toBe('LHCALL_SET_PMD');
    expect(lguestHypercall(15, '2.6.30')).toBe('LHCALL_SET_PMD');
    expect(lguestHypercall(15, '2.6.31')).toBe('LHCALL_SET_PGD');
    expect(lguestHypercall(17, '2.6.23')).toBeUndefined();
    expect(lguestHypercall(17, '3.10')).toBe('LHCALL_NOTIFY');
  });

  it('has fifteen in 4.13', () => {
    const numbers = Array.from({ length: 32 }, (_, n) => n).filter(n => lguestHypercall(n, '4.13'));
    expect(numbers).toEqual([0, 1, 2, 4, 5, 6, 7, 9, 10, 13, 14, 15, 16, 18, 19]);
  });

  it('is named by the era of the entry', () => {
    expect(lguest.hypercallName?.(15, { entry: start('2.6.29') })).toBe('LHCALL_SET_PMD');
    expect(lguest.hypercallName?.(15)).toBe('LHCALL_SET_PGD');
    // Gone in 4.13: the name that it had last.
    expect(lguestHypercallName(17)).toBe('LHCALL_NOTIFY');
  });
});

describe('boot_params (lguest.c, main)', () => {
  /** Fields that are not zero, as offset: value of four bytes. */
  const fields = (era: string, options: BootOptions = {}): Record<string, number> => {
    const view = viewOf(start(era, options), 'boot_params');
    const found: Record<string, number> = {};
    for (let offset = 0; offset < 4096; offset += 4) {
      const value = view.getUint32(offset, true);
      if (value !== 0) found[offset.toString(16)] = value;
    }
    return found;
  };
  const E820 = { '2d8': 16 * MIB, '2e0': 1 };

  it('2.6.23: e820, command line, subarch; neither version nor KEEP_SEGMENTS', () => {
    expect(fields('2.6.23')).toEqual({ '1e8': 1, '228': 0x1000, '23c': 1, ...E820 });
  });

  it('2.6.24 to 2.6.38: version 2.07 and KEEP_SEGMENTS as well', () => {
    const expected = { '1e8': 1, '204': 0x2070000, '210': 0x4000, '228': 0x1000, '23c': 1, ...E820 };
    for (const era of ['2.6.24', '2.6.29', '2.6.31', '2.6.38']) expect(fields(era)).toEqual(expected);
  });

  it('3.0 and later: kernel_alignment as well', () => {
    const expected = {
      ...{ '1e8': 1, '204': 0x2070000, '210': 0x4000, '228': 0x1000, '230': 0x1000000, '23c': 1 },
      ...E820,
    };
    for (const era of ['3.0', '3.10', '4.13']) expect(fields(era)).toEqual(expected);
  });

  it('4.x says that there is neither tboot nor APM', () => {
    const written = (era: string) =>
      start(era)
        .structures[0]?.fields.filter(({ by }) => by === 'loader')
        .map(({ name }) => name)
        .filter(name => name.startsWith('tboot') || name.startsWith('apm'));
    expect(written('3.10')).toEqual([]);
    expect(written('4.13')).toEqual(['apm_bios_info.version', 'tboot_addr']);
  });

  it('names the launcher of its version', () => {
    const citation = (era: string) =>
      start(era).structures[0]?.fields.find(({ name }) => name === 'hdr.cmd_line_ptr')?.citation;
    expect(citation('2.6.23')).toBe('Linux 2.6.23 Documentation/lguest/lguest.c, main');
    expect(citation('4.13')).toBe('Linux 4.13 tools/lguest/lguest.c, main');
  });

  it('has a space behind the command line in 2.6.23 and 2.6.24', () => {
    const line = (era: string, cmdline: string) =>
      new TextDecoder().decode(bytesOf(start(era, { cmdline }), 'command line'));
    expect(line('2.6.23', 'ro quiet')).toBe('ro quiet \0');
    expect(line('2.6.24', 'ro quiet')).toBe('ro quiet \0');
    expect(line('2.6.24', '')).toBe('\0');
    expect(line('2.6.29', 'ro quiet')).toBe('ro quiet\0');
  });

  it('takes --keep-segments in 2.6.23 too', () => {
    expect(start('2.6.23').knobs['keep-segments']).toBe('0');
    expect(fields('2.6.23', { keepSegments: true })).toMatchObject({ '210': 0x4000 });
  });
});

describe('page tables', () => {
  const at = (entry: ReturnType<typeof start>, linear: number) =>
    walk(linear, entry.control, readPhysical32(entry)).physical;
  const tables = (era: string, options: BootOptions = {}) => {
    const entry = start(era, options);
    const { start: base, size } = regionNamed(entry, 'linear page tables');
    return { base, size, view: viewOf(entry, 'linear page tables') };
  };

  it('2.6.23: guest memory at PAGE_OFFSET and nowhere else', () => {
    const entry = start('2.6.23');
    expect([at(entry, 0xc0000000), at(entry, 0xc0000000 + 16 * MIB - 1)]).toEqual([0, 16 * MIB - 1]);
    expect([at(entry, 0), at(entry, 0x100000), at(entry, 0xc0000000 + 16 * MIB)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('2.6.23: the launcher’s four tables and the directory above them, at the top of memory', () => {
    const { base, size, view } = tables('2.6.23');
    expect([base, size]).toEqual([16 * MIB - 5 * 4096, 5 * 4096]);
    expect(view.getUint32(0, true)).toBe(0x7);
    expect(view.getUint32(4, true)).toBe(0x1007);
    expect(view.getUint32(4 * 4096 - 4, true)).toBe(0xfff007);
    const directory = Array.from({ length: 1024 }, (_, i) => view.getUint32(4 * 4096 + i * 4, true));
    expect(directory.slice(768, 772)).toEqual(
      [base, base + 0x1000, base + 0x2000, base + 0x3000].map(p => p + 7),
    );
    expect(directory.filter(entry => entry !== 0)).toHaveLength(4);
  });

  it('2.6.24: 1:1 by the launcher, below the initrd', () => {
    const entry = start('2.6.24', { initrd: new Uint8Array(0x1234) });
    expect([at(entry, 0), at(entry, 0x100000), at(entry, 0xc0100000)]).toEqual([0, 0x100000, undefined]);
    const { base, size, view } = tables('2.6.24', { initrd: new Uint8Array(0x1234) });
    expect(base + size).toBe(16 * MIB - 0x2000);
    const directory = Array.from({ length: 1024 }, (_, i) => view.getUint32(4 * 4096 + i * 4, true));
    expect(directory.slice(0, 4)).toEqual(
      [base, base + 0x1000, base + 0x2000, base + 0x3000].map(p => p + 7),
    );
    expect(directory.filter(each => each !== 0)).toHaveLength(4);
  });

  it('2.6.29: by the host, the same tables at 0 and at PAGE_OFFSET', () => {
    const entry = start('2.6.29');
    expect([at(entry, 0x100000), at(entry, 0xc0100000)]).toEqual([0x100000, 0x100000]);
    const { base, view } = tables('2.6.29');
    const directory = Array.from({ length: 1024 }, (_, i) => view.getUint32(4 * 4096 + i * 4, true));
    const expected = [base, base + 0x1000, base + 0x2000, base + 0x3000].map(p => p + 7);
    expect([directory.slice(0, 4), directory.slice(768, 772)]).toEqual([expected, expected]);
    expect(directory.filter(each => each !== 0)).toHaveLength(8);
  });

  it('2.6.31 with PAE: one page of PMDs below the tables, in entries 0 and 3', () => {
    const entry = start('2.6.31', { paging: 'pae' });
    expect([at(entry, 0x100000), at(entry, 0xc0100000)]).toEqual([0x100000, 0x100000]);
    const { base, size, view } = tables('2.6.31', { paging: 'pae' });
    // PMDs, eight page tables of 2 MiB each, the top level.
    expect(size).toBe(10 * 4096);
    expect(view.getBigUint64(0, true)).toBe(BigInt(base + 0x1000 + 7));
    expect(view.getBigUint64(7 * 8, true)).toBe(BigInt(base + 0x8000 + 7));
    expect(view.getBigUint64(8 * 8, true)).toBe(0n);
    expect(view.getBigUint64(4096 + 8, true)).toBe(0x1007n);
    const top = Array.from({ length: 4 }, (_, i) => view.getBigUint64(9 * 4096 + i * 8, true));
    expect(top).toEqual([BigInt(base + 1), 0n, 0n, BigInt(base + 1)]);
  });

  it('3.0 has them still; 3.1 has none, and maps 1:1', () => {
    expect(regionNamed(start('3.0'), 'linear page tables').owner).toBe('loader');
    for (const era of ['3.1', '3.10', '4.13']) {
      const entry = start(era);
      expect(entry.regions.map(({ name }) => name)).not.toContain('linear page tables');
      expect([at(entry, 0x100000), at(entry, 0xc0100000)]).toEqual([0x100000, undefined]);
    }
  });

  it('are RAM like any other by e820', () => {
    const view = viewOf(start('2.6.29'), 'boot_params');
    expect([view.getUint8(0x1e8), view.getBigUint64(0x2d0, true), view.getBigUint64(0x2d8, true)]).toEqual([
      1,
      0n,
      BigInt(16 * MIB),
    ]);
  });

  it('leave the end of the address space to the host, also with the largest memory', () => {
    for (const era of ERAS) {
      const entry = start(era, { memory: 0xc0000000 });
      expect(at(entry, entry.gdtr.base)).toBe(entry.gdtr.base);
      const top = era === '2.6.23' ? [undefined, 0x3f7fffff] : [0xbfffffff, undefined];
      expect(at(entry, 0xbfffffff)).toBe(top[0]);
      if (era === '2.6.23') expect(at(entry, 0xff7fffff)).toBe(top[1]);
    }
  });

  it('must not be where the kernel is', () => {
    const error = protocolError(() => start('2.6.24', { memory: 0x102000 }));
    expect(error.code).toBe('region-overlap');
    expect(error.message).toMatch(/LOAD 0 .* linear page tables/);
  });

  it.each([
    // 16 MiB take 4 page tables of 1024 entries, or 8 of 512 and a page of PMDs; and the top level.
    ['2.6.24', '32-bit', 5],
    ['2.6.31', 'pae', 10],
  ] as const)('take from the room of the initrd: %s, %s, %i pages', (era, paging, count) => {
    const room = 15 * MIB - 0x1000 - count * 0x1000;
    const given = (size: number) => ({ memory: 16 * MIB, paging, initrd: new Uint8Array(size) });
    const entry = start(era, given(room));
    expect(regionNamed(entry, 'initrd').start).toBe(16 * MIB - room);
    expect(regionNamed(entry, 'linear page tables')).toMatchObject({
      start: 0x101000,
      size: count * 0x1000,
    });
    const error = protocolError(() => start(era, given(room + 1)));
    expect(error.code).toBe('initrd-too-big');
    expect(error.message).toContain(
      `the initrd is ${room + 1} bytes long; at most ${room} fit between 0x00101000`,
    );
    expect(error.message).toContain(`beside ${count * 0x1000} bytes of page tables`);
  });

  it('are 32-bit ones before 2.6.31', () => {
    const error = protocolError(() => start('2.6.29', { paging: 'pae' }));
    expect([error.code, error.usage]).toEqual(['bad-knob', true]);
    expect(() => start('2.6.31', { paging: 'pae' })).not.toThrow();
  });
});

describe('what the host makes of a Stop, by era', () => {
  const cli: Stop = {
    ...common('fa'),
    kind: 'iopl-sensitive-instruction',
    rule: 'cli',
    exception: { vector: 13, errorCode: 0 },
  };
  const call = (number: number, via: 'int' | 'vmcall' = 'int'): Stop => ({
    ...common('cd 1f'),
    kind: 'hypercall',
    via,
    ...(via === 'int' ? { vector: 0x1f } : {}),
    number,
    arguments: [],
  });
  const outcome = (stop: Stop, era: string) => lguest.reaction(stop, start(era)).outcome;

  it('cli is skipped from 2.6.34 on', () => {
    expect(['2.6.23', '2.6.33', '2.6.34', '4.13'].map(era => outcome(cli, era))).toEqual([
      'kills',
      'kills',
      'skips',
      'skips',
    ]);
    expect(lguest.reaction(cli).outcome).toBe('skips');
  });

  it('a hypercall that the version does not have kills', () => {
    expect([outcome(call(17), '3.10'), outcome(call(17), '4.13'), outcome(call(17), '2.6.23')]).toEqual([
      'handles',
      'kills',
      'kills',
    ]);
    expect(lguest.reaction(call(17), start('4.13')).sentence).toBe(
      'lguest of Linux 4.13 has no hypercall LHCALL_NOTIFY and kills the guest.',
    );
  });

  it('vmcall is rewritten by those that take it', () => {
    expect(outcome(call(1, 'vmcall'), '2.6.31')).toBe('handles');
    const invalid: Stop = { ...common('0f 01 c1'), kind: 'invalid-opcode', exception: { vector: 6 } };
    expect(outcome(invalid, '2.6.29')).toBe('kills');
    expect(lguest.advice(invalid, genuine(), start('4.13')).join()).toContain('--era 2.6.31');
  });

  it('a page that is not mapped is another matter with the guest’s own tables', () => {
    const sentence = (era: string) => lguest.reaction(STOPS['page-fault'], start(era)).sentence;
    expect(sentence('2.6.23')).toContain('at PAGE_OFFSET alone');
    expect(sentence('2.6.24')).toContain('all guest memory 1:1');
    expect(sentence('2.6.31')).toContain('1:1 and at PAGE_OFFSET');
    expect(sentence('3.10')).toContain('on demand');
  });
});

describe('where it starts', () => {
  it('2.6.23: behind "GenuineLguest", at the virtual address', () => {
    expect(start('2.6.23').eip).toBe(0xc0100012);
  });

  it('2.6.24 and later: at e_entry as it is', () => {
    expect(start('2.6.24').eip).toBe(0x100000);
    const high = genuine({ entry: 0xc0100000 });
    expect(lguest.entryState(high, { era: '2.6.29' }).eip).toBe(0xc0100000);
    for (const era of ['2.6.24', '4.13']) {
      expect(protocolError(() => lguest.entryState(high, { era })).code).toBe('entry-outside-image');
    }
  });

  it('2.6.23: nowhere without the string', () => {
    const error = protocolError(() => lguest.entryState(vmlinux(), { era: '2.6.23' }));
    expect([error.code, error.usage]).toEqual(['no-lguest-entry', false]);
  });

  it('2.6.23: nowhere when segments do not agree on PAGE_OFFSET', () => {
    const image = genuine();
    const odd = segment('LOAD 1', 0x200000, 0xd0200000, Uint8Array.of(0), 1);
    const error = protocolError(() =>
      lguest.entryState({ ...image, segments: [...image.segments, odd] }, { era: '2.6.23' }),
    );
    expect(error.code).toBe('page-offset');
    expect(error.message).toContain('0xc0000000 and 0xd0000000');
  });

  it('2.6.23: not without paging', () => {
    const error = protocolError(() => start('2.6.23', { paging: 'off' }));
    expect([error.code, error.usage]).toEqual(['bad-knob', true]);
  });
});

describe('a bzImage under 2.6.23 (load_bzimage, unpack_bzimage, intuit_page_offset)', () => {
  /** The raw vmlinux.bin of the time: four loads of EAX from 0xc0…, then the string. */
  const kernel = (loads = 4): Uint8Array =>
    Uint8Array.from([
      ...Array.from({ length: loads }, () => [0xa1, 0x18, 0x60, 0x47, 0xc0]).flat(),
      ...ascii('GenuineLguest'),
      0xcd,
      0x1f,
    ]);
  const packed = (contents: Uint8Array, os = 3): Uint8Array => {
    const gzip = new Uint8Array(gzipSync(contents));
    gzip[9] = os;
    return gzip;
  };
  const image = (gzip: Uint8Array) => {
    const plain = bzImage();
    const code = Uint8Array.from([...Array(100).fill(0x90), ...gzip, 1, 2, 3, 4]);
    return { ...plain, segments: [segment('protected-mode code', 0x100000, 0x100000, code, code.length)] };
  };

  it('is unpacked to 1 MiB and entered behind the string, at the PAGE_OFFSET that the code shows', () => {
    const entry = lguest.entryState(image(packed(kernel())), { era: '2.6.23' });
    expect(bytesOf(entry, 'unpacked kernel')).toEqual(kernel());
    expect(regionNamed(entry, 'unpacked kernel').start).toBe(0x100000);
    expect(entry.eip).toBe(0xc0100000 + 20 + 13);
  });

  it('needs four loads that agree', () => {
    const run = () => lguest.entryState(image(packed(kernel(3))), { era: '2.6.23' });
    expect(protocolError(run).code).toBe('page-offset');
  });

  it('needs gzip data, packed under Unix and whole', () => {
    const code = (gzip: Uint8Array) =>
      protocolError(() => lguest.entryState(image(gzip), { era: '2.6.23' })).message;
    expect(code(Uint8Array.of())).toContain('no gzip header');
    expect(code(packed(kernel(), 0))).toContain('under Unix');
    expect(code(packed(kernel()).subarray(0, 20))).toContain('corrupt');
  });

  it('may not be larger than memory', () => {
    const run = () =>
      lguest.entryState(image(packed(new Uint8Array(8 * MIB))), { era: '2.6.23', memory: 4 * MIB });
    expect(protocolError(run).code).toBe('image-too-big');
  });
});
