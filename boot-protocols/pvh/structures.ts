/**
 * What a PVH guest is handed: Xen 4.14 xen/include/public/arch-x86/hvm/start_info.h, and the order in which Xen's domain
 * builder lays it out (tools/libxc/xc_dom_x86.c, bootlate_hvm): start_info, command line, module list, the modules'
 * command lines, memory map.
 */
import type { EntryStructure, MemoryRegion } from '../../emulator/entry-state.ts';
import { encodeCommandLine } from '../linux/boot-params.ts';
import { ProtocolError } from '../protocol.ts';
import { roundUp } from '../regions.ts';
import { type FilledStructure, fillStructure, type StructureLayout } from '../structure.ts';

/** XEN_HVM_START_MAGIC_VALUE: "xEn3" with the 0x80 bit of the "E" set. */
const START_MAGIC = 0x336ec578;
/** The version with a memory map. */
const START_VERSION = 1;

/** XEN_HVM_MEMMAP_TYPE_*, the numbers of e820. */
export const MEMMAP_RAM = 1;
export const MEMMAP_RESERVED = 2;

const CITATION = 'Xen 4.14 xen/include/public/arch-x86/hvm/start_info.h';
const BUILDER = 'Xen 4.14 tools/libxc/xc_dom_x86.c, bootlate_hvm';

const START_INFO: StructureLayout = {
  name: 'hvm_start_info',
  size: 0x38,
  citation: CITATION,
  fields: [
    { name: 'magic', offset: 0x00, size: 4 },
    { name: 'version', offset: 0x04, size: 4 },
    { name: 'flags', offset: 0x08, size: 4 },
    { name: 'nr_modules', offset: 0x0c, size: 4 },
    { name: 'modlist_paddr', offset: 0x10, size: 8 },
    { name: 'cmdline_paddr', offset: 0x18, size: 8 },
    { name: 'rsdp_paddr', offset: 0x20, size: 8 },
    { name: 'memmap_paddr', offset: 0x28, size: 8 },
    { name: 'memmap_entries', offset: 0x30, size: 4 },
    { name: 'reserved', offset: 0x34, size: 4 },
  ],
};

const MODLIST_ENTRY: StructureLayout = {
  name: 'hvm_modlist_entry',
  size: 0x20,
  citation: CITATION,
  fields: [
    { name: 'paddr', offset: 0x00, size: 8 },
    { name: 'size', offset: 0x08, size: 8 },
    { name: 'cmdline_paddr', offset: 0x10, size: 8 },
    { name: 'reserved', offset: 0x18, size: 8 },
  ],
};

const MEMMAP_ENTRY: StructureLayout = {
  name: 'hvm_memmap_table_entry',
  size: 0x18,
  citation: CITATION,
  fields: [
    { name: 'addr', offset: 0x00, size: 8 },
    { name: 'size', offset: 0x08, size: 8 },
    { name: 'type', offset: 0x10, size: 4 },
    { name: 'reserved', offset: 0x14, size: 4 },
  ],
};

/** HVMLOADER_MODULE_MAX_COUNT: Xen's builder leaves room for so many, and takes no more. */
const XEN_MODULES = 2;
/** HVMLOADER_MODULE_CMDLINE_SIZE: MAX_GUEST_CMDLINE of public/xen.h, its NUL included. */
const MODULE_CMDLINE_SIZE = 1024;
/** ROUNDUP(size, 3) of the command line: whole groups of 8 bytes. */
const CMDLINE_ALIGNMENT = 8;

/** A module where the builder has put it. */
export interface PlacedModule {
  readonly name: string;
  /** Physical address. */
  readonly start: number;
  readonly size: number;
  readonly cmdline?: string;
}

export interface MemmapEntry {
  readonly start: number;
  readonly size: number;
  readonly type: number;
  readonly meaning: string;
}

export interface StartInfo {
  readonly region: MemoryRegion;
  readonly structures: readonly EntryStructure[];
}

/** @throws {ProtocolError} (usage) `module-cmdline-too-long` */
function encodeModuleCommandLine({ name, cmdline }: PlacedModule): Uint8Array | undefined {
  if (cmdline === undefined) return undefined;
  const bytes = encodeCommandLine(cmdline);
  if (bytes.length <= MODULE_CMDLINE_SIZE) return bytes;
  throw new ProtocolError(
    'module-cmdline-too-long',
    `the command line of --module ${name} is ${bytes.length - 1} bytes long; Xen's domain builder takes at most ${MODULE_CMDLINE_SIZE - 1}`,
    true,
  );
}

/**
 * @param start physical address
 * @param cmdline absent: there is none, and cmdline_paddr is 0
 */
export function buildStartInfo(request: {
  readonly start: number;
  readonly cmdline: string | undefined;
  readonly modules: readonly PlacedModule[];
  readonly memmap: readonly MemmapEntry[];
}): StartInfo {
  const { start, modules, memmap } = request;
  const cmdline = request.cmdline === undefined ? new Uint8Array(0) : encodeCommandLine(request.cmdline);
  const slots = Math.max(XEN_MODULES, modules.length);
  const cmdlineAt = START_INFO.size;
  const modlistAt = cmdlineAt + roundUp(cmdline.length, CMDLINE_ALIGNMENT);
  const moduleLinesAt = modlistAt + slots * MODLIST_ENTRY.size;
  const memmapAt = moduleLinesAt + slots * MODULE_CMDLINE_SIZE;
  const bytes = new Uint8Array(memmapAt + memmap.length * MEMMAP_ENTRY.size);
  bytes.set(cmdline, cmdlineAt);
  const structures: EntryStructure[] = [];
  const put = (at: number, { bytes: contents, describe }: FilledStructure): void => {
    bytes.set(contents, at);
    structures.push(describe(start + at));
  };
  put(
    0,
    fillStructure(
      START_INFO,
      {
        magic: { value: START_MAGIC, meaning: 'XEN_HVM_START_MAGIC_VALUE' },
        version: { value: START_VERSION, meaning: 'with a memory map' },
        // flags is of no meaning to a domU: SIF_* are for dom0. rsdp_paddr is 0: no ACPI tables are made here.
        nr_modules: { value: modules.length },
        ...(modules.length === 0
          ? {}
          : { modlist_paddr: { value: start + modlistAt, meaning: 'hvm_modlist_entry' } }),
        ...(cmdline.length === 0
          ? {}
          : { cmdline_paddr: { value: start + cmdlineAt, meaning: 'the command line' } }),
        memmap_paddr: { value: start + memmapAt, meaning: 'hvm_memmap_table_entry' },
        memmap_entries: { value: memmap.length },
      },
      BUILDER,
    ),
  );
  for (const [index, module] of modules.entries()) {
    const line = encodeModuleCommandLine(module);
    const lineAt = moduleLinesAt + index * MODULE_CMDLINE_SIZE;
    if (line) bytes.set(line, lineAt);
    put(
      modlistAt + index * MODLIST_ENTRY.size,
      fillStructure(MODLIST_ENTRY, {
        paddr: { value: module.start, meaning: module.name },
        size: { value: module.size },
        ...(line ? { cmdline_paddr: { value: start + lineAt } } : {}),
      }),
    );
  }
  for (const [index, { start: addr, size, type, meaning }] of memmap.entries()) {
    put(
      memmapAt + index * MEMMAP_ENTRY.size,
      fillStructure(MEMMAP_ENTRY, {
        addr: { value: addr, meaning },
        size: { value: size },
        type: { value: type, meaning: type === MEMMAP_RAM ? 'RAM' : 'reserved' },
      }),
    );
  }
  return {
    region: {
      name: 'hvm_start_info',
      start,
      size: bytes.length,
      owner: 'boot-data',
      contents: bytes,
      defined: true,
    },
    structures,
  };
}
