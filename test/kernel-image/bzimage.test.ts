import { describe, expect, it } from 'vitest';
import {
  detectPayloadFormat,
  physicalEntry,
  protocolVersion,
  readKernelImage,
} from '../../src/kernel-image/index.ts';
import type { BzImage } from '../../src/kernel-image/kernel-image.ts';
import { type BzImageSpec, buildBzImage } from '../support/bzimage-builder.ts';
import { patched } from '../support/elf-builder.ts';
import { refusal } from './expect-error.ts';

function read(spec: BzImageSpec | Uint8Array): BzImage {
  const image = readKernelImage(spec instanceof Uint8Array ? spec : buildBzImage(spec), { name: 'kernel' });
  if (image.format !== 'bzimage') throw new Error('not a BzImage');
  return image;
}

const codes = (image: BzImage) => image.warnings.map(warning => warning.code);

describe('the setup header', () => {
  it('has every field of version 2.15, at the offsets of boot.rst', () => {
    const { setup } = read({ version: 0x020f });
    expect(
      setup.fields.map(
        ({ name, offset, size, since }) => `${offset.toString(16)}/${size} ${name} ${since.toString(16)}`,
      ),
    ).toEqual([
      '1f1/1 setup_sects 0',
      '1f2/2 root_flags 0',
      '1f4/4 syssize 0',
      '1f8/2 ram_size 0',
      '1fa/2 vid_mode 0',
      '1fc/2 root_dev 0',
      '1fe/2 boot_flag 0',
      '200/2 jump 200',
      '202/4 header 200',
      '206/2 version 200',
      '208/4 realmode_swtch 200',
      '20c/2 start_sys_seg 200',
      '20e/2 kernel_version 200',
      '210/1 type_of_loader 200',
      '211/1 loadflags 200',
      '212/2 setup_move_size 200',
      '214/4 code32_start 200',
      '218/4 ramdisk_image 200',
      '21c/4 ramdisk_size 200',
      '220/4 bootsect_kludge 200',
      '224/2 heap_end_ptr 201',
      '226/1 ext_loader_ver 202',
      '227/1 ext_loader_type 202',
      '228/4 cmd_line_ptr 202',
      '22c/4 initrd_addr_max 203',
      '230/4 kernel_alignment 205',
      '234/1 relocatable_kernel 205',
      '235/1 min_alignment 20a',
      '236/2 xloadflags 20c',
      '238/4 cmdline_size 206',
      '23c/4 hardware_subarch 207',
      '240/8 hardware_subarch_data 207',
      '248/4 payload_offset 208',
      '24c/4 payload_length 208',
      '250/8 setup_data 209',
      '258/8 pref_address 20a',
      '260/4 init_size 20a',
      '264/4 handover_offset 20b',
      '268/4 kernel_info_offset 20f',
    ]);
  });

  it.each([
    [0x0200, 'bootsect_kludge'],
    [0x0201, 'heap_end_ptr'],
    [0x0202, 'cmd_line_ptr'],
    [0x0203, 'initrd_addr_max'],
    [0x0205, 'relocatable_kernel'],
    [0x0206, 'cmdline_size'],
    [0x0207, 'hardware_subarch_data'],
    [0x0208, 'payload_length'],
    [0x0209, 'setup_data'],
    [0x020a, 'init_size'],
    [0x020b, 'handover_offset'],
  ])('of version %i ends with %s', (version, last) => {
    expect(read({ version }).setup.fields.at(-1)?.name).toBe(last);
  });

  it('has syssize with 2 bytes before 2.04', () => {
    const size = (version: number) =>
      read({ version }).setup.fields.find(({ name }) => name === 'syssize')?.size;
    expect([size(0x0203), size(0x0204)]).toEqual([2, 4]);
  });

  it('is read by its values', () => {
    const { setup } = read({
      version: 0x020f,
      fields: [
        [0x22c, 4, 0x7fffffff],
        [0x230, 4, 0x200000],
        [0x234, 1, 1],
        [0x236, 2, 0x7f],
        [0x238, 4, 2047],
        [0x240, 8, 0x1122334455],
        [0x258, 8, 0x1000000],
        [0x260, 4, 0x900000],
      ],
      kernelVersion: '6.1.0 (builder@example) #1',
    });
    expect(setup).toMatchObject({
      version: 0x020f,
      setupSects: 1,
      end: 0x26c,
      loadflags: 1,
      code32Start: 0x100000,
      relocatable: true,
      kernelAlignment: 0x200000,
      prefAddress: 0x1000000,
      initSize: 0x900000,
      initrdAddrMax: 0x7fffffff,
      cmdlineSize: 2047,
      xloadflags: 0x7f,
      kernelVersion: '6.1.0 (builder@example) #1',
    });
    expect(setup.fields.find(({ name }) => name === 'hardware_subarch_data')?.value).toBe(0x1122334455n);
  });

  it('is what a loader copies: from 0x1f1 to 0x202 + the byte at 0x201', () => {
    const file = buildBzImage();
    expect(read(file).setup.raw).toEqual(file.subarray(0x1f1, 0x26c));
  });

  it('has no field past its end, and warns', () => {
    const image = read({ version: 0x0206, jump: 0x30, fields: [[0x238, 4, 100]] });
    expect(image.setup.fields.at(-1)?.name).toBe('initrd_addr_max');
    expect(image.setup.cmdlineSize).toBe(0);
    expect(image.warnings).toEqual([
      {
        code: 'setup-header-short',
        message:
          'the setup header ends at offset 0x232, before fields that version 2.06 has: kernel_alignment, relocatable_kernel, cmdline_size',
      },
    ]);
  });

  it('ignores what stands at the offset of a field that the version does not have', () => {
    const { setup } = read({
      version: 0x0204,
      fields: [
        [0x234, 1, 1],
        [0x258, 8, 0x1000000],
        [0x260, 4, 0x900000],
      ],
    });
    expect(setup).toMatchObject({ relocatable: false, prefAddress: 0, initSize: 0 });
  });

  it.each([
    ['a version later than 2.15', { version: 0x0210 }, 'boot-protocol-version-unknown'],
    ['no boot flag', { fields: [[0x1fe, 2, 0]] }, 'boot-flag'],
    ['no short jump at 0x200', { fields: [[0x200, 1, 0x90]] }, 'setup-header-jump'],
    ['an end past the room in boot_params', { jump: 0x8f }, 'setup-header-end'],
    [
      'a kernel_version outside the setup code',
      { fields: [[0x20e, 2, 0x200]] },
      'kernel-version-outside-setup',
    ],
  ] satisfies readonly (readonly [string, BzImageSpec, string])[])(
    'with %s is read with a warning',
    (_what, spec, code) => {
      expect(codes(read(spec))).toEqual([code]);
    },
  );

  it('shows its version as boot.rst writes it', () => {
    expect([0x0200, 0x020a, 0x020f].map(protocolVersion)).toEqual(['2.00', '2.10', '2.15']);
  });
});

describe('the protected-mode code', () => {
  it('starts after setup_sects + 1 sectors, and 0 sectors are 4', () => {
    expect(read({ setupSects: 2 }).protectedModeOffset).toBe(3 * 512);
    const zero = read({ setupSects: 0 });
    expect([zero.setup.setupSects, zero.protectedModeOffset]).toEqual([4, 5 * 512]);
    expect(zero.segments[0]?.contents).toEqual(Uint8Array.of(0xfc, 0xfa));
  });

  it('is one segment, with its first byte the entry', () => {
    const image = read({});
    expect(image.segments).toEqual([
      {
        name: 'protected-mode code',
        physical: 0x100000,
        virtual: 0x100000,
        contents: Uint8Array.of(0xfc, 0xfa),
        memorySize: 2,
        fileOffset: 1024,
        readable: true,
        writable: true,
        executable: true,
      },
    ]);
    expect(physicalEntry(image)).toBe(0x100000);
  });

  const PREF = [0x258, 8, 0x1000000] as const;
  const RELOCATABLE = [0x234, 1, 1] as const;
  it.each([
    ['LOADED_HIGH: 1 MiB', { version: 0x0204 }, 0x100000],
    ['not relocatable: 1 MiB whatever pref_address is', { fields: [PREF] }, 0x100000],
    ['relocatable: pref_address', { fields: [RELOCATABLE, PREF] }, 0x1000000],
    ['relocatable before 2.10: 1 MiB', { version: 0x0209, fields: [RELOCATABLE] }, 0x100000],
    [
      'zImage that does not move: 64 KiB',
      {
        fields: [
          [0x211, 1, 0],
          [0x214, 4, 0x10000],
        ],
      },
      0x10000,
    ],
  ] satisfies readonly (readonly [string, BzImageSpec, number])[])(
    'is loaded by default where boot.rst says; %s',
    (_what, spec, address) => {
      const image = read(spec);
      expect(image.segments[0]?.physical).toBe(address);
      expect(image.warnings).toEqual([]);
    },
  );

  it('of a zImage is loaded where its setup moves it, and a warning says so', () => {
    const image = read({
      fields: [
        [0x211, 1, 0],
        [0x214, 4, 0x1000],
      ],
    });
    expect(physicalEntry(image)).toBe(0x1000);
    expect(image.warnings).toEqual([
      {
        code: 'zimage',
        message:
          'this zImage is loaded at 0x1000, its code32_start: a boot loader reads it to 0x10000, and its real-mode setup, which does not run here, moves it from there',
      },
    ]);
  });

  it('takes init_size bytes, and never less than the file has', () => {
    expect(read({ fields: [[0x260, 4, 0x900000]] }).segments[0]?.memorySize).toBe(0x900000);
    expect(read({ fields: [[0x260, 4, 1]] }).segments[0]?.memorySize).toBe(2);
  });

  it('is 64-bit by XLF_KERNEL_64 from 2.12, by the class of an uncompressed payload before', () => {
    const elf64 = {
      code: Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 0, 0, 0),
      fields: [[0x24c, 4, 8]],
    } as const;
    expect(read({ version: 0x020c, fields: [[0x236, 2, 1]] }).is64Bit).toBe(true);
    expect(read({ version: 0x020c, ...elf64 }).is64Bit).toBe(false);
    expect(read({ version: 0x020b, ...elf64 }).is64Bit).toBe(true);
    expect(read({ version: 0x020b }).is64Bit).toBe(false);
  });
});

describe('the payload', () => {
  it('is found from the start of the protected-mode code', () => {
    const image = read({
      code: Uint8Array.of(0xfc, 0xfa, 0xfd, 0x37, 0x7a, 0x58),
      fields: [
        [0x248, 4, 2],
        [0x24c, 4, 4],
      ],
    });
    expect(image.payload).toEqual({ offset: 1026, length: 4, format: 'xz', found: 'header' });
  });

  it('is absent when the header gives no length, or is older than 2.08', () => {
    expect(read({})).not.toHaveProperty('payload');
    expect(read({ version: 0x0207, fields: [[0x24c, 4, 1]] })).not.toHaveProperty('payload');
  });

  it.each([
    [3, 0],
    [0, 0xffff_ffff],
    [0xffff_ffff, 2],
  ])(
    'outside the file (offset %i, length %i) is a warning: the 32-bit entry still runs',
    (offset, length) => {
      const image = read({
        fields: [
          [0x248, 4, offset],
          [0x24c, 4, length || 1],
        ],
      });
      expect(codes(image)).toEqual(['payload-outside-file']);
      expect(image).not.toHaveProperty('payload');
    },
  );

  it.each([
    ['1f8b', 'gzip'],
    ['1f9e', 'gzip'],
    ['425a', 'bzip2'],
    ['5d00', 'lzma'],
    ['fd37', 'xz'],
    ['0221', 'lz4'],
    ['28b5', 'zstd'],
    ['894c5a4f', 'lzo'],
    ['7f454c46', 'elf'],
    ['894c5a00', 'unknown'],
    ['', 'unknown'],
  ])('that starts with %s is %s', (magic, format) => {
    expect(detectPayloadFormat(Buffer.from(magic, 'hex'))).toBe(format);
  });
});

describe('a bzImage that cannot be started is refused:', () => {
  const good = buildBzImage({ code: new Uint8Array(64) });
  const cases: readonly (readonly [what: string, file: Uint8Array, code: string, message: string])[] = [
    [
      'no HdrS: older than 2.00, or a boot sector',
      patched(good, 0x202, [0, 0, 0, 0]),
      'no-hdrs',
      'kernel: boot_flag 0xaa55 at offset 0x1fe but no HdrS: 00 00 00 00 at offset 0x202; expected "HdrS", which every kernel since boot protocol 2.00 (Linux 1.3.73) has',
    ],
    [
      'a version before 2.00',
      buildBzImage({ version: 0x0105 }),
      'boot-protocol-version',
      'kernel: the boot protocol version at offset 0x206 is 0x105; expected 0x200 (2.00) or later',
    ],
    [
      'a header end before the fields of 2.00',
      buildBzImage({ jump: 0x15 }),
      'setup-header-end',
      'kernel: the setup header ends at offset 0x217 (0x202 + the byte at 0x201); expected 0x218 or more',
    ],
    [
      'cut just past the magic number',
      good.subarray(0, 0x206),
      'truncated-file',
      'kernel: the file ends at offset 0x206, inside its setup header; expected at least 0x218 bytes',
    ],
    [
      'cut inside the setup header',
      good.subarray(0, 0x26b),
      'truncated-file',
      'kernel: the file ends at offset 0x26b, inside its setup header; expected at least 0x26c bytes',
    ],
    [
      'setup_sects beyond the file',
      patched(good, 0x1f1, [255]),
      'truncated-file',
      'kernel: setup_sects at offset 0x1f1 is 255, which puts the protected-mode code at offset 0x20000; expected it inside the file of 0x440 bytes',
    ],
    [
      'no protected-mode code at all',
      good.subarray(0, 1024),
      'truncated-file',
      'kernel: setup_sects at offset 0x1f1 is 1, which puts the protected-mode code at offset 0x400; expected it inside the file of 0x400 bytes',
    ],
    [
      'a whole paragraph short of syssize',
      good.subarray(0, -16),
      'truncated-file',
      'kernel: the file ends at offset 0x430; expected 0x440 bytes, because syssize at offset 0x1f4 is 0x4 paragraphs of protected-mode code',
    ],
    [
      'an init_size past 4 GiB',
      buildBzImage({ fields: [[0x260, 4, 0xffff_ffff]] }),
      'segment-wraps',
      'kernel: the load address is 0x100000 and init_size at offset 0x260 has 0xffffffff bytes, which ends at 0x1000fffff; expected an end of at most 0x100000000',
    ],
    [
      'a pref_address past 4 GiB',
      buildBzImage({
        fields: [
          [0x234, 1, 1],
          [0x258, 8, 0x1_0000_0000],
        ],
      }),
      'segment-wraps',
      'kernel: pref_address at offset 0x258 is 0x100000000 and the protected-mode code has 0x2 bytes, which ends at 0x100000002; expected an end of at most 0x100000000',
    ],
  ];
  it.each(cases)('%s', (_what, file, code, message) => {
    expect(refusal(file)).toEqual({ code, message });
  });

  it('but not for a last paragraph that is cut, nor for syssize before 2.04', () => {
    expect(read(good.subarray(0, -15)).segments[0]?.contents).toHaveLength(49);
    expect(read(patched(good, 0x206, [3, 2]).subarray(0, -32)).segments[0]?.contents).toHaveLength(32);
  });
});
