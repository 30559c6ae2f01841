/**
 * Every field of struct boot_params, in address order: Linux 6.1 Documentation/x86/zero-page.rst,
 * arch/x86/include/uapi/asm/bootparam.h, include/uapi/linux/{screen_info,apm_bios}.h.
 */
import type { LayoutField, StructureLayout } from '../structure.ts';
import { BOOT_PARAMS_SIZE, E820_ENTRY_SIZE, E820_TABLE } from './layout.ts';

const LAYOUT_CITATION = 'Linux 6.1 Documentation/x86/zero-page.rst; include/uapi/asm/bootparam.h';

type Row = readonly [name: string, offset: number, size: number, as?: LayoutField['as']];

const rows = (list: readonly Row[], prefix = '', base = 0): readonly LayoutField[] =>
  list.map(([name, offset, size, as]) => ({
    name: `${prefix}${name}`,
    offset: base + offset,
    size,
    ...(as ? { as } : {}),
  }));

/** struct screen_info, packed. */
const SCREEN_INFO = rows(
  [
    ['orig_x', 0x00, 1],
    ['orig_y', 0x01, 1],
    ['ext_mem_k', 0x02, 2],
    ['orig_video_page', 0x04, 2],
    ['orig_video_mode', 0x06, 1],
    ['orig_video_cols', 0x07, 1],
    ['flags', 0x08, 1],
    ['orig_video_ega_bx', 0x0a, 2],
    ['orig_video_lines', 0x0e, 1],
    ['orig_video_isVGA', 0x0f, 1],
    ['orig_video_points', 0x10, 2],
    ['lfb_width', 0x12, 2],
    ['lfb_height', 0x14, 2],
    ['lfb_depth', 0x16, 2],
    ['lfb_base', 0x18, 4],
    ['lfb_size', 0x1c, 4],
    ['cl_magic', 0x20, 2],
    ['cl_offset', 0x22, 2],
    ['lfb_linelength', 0x24, 2],
    ['red_size', 0x26, 1],
    ['red_pos', 0x27, 1],
    ['green_size', 0x28, 1],
    ['green_pos', 0x29, 1],
    ['blue_size', 0x2a, 1],
    ['blue_pos', 0x2b, 1],
    ['rsvd_size', 0x2c, 1],
    ['rsvd_pos', 0x2d, 1],
    ['vesapm_seg', 0x2e, 2],
    ['vesapm_off', 0x30, 2],
    ['pages', 0x32, 2],
    ['vesa_attributes', 0x34, 2],
    ['capabilities', 0x36, 4],
    ['ext_lfb_base', 0x3a, 4],
  ],
  'screen_info.',
);

/** struct apm_bios_info; version 0: there is no APM. */
const APM_BIOS_INFO = rows(
  [
    ['version', 0x0, 2],
    ['cseg', 0x2, 2],
    ['offset', 0x4, 4],
    ['cseg_16', 0x8, 2],
    ['dseg', 0xa, 2],
    ['flags', 0xc, 2],
    ['cseg_len', 0xe, 2],
    ['cseg_16_len', 0x10, 2],
    ['dseg_len', 0x12, 2],
  ],
  'apm_bios_info.',
  0x40,
);

const FIRMWARE = rows([
  ['tboot_addr', 0x058, 8],
  ['ist_info', 0x060, 16],
  ['acpi_rsdp_addr', 0x070, 8],
  ['hd0_info', 0x080, 16],
  ['hd1_info', 0x090, 16],
  ['sys_desc_table', 0x0a0, 16],
  ['olpc_ofw_header', 0x0b0, 16],
  ['ext_ramdisk_image', 0x0c0, 4],
  ['ext_ramdisk_size', 0x0c4, 4],
  ['ext_cmd_line_ptr', 0x0c8, 4],
  ['cc_blob_address', 0x13c, 4],
  ['edid_info', 0x140, 128],
  ['efi_info', 0x1c0, 32],
  ['alt_mem_k', 0x1e0, 4],
  ['scratch', 0x1e4, 4],
  ['e820_entries', 0x1e8, 1],
  ['eddbuf_entries', 0x1e9, 1],
  ['edd_mbr_sig_buf_entries', 0x1ea, 1],
  ['kbd_status', 0x1eb, 1],
  ['secure_boot', 0x1ec, 1],
  ['sentinel', 0x1ef, 1],
]);

/** struct setup_header; the offsets are those of the file. */
const SETUP_HEADER = rows(
  [
    ['setup_sects', 0x1f1, 1],
    ['root_flags', 0x1f2, 2],
    ['syssize', 0x1f4, 4],
    ['ram_size', 0x1f8, 2],
    ['vid_mode', 0x1fa, 2],
    ['root_dev', 0x1fc, 2],
    ['boot_flag', 0x1fe, 2],
    ['jump', 0x200, 2],
    ['header', 0x202, 4],
    ['version', 0x206, 2],
    ['realmode_swtch', 0x208, 4],
    ['start_sys_seg', 0x20c, 2],
    ['kernel_version', 0x20e, 2],
    ['type_of_loader', 0x210, 1],
    ['loadflags', 0x211, 1],
    ['setup_move_size', 0x212, 2],
    ['code32_start', 0x214, 4],
    ['ramdisk_image', 0x218, 4],
    ['ramdisk_size', 0x21c, 4],
    ['bootsect_kludge', 0x220, 4],
    ['heap_end_ptr', 0x224, 2],
    ['ext_loader_ver', 0x226, 1],
    ['ext_loader_type', 0x227, 1],
    ['cmd_line_ptr', 0x228, 4],
    ['initrd_addr_max', 0x22c, 4],
    ['kernel_alignment', 0x230, 4],
    ['relocatable_kernel', 0x234, 1],
    ['min_alignment', 0x235, 1],
    ['xloadflags', 0x236, 2],
    ['cmdline_size', 0x238, 4],
    ['hardware_subarch', 0x23c, 4],
    ['hardware_subarch_data', 0x240, 8],
    ['payload_offset', 0x248, 4],
    ['payload_length', 0x24c, 4],
    ['setup_data', 0x250, 8],
    ['pref_address', 0x258, 8],
    ['init_size', 0x260, 4],
    ['handover_offset', 0x264, 4],
    ['kernel_info_offset', 0x268, 4],
  ],
  'hdr.',
);

const EDD_MBR_SIG_BUFFER = rows([['edd_mbr_sig_buffer', 0x290, 64]]);
const EDDBUF = rows([['eddbuf', 0xd00, 492]]);

/** e820_table has this many entries (E820_MAX_ENTRIES_ZEROPAGE). */
export const E820_MAX_ENTRIES = 128;

const e820Entry = (index: number): readonly LayoutField[] =>
  rows(
    [
      ['addr', 0x0, 8],
      ['size', 0x8, 8],
      ['type', 0x10, 4],
    ],
    `e820_table[${index}].`,
    E820_TABLE + index * E820_ENTRY_SIZE,
  );

/** Every field before the e820 table; those after it do not differ from one boot_params to the next either. */
const BOOT_PARAMS_FIELDS: readonly LayoutField[] = [
  ...SCREEN_INFO,
  ...APM_BIOS_INFO,
  ...FIRMWARE,
  ...SETUP_HEADER,
  ...EDD_MBR_SIG_BUFFER,
];

/** @param e820Entries how many entries of e820_table are in use, 0 to {@link E820_MAX_ENTRIES} */
export const bootParamsLayout = (e820Entries: number): StructureLayout => ({
  name: 'boot_params',
  size: BOOT_PARAMS_SIZE,
  citation: LAYOUT_CITATION,
  fields: [
    ...BOOT_PARAMS_FIELDS,
    ...Array.from({ length: e820Entries }, (_, index) => e820Entry(index)).flat(),
    ...EDDBUF,
  ],
});
