/**
 * What a Multiboot kernel is handed: Multiboot Specification 0.6.96, 3.3, laid out as GRUB 2.06 does it
 * (grub-core/loader/i386/multiboot_mbi.c): multiboot_info, command line, loader's name, module list, the modules' command
 * lines, memory map.
 */
import type { EntryStructure, MemoryRegion } from '../../emulator/entry-state.ts';
import { type E820Entry, encodeCommandLine } from '../linux/boot-params.ts';
import { E820_RAM } from '../linux/layout.ts';
import { roundUp } from '../regions.ts';
import { type FilledStructure, fillStructure, type StructureLayout } from '../structure.ts';

/** In EAX at entry. */
export const BOOTLOADER_MAGIC = 0x2badb002;
const LOADER_NAME = 'startup32';

/** Bits of flags. */
const HAS_MEMORY = 1 << 0;
const HAS_CMDLINE = 1 << 2;
const HAS_MODULES = 1 << 3;
const HAS_MEMORY_MAP = 1 << 6;
const HAS_LOADER_NAME = 1 << 9;

const CITATION = 'Multiboot Specification 0.6.96, 3.3';
const GRUB = 'GRUB 2.06 grub-core/loader/i386/multiboot_mbi.c';

const INFO: StructureLayout = {
  name: 'multiboot_info',
  size: 0x74,
  citation: CITATION,
  fields: [
    { name: 'flags', offset: 0x00, size: 4 },
    { name: 'mem_lower', offset: 0x04, size: 4 },
    { name: 'mem_upper', offset: 0x08, size: 4 },
    { name: 'boot_device', offset: 0x0c, size: 4 },
    { name: 'cmdline', offset: 0x10, size: 4 },
    { name: 'mods_count', offset: 0x14, size: 4 },
    { name: 'mods_addr', offset: 0x18, size: 4 },
    { name: 'syms', offset: 0x1c, size: 16, as: 'bytes' },
    { name: 'mmap_length', offset: 0x2c, size: 4 },
    { name: 'mmap_addr', offset: 0x30, size: 4 },
    { name: 'drives_length', offset: 0x34, size: 4 },
    { name: 'drives_addr', offset: 0x38, size: 4 },
    { name: 'config_table', offset: 0x3c, size: 4 },
    { name: 'boot_loader_name', offset: 0x40, size: 4 },
    { name: 'apm_table', offset: 0x44, size: 4 },
    { name: 'vbe_control_info', offset: 0x48, size: 4 },
    { name: 'vbe_mode_info', offset: 0x4c, size: 4 },
    { name: 'vbe_mode', offset: 0x50, size: 2 },
    { name: 'vbe_interface_seg', offset: 0x52, size: 2 },
    { name: 'vbe_interface_off', offset: 0x54, size: 2 },
    { name: 'vbe_interface_len', offset: 0x56, size: 2 },
    { name: 'framebuffer_addr', offset: 0x58, size: 8 },
    { name: 'framebuffer_pitch', offset: 0x60, size: 4 },
    { name: 'framebuffer_width', offset: 0x64, size: 4 },
    { name: 'framebuffer_height', offset: 0x68, size: 4 },
    { name: 'framebuffer_bpp', offset: 0x6c, size: 1 },
    { name: 'framebuffer_type', offset: 0x6d, size: 1 },
    { name: 'color_info', offset: 0x6e, size: 6 },
  ],
};

/** GRUB's struct multiboot_info ends with 4 bytes more than the specification's: what follows it is at 0x78 in a real GRUB 2.06. */
const INFO_SPACE = 0x78;

const MODULE: StructureLayout = {
  name: 'multiboot_mod_list',
  size: 16,
  citation: CITATION,
  fields: [
    { name: 'mod_start', offset: 0, size: 4 },
    { name: 'mod_end', offset: 4, size: 4 },
    { name: 'cmdline', offset: 8, size: 4 },
    { name: 'pad', offset: 12, size: 4 },
  ],
};

/** `size` counts what follows it. */
const MMAP: StructureLayout = {
  name: 'multiboot_mmap_entry',
  size: 24,
  citation: CITATION,
  fields: [
    { name: 'size', offset: 0, size: 4 },
    { name: 'addr', offset: 4, size: 8 },
    { name: 'len', offset: 12, size: 8 },
    { name: 'type', offset: 20, size: 4 },
  ],
};
const MMAP_SIZE_FIELD = 4;

const KIB = 1024;
/** GRUB starts each string at a multiple of this. */
const STRING_ALIGNMENT = 4;

export interface MultibootModule {
  readonly name: string;
  /** Physical address. */
  readonly start: number;
  readonly size: number;
  readonly cmdline: string;
}

export interface MultibootRequest {
  readonly cmdline: string;
  readonly modules: readonly MultibootModule[];
  readonly memoryMap: readonly E820Entry[];
  /** Bytes of conventional memory, and of memory from 1 MiB up to the first hole. */
  readonly lower: number;
  readonly upper: number;
}

/** Where each part stands behind the start of multiboot_info. */
function layOut({ cmdline, modules, memoryMap }: MultibootRequest) {
  let end = INFO_SPACE;
  const take = (size: number): number => {
    const at = end;
    end = at + roundUp(size, STRING_ALIGNMENT);
    return at;
  };
  const text = (value: string) => {
    const bytes = encodeCommandLine(value);
    return { bytes, at: take(bytes.length) };
  };
  const line = text(cmdline);
  const name = text(LOADER_NAME);
  const modulesAt = take(modules.length * MODULE.size);
  const moduleLines = modules.map(module => text(module.cmdline));
  const mapAt = take(memoryMap.length * MMAP.size);
  return { line, name, modulesAt, moduleLines, mapAt, size: end };
}

/** Bytes that {@link buildMultibootInfo} needs. */
export const multibootInfoSize = (request: MultibootRequest): number => layOut(request).size;

/** @param start physical address, a multiple of 4 */
export function buildMultibootInfo(
  request: MultibootRequest,
  start: number,
): { readonly region: MemoryRegion; readonly structures: readonly EntryStructure[] } {
  const { modules, memoryMap } = request;
  const { line, name, modulesAt, moduleLines, mapAt, size } = layOut(request);
  const bytes = new Uint8Array(size);
  for (const part of [line, name, ...moduleLines]) bytes.set(part.bytes, part.at);
  const structures: EntryStructure[] = [];
  const put = (at: number, { bytes: contents, describe }: FilledStructure): void => {
    bytes.set(contents, at);
    structures.push(describe(start + at));
  };
  const hasModules = modules.length > 0;
  put(
    0,
    fillStructure(
      INFO,
      {
        flags: {
          value: HAS_MEMORY | HAS_CMDLINE | (hasModules ? HAS_MODULES : 0) | HAS_MEMORY_MAP | HAS_LOADER_NAME,
          meaning: `mem_*, cmdline, ${hasModules ? 'mods_*, ' : ''}mmap_*, boot_loader_name are valid`,
        },
        mem_lower: { value: request.lower / KIB, meaning: 'KiB of conventional memory' },
        mem_upper: { value: request.upper / KIB, meaning: 'KiB from 1 MiB to the first hole' },
        cmdline: {
          value: start + line.at,
          meaning: 'the command line, without the file name of the kernel',
        },
        mods_count: { value: modules.length },
        ...(hasModules ? { mods_addr: { value: start + modulesAt, meaning: 'multiboot_mod_list' } } : {}),
        mmap_length: { value: memoryMap.length * MMAP.size, meaning: 'bytes' },
        mmap_addr: { value: start + mapAt, meaning: 'multiboot_mmap_entry' },
        boot_loader_name: { value: start + name.at, meaning: LOADER_NAME },
      },
      GRUB,
    ),
  );
  for (const [index, module] of modules.entries()) {
    put(
      modulesAt + index * MODULE.size,
      fillStructure(MODULE, {
        mod_start: { value: module.start, meaning: module.name },
        mod_end: { value: module.start + module.size, meaning: 'the first byte behind it' },
        cmdline: { value: start + (moduleLines[index]?.at ?? 0) },
      }),
    );
  }
  for (const [index, entry] of memoryMap.entries()) {
    put(
      mapAt + index * MMAP.size,
      fillStructure(MMAP, {
        size: { value: MMAP.size - MMAP_SIZE_FIELD, meaning: 'of what follows' },
        addr: { value: entry.start },
        len: { value: entry.size },
        type: { value: entry.type, meaning: entry.type === E820_RAM ? 'RAM' : 'reserved' },
      }),
    );
  }
  return {
    region: { name: 'multiboot_info', start, size, owner: 'boot-data', contents: bytes, defined: true },
    structures,
  };
}
