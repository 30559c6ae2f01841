/** Where wrap fills something in: parameters.S. */

/** The boot sector and the setup code; the 32-bit code follows it in the stub (stub.S). */
export const SETUP_SIZE = 0x1000;
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

/** Of the image checksum, the last word of the file (boot.rst). */
export const CRC_SIZE = 4;
/** The ELF header in front: Biederman's of 2006 has its program headers at 80, after the code at 71 (setup.S). */
export const FRONT_PROGRAM_HEADERS = 80;
