/**
 * Builds boot_params as a loader of the 32-bit boot protocol does: zeroed, then the header, then its own fields; and
 * says field by field who wrote what.
 */
import type { EntryStructure } from '../../emulator/entry-state.ts';
import { ProtocolError } from '../protocol.ts';
import {
  describeStructure,
  type LayoutField,
  loadNumber,
  storeNumber,
  WIDEST_NUMBER,
  type Written,
} from '../structure.ts';
import { bootParamsLayout, E820_MAX_ENTRIES } from './boot-params-layout.ts';
import * as layout from './layout.ts';
import { meaningOf } from './meanings.ts';

/** One entry of the BIOS memory map. Addresses and sizes in bytes. */
export interface E820Entry {
  readonly start: number;
  readonly size: number;
  readonly type: number;
}

/** A value for any field of boot_params that has up to 8 bytes. */
export interface FieldValue {
  readonly value: number;
  /** Absent: what the number means by bootparam.h, if anything. */
  readonly meaning?: string;
  /** Absent: the boot protocol. */
  readonly citation?: string;
}

/** Fields that a loader may write; one that is absent stays as the image's header has it, or zero. */
export interface BootParamsFields {
  /** Bytes 0x1f1 to the end of the header of a bzImage; absent for a bare vmlinux. */
  readonly header?: Uint8Array;
  /** Writes boot_flag 0xaa55 and "HdrS". */
  readonly signature?: boolean;
  readonly version?: number;
  readonly typeOfLoader?: number;
  readonly extLoaderVer?: number;
  readonly extLoaderType?: number;
  readonly loadflags?: { readonly set: number; readonly clear: number };
  readonly code32Start?: number;
  readonly initrd?: { readonly start: number; readonly size: number };
  readonly heapEndPtr?: number;
  readonly cmdLinePtr?: number;
  /** The command line of protocol 2.01 and older: its offset from 0x90000. */
  readonly oldCommandLine?: number;
  readonly kernelAlignment?: number;
  readonly hardwareSubarch?: number;
  /** A pointer for the subarch, as a 64-bit field at 0x240. */
  readonly hardwareSubarchData?: number;
  /** Physical address of the first setup_data node. */
  readonly setupData?: number;
  readonly e820: readonly E820Entry[];
  /** Any other field, by its name in the layout (`screen_info.ext_mem_k`, `alt_mem_k`, `hdr.vid_mode`); wins over the ones above. */
  readonly others?: Readonly<Record<string, FieldValue>>;
  /** By the field's name: where it is known from that this loader sets it so. Default: the boot protocol. */
  readonly citations?: Readonly<Record<string, string>>;
}

/** boot_params, and what is known about it. */
export interface BootParams {
  /** 4096 bytes. */
  readonly contents: Uint8Array;
  /** By the name of a field. */
  readonly written: Readonly<Record<string, Written>>;
  readonly e820Entries: number;
}

/** One field on its way into boot_params. */
type Write = readonly [name: string, value: FieldValue];

const number = (name: string, value: number | undefined): readonly Write[] =>
  value === undefined ? [] : [[name, { value }]];

/** In the order in which they are written; of two of the same name the later one stays. */
const writesOf = (fields: BootParamsFields, ownLoadflags: number): readonly Write[] => [
  ...(fields.signature
    ? [...number('hdr.boot_flag', layout.BOOT_FLAG_MAGIC), ...number('hdr.header', layout.HEADER_MAGIC)]
    : []),
  ...number('hdr.version', fields.version),
  ...number('hdr.type_of_loader', fields.typeOfLoader),
  ...number('hdr.ext_loader_ver', fields.extLoaderVer),
  ...number('hdr.ext_loader_type', fields.extLoaderType),
  ...number(
    'hdr.loadflags',
    fields.loadflags && (ownLoadflags & ~fields.loadflags.clear) | fields.loadflags.set,
  ),
  ...number('hdr.code32_start', fields.code32Start),
  ...number('hdr.ramdisk_image', fields.initrd?.start),
  ...number('hdr.ramdisk_size', fields.initrd?.size),
  ...number('hdr.heap_end_ptr', fields.heapEndPtr),
  ...number('hdr.cmd_line_ptr', fields.cmdLinePtr),
  ...(fields.oldCommandLine === undefined
    ? []
    : [
        ...number('screen_info.cl_magic', layout.CL_MAGIC_VALUE),
        ...number('screen_info.cl_offset', fields.oldCommandLine),
      ]),
  ...number('hdr.kernel_alignment', fields.kernelAlignment),
  ...number('hdr.hardware_subarch', fields.hardwareSubarch),
  ...number('hdr.hardware_subarch_data', fields.hardwareSubarchData),
  ...number('hdr.setup_data', fields.setupData),
  ...number('e820_entries', fields.e820.length),
  ...fields.e820.flatMap((entry, index) => [
    ...number(`e820_table[${index}].addr`, entry.start),
    ...number(`e820_table[${index}].size`, entry.size),
    ...number(`e820_table[${index}].type`, entry.type),
  ]),
  ...Object.entries(fields.others ?? {}),
];

const ZERO_PAGE = 'Linux Documentation/x86/zero-page.rst';
const BOOT_RST = 'Linux Documentation/x86/boot.rst';

/** The document that has a field asks the loader for it. */
const protocolOf = (name: string): string =>
  name.startsWith('hdr.') ? `${BOOT_RST}, "${name.slice('hdr.'.length)}"` : ZERO_PAGE;

/**
 * @throws {RangeError} for a field in `others` or `citations` that boot_params does not have, or for more than
 * {@link E820_MAX_ENTRIES} entries of the memory map
 */
export function buildBootParams(fields: BootParamsFields): BootParams {
  const e820Entries = fields.e820.length;
  if (e820Entries > E820_MAX_ENTRIES) {
    throw new RangeError(
      `boot_params has room for ${E820_MAX_ENTRIES} e820 entries; there are ${e820Entries}`,
    );
  }
  const contents = new Uint8Array(layout.BOOT_PARAMS_SIZE);
  const view = new DataView(contents.buffer);
  const header = fields.header?.subarray(0, layout.E820_TABLE - layout.SETUP_HEADER) ?? new Uint8Array();
  contents.set(header, layout.SETUP_HEADER);

  const byName = new Map(bootParamsLayout(e820Entries).fields.map(field => [field.name, field]));
  const find = (name: string): LayoutField => {
    const field = byName.get(name);
    if (!field) throw new RangeError(`boot_params has no field ${name}`);
    return field;
  };
  const written: Record<string, Written> = {};
  const meaning = (text: string | undefined) => (text === undefined ? {} : { meaning: text });

  const headerEnd = layout.SETUP_HEADER + header.length;
  for (const field of byName.values()) {
    const { name, offset, size } = field;
    if (offset < layout.SETUP_HEADER || offset + size > headerEnd) continue;
    const text = size <= WIDEST_NUMBER ? meaningOf(name, loadNumber(view, field), 'image') : undefined;
    written[name] = { by: 'image', ...meaning(text) };
  }
  for (const [name, given] of writesOf(fields, view.getUint8(layout.LOADFLAGS))) {
    const field = find(name);
    storeNumber(view, field, given.value);
    written[name] = {
      by: 'loader',
      ...meaning(given.meaning ?? meaningOf(name, loadNumber(view, field), 'loader')),
      citation: given.citation ?? fields.citations?.[name] ?? protocolOf(name),
    };
  }
  for (const name of Object.keys(fields.citations ?? {})) find(name);
  return { contents, written, e820Entries };
}

/** @param address physical: what %esi points at */
export const describeBootParams = (params: BootParams, address: number): EntryStructure =>
  describeStructure(bootParamsLayout(params.e820Entries), address, params.written);

/** The command line as bytes with its NUL. */
export function encodeCommandLine(text: string): Uint8Array {
  const encoded = new TextEncoder().encode(text);
  const bytes = new Uint8Array(encoded.length + 1);
  bytes.set(encoded);
  return bytes;
}

/**
 * @param limit bytes without the NUL
 * @throws {ProtocolError} (usage) `cmdline-too-long`
 */
export function checkCommandLine(text: string, limit: number, whose: string): void {
  const { length } = new TextEncoder().encode(text);
  if (length > limit) {
    throw new ProtocolError(
      'cmdline-too-long',
      `--cmdline is ${length} bytes long; ${whose} takes at most ${limit}`,
      true,
    );
  }
}
