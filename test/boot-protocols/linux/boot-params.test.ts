import { describe, expect, it } from 'vitest';
import { buildBootParams, describeBootParams } from '../../../boot-protocols/linux/boot-params.ts';
import { bootParamsLayout } from '../../../boot-protocols/linux/boot-params-layout.ts';
import { loaderName } from '../../../boot-protocols/linux/meanings.ts';

describe('the layout of boot_params (bootparam.h, zero-page.rst)', () => {
  const { size, fields } = bootParamsLayout(2);
  const offsets = Object.fromEntries(fields.map(field => [field.name, field.offset]));

  it.each([
    ['screen_info.ext_mem_k', 0x02],
    ['screen_info.cl_magic', 0x20],
    ['screen_info.capabilities', 0x36],
    ['apm_bios_info.version', 0x40],
    ['acpi_rsdp_addr', 0x70],
    ['olpc_ofw_header', 0xb0],
    ['ext_cmd_line_ptr', 0xc8],
    ['edid_info', 0x140],
    ['efi_info', 0x1c0],
    ['alt_mem_k', 0x1e0],
    ['scratch', 0x1e4],
    ['e820_entries', 0x1e8],
    ['sentinel', 0x1ef],
    ['hdr.setup_sects', 0x1f1],
    ['hdr.type_of_loader', 0x210],
    ['hdr.loadflags', 0x211],
    ['hdr.cmd_line_ptr', 0x228],
    ['hdr.initrd_addr_max', 0x22c],
    ['hdr.kernel_alignment', 0x230],
    ['hdr.hardware_subarch', 0x23c],
    ['hdr.hardware_subarch_data', 0x240],
    ['hdr.setup_data', 0x250],
    ['hdr.pref_address', 0x258],
    ['hdr.init_size', 0x260],
    ['hdr.kernel_info_offset', 0x268],
    ['edd_mbr_sig_buffer', 0x290],
    ['e820_table[0].addr', 0x2d0],
    ['e820_table[1].type', 0x2f4],
    ['eddbuf', 0xd00],
  ])('has %s at %i', (name, offset) => {
    expect(offsets[name]).toBe(offset);
  });

  it('is 4096 bytes of fields that do not overlap, in the order of their offsets', () => {
    expect(size).toBe(4096);
    let end = 0;
    for (const field of fields) {
      expect(field.offset).toBeGreaterThanOrEqual(end);
      end = field.offset + field.size;
    }
    expect(end).toBeLessThanOrEqual(size);
  });
});

describe('what a loader writes', () => {
  it('is a 64-bit pointer at 0x240 and a setup_data address at 0x250', () => {
    const { contents } = buildBootParams({
      e820: [],
      hardwareSubarch: 2,
      hardwareSubarchData: 0xf5800000,
      setupData: 0x123000,
    });
    const view = new DataView(contents.buffer);
    expect(view.getUint32(0x23c, true)).toBe(2);
    expect(view.getBigUint64(0x240, true)).toBe(0xf5800000n);
    expect(view.getBigUint64(0x250, true)).toBe(0x123000n);
  });

  it('wins over the header, and only in the fields that it names', () => {
    const header = new Uint8Array(0x230 - 0x1f1).fill(0x11);
    const params = buildBootParams({
      e820: [],
      header,
      typeOfLoader: 0x90,
      loadflags: { set: 0x40, clear: 0xff },
    });
    const { fields } = describeBootParams(params, 0x10000);
    const field = (name: string) => fields.find(candidate => candidate.name === name);
    expect(params.contents[0x210]).toBe(0x90);
    expect(params.contents[0x211]).toBe(0x40);
    expect(params.contents[0x22f]).toBe(0x11);
    expect(params.contents[0x230]).toBe(0);
    expect(field('hdr.type_of_loader')).toMatchObject({ by: 'loader', meaning: 'Xen, version 0' });
    expect(field('hdr.loadflags')).toMatchObject({ by: 'loader', meaning: 'KEEP_SEGMENTS' });
    expect(field('hdr.initrd_addr_max')).toMatchObject({ by: 'image' });
    expect(field('hdr.kernel_alignment')).toMatchObject({ by: 'zero' });
    expect(field('hdr.hardware_subarch')).not.toHaveProperty('meaning');
  });

  it('is any other field by its name, with a meaning and a citation of its own', () => {
    const params = buildBootParams({
      e820: [],
      others: { alt_mem_k: { value: 0xfc00, meaning: '63 MiB', citation: 'a loader' } },
    });
    expect(new DataView(params.contents.buffer).getUint32(0x1e0, true)).toBe(0xfc00);
    expect(params.written.alt_mem_k).toEqual({ by: 'loader', meaning: '63 MiB', citation: 'a loader' });
    expect(() => buildBootParams({ e820: [], others: { nonsense: { value: 1 } } })).toThrow(
      'boot_params has no field nonsense',
    );
  });

  it('has room for 128 entries of the memory map', () => {
    const e820 = Array.from({ length: 129 }, () => ({ start: 0, size: 1, type: 1 }));
    expect(buildBootParams({ e820: e820.slice(1) }).contents[0x1e8]).toBe(128);
    expect(() => buildBootParams({ e820 })).toThrow('there are 129');
  });
});

describe('type_of_loader (boot.rst)', () => {
  it.each([
    [0x00, 'LILO, version 0'],
    [0x72, 'GRUB, version 2'],
    [0x90, 'Xen, version 0'],
    [0xb0, 'Qemu, version 0'],
    [0xd0, 'kexec-tools, version 0'],
    [0xe0, 'see ext_loader_type'],
    [0xff, 'a loader without a number of its own'],
  ])('0x%s', (value, name) => {
    expect(loaderName(value)).toBe(name);
  });
});
