/** The setup_header of the Linux/x86 boot protocol: Linux Documentation/x86/boot.rst, arch/x86/include/uapi/asm/bootparam.h. */

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
