/** The setup_header of the Linux/x86 boot protocol: Linux 6.1 Documentation/x86/boot.rst, arch/x86/include/uapi/asm/bootparam.h. */

interface FieldSpec {
  readonly offset: number;
  readonly size: 1 | 2 | 4 | 8;
  readonly since: number;
}

/**
 * Every field, in file order; offsets are the same in the file and in boot_params. `since` 0: older than version 2.00, in
 * every image.
 */
export const SETUP_HEADER_FIELDS = {
  setup_sects: { offset: 0x1f1, size: 1, since: 0 },
  root_flags: { offset: 0x1f2, size: 2, since: 0 },
  syssize: { offset: 0x1f4, size: 4, since: 0 },
  ram_size: { offset: 0x1f8, size: 2, since: 0 },
  vid_mode: { offset: 0x1fa, size: 2, since: 0 },
  root_dev: { offset: 0x1fc, size: 2, since: 0 },
  boot_flag: { offset: 0x1fe, size: 2, since: 0 },
  jump: { offset: 0x200, size: 2, since: 0x0200 },
  header: { offset: 0x202, size: 4, since: 0x0200 },
  version: { offset: 0x206, size: 2, since: 0x0200 },
  realmode_swtch: { offset: 0x208, size: 4, since: 0x0200 },
  start_sys_seg: { offset: 0x20c, size: 2, since: 0x0200 },
  kernel_version: { offset: 0x20e, size: 2, since: 0x0200 },
  type_of_loader: { offset: 0x210, size: 1, since: 0x0200 },
  loadflags: { offset: 0x211, size: 1, since: 0x0200 },
  setup_move_size: { offset: 0x212, size: 2, since: 0x0200 },
  code32_start: { offset: 0x214, size: 4, since: 0x0200 },
  ramdisk_image: { offset: 0x218, size: 4, since: 0x0200 },
  ramdisk_size: { offset: 0x21c, size: 4, since: 0x0200 },
  bootsect_kludge: { offset: 0x220, size: 4, since: 0x0200 },
  heap_end_ptr: { offset: 0x224, size: 2, since: 0x0201 },
  ext_loader_ver: { offset: 0x226, size: 1, since: 0x0202 },
  ext_loader_type: { offset: 0x227, size: 1, since: 0x0202 },
  cmd_line_ptr: { offset: 0x228, size: 4, since: 0x0202 },
  initrd_addr_max: { offset: 0x22c, size: 4, since: 0x0203 },
  kernel_alignment: { offset: 0x230, size: 4, since: 0x0205 },
  relocatable_kernel: { offset: 0x234, size: 1, since: 0x0205 },
  min_alignment: { offset: 0x235, size: 1, since: 0x020a },
  xloadflags: { offset: 0x236, size: 2, since: 0x020c },
  cmdline_size: { offset: 0x238, size: 4, since: 0x0206 },
  hardware_subarch: { offset: 0x23c, size: 4, since: 0x0207 },
  hardware_subarch_data: { offset: 0x240, size: 8, since: 0x0207 },
  payload_offset: { offset: 0x248, size: 4, since: 0x0208 },
  payload_length: { offset: 0x24c, size: 4, since: 0x0208 },
  setup_data: { offset: 0x250, size: 8, since: 0x0209 },
  pref_address: { offset: 0x258, size: 8, since: 0x020a },
  init_size: { offset: 0x260, size: 4, since: 0x020a },
  handover_offset: { offset: 0x264, size: 4, since: 0x020b },
  kernel_info_offset: { offset: 0x268, size: 4, since: 0x020f },
} as const satisfies Readonly<Record<string, FieldSpec>>;

/** At boot_flag. */
export const BOOT_FLAG_MAGIC = 0xaa55;
/** "HdrS", at header. */
export const HEADER_MAGIC = 0x53726448;

/** Where the protected-mode code goes when LOADED_HIGH is set and nothing else is said. */
export const HIGH_LOAD_ADDRESS = 0x100000;
/** syssize counts in these. */
export const PARAGRAPH = 16;

/** Bits of loadflags. */
export const LOADED_HIGH = 1 << 0;
export const KEEP_SEGMENTS = 1 << 6;
export const CAN_USE_HEAP = 1 << 7;
/** Bit of xloadflags (2.12). */
export const XLF_KERNEL_64 = 1 << 0;

/** By bit number. */
const BIT_NAMES = {
  loadflags: { 0: 'LOADED_HIGH', 1: 'KASLR_FLAG', 5: 'QUIET_FLAG', 6: 'KEEP_SEGMENTS', 7: 'CAN_USE_HEAP' },
  xloadflags: {
    0: 'XLF_KERNEL_64',
    1: 'XLF_CAN_BE_LOADED_ABOVE_4G',
    2: 'XLF_EFI_HANDOVER_32',
    3: 'XLF_EFI_HANDOVER_64',
    4: 'XLF_EFI_KEXEC',
    5: 'XLF_5LEVEL',
    6: 'XLF_5LEVEL_ENABLED',
  },
} as const;

/** The names of the bits that are set, lowest first; bits without a name are left out. */
export const setupFlagNames = (field: 'loadflags' | 'xloadflags', value: number): string[] =>
  Object.entries(BIT_NAMES[field])
    .filter(([bit]) => (value >>> Number(bit)) & 1)
    .map(([, name]) => name);

/** One field of the header as read; a field that the image's protocol version does not have is absent. */
export interface SetupHeaderField {
  readonly name: string;
  /** In the file and in boot_params alike. */
  readonly offset: number;
  readonly size: 1 | 2 | 4 | 8;
  /** u64 fields hold a bigint. */
  readonly value: number | bigint;
  /** The first protocol version that has it, e.g. 0x0207. */
  readonly since: number;
}

export interface SetupHeader {
  /** e.g. 0x020f. */
  readonly version: number;
  /** 0 in the file is 4 here. */
  readonly setupSects: number;
  /** File offset just past the header: 0x202 + byte[0x201]. */
  readonly end: number;
  /** Bytes 0x1f1 to `end` of the file, as a loader copies them. */
  readonly raw: Uint8Array;
  readonly fields: readonly SetupHeaderField[];
  readonly loadflags: number;
  readonly code32Start: number;
  readonly relocatable: boolean;
  /** 0 when the version has no such field. */
  readonly kernelAlignment: number;
  readonly prefAddress: number;
  readonly initSize: number;
  readonly initrdAddrMax: number;
  readonly cmdlineSize: number;
  readonly xloadflags: number;
  readonly kernelVersion?: string;
}
