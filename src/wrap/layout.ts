/** Where wrap fills something in: parameters.S, and the setup header of boot.rst. */

/** The boot sector and the setup code; the 32-bit code follows it in the stub (stub.S). */
export const SETUP_SIZE = 0x1000;
export const SECTOR = 512;
/** The setup code keeps boot_params at this offset of its segment, so the setup part must end below it (setup.S). */
export const LONGEST_SETUP = 0x6000;
/** Memory that the 32-bit code needs below the place that it moves to (place.S, BSS_SIZE). */
export const BSS_SIZE = 0xc000;

/** The parameters: 32-bit words, the last of the stub, in this order (parameters.S). */
export const PARAMETERS = [
  'kind',
  'relocatable',
  'alignment',
  'linkStart',
  'workspace',
  'imageSize',
  'payload',
  'deflate',
  'payloadEnd',
  'entry',
  'relocationCount',
  'virtualOffset',
  'message',
  'segmentCount',
] as const;
export type Parameter = (typeof PARAMETERS)[number];
/** Bytes of one entry of the segment table, which follows the parameters (place.S). */
export const SEGMENT_ENTRY_SIZE = 16;
export const KIND_ELF = 0;
export const KIND_GZIP = 1;
export const KIND_FOREIGN = 2;
/** Bytes for the message of a stub that cannot unpack its payload, the NUL included (place.S). */
export const MESSAGE_SIZE = 128;

/** boot.rst, "The Real-Mode Kernel Header": offsets in the file. */
export const SETUP_SECTS = 0x1f1;
export const SYSSIZE = 0x1f4;
export const KERNEL_ALIGNMENT = 0x230;
export const RELOCATABLE_KERNEL = 0x234;
export const MIN_ALIGNMENT = 0x235;
export const PAYLOAD_OFFSET = 0x248;
export const PAYLOAD_LENGTH = 0x24c;
export const PREF_ADDRESS = 0x258;
export const INIT_SIZE = 0x260;
export const PARAGRAPH = 16;
export const CRC_SIZE = 4;
/** Where a loader puts the code of a bzImage that is not relocatable, and the first one that wrap places a kernel at. */
export const LOAD_ADDRESS = 0x100000;

/** The ELF header in front: Biederman's of 2006 has its program headers at 80, after the code at 71 (setup.S). */
export const FRONT_PROGRAM_HEADERS = 80;
