/** The JSON report of an EntryState; see `report.ts`. No engine takes part. */
import { GENERAL_REGISTERS, type GeneralRegister, type TableRegister } from '../../../emulator/cpu-state.ts';
import { entryReader } from '../../../emulator/entry-memory.ts';
import {
  ALL_PROMISED,
  type EntryState,
  type MemoryRegion,
  type Platform,
  type Promises,
} from '../../../emulator/entry-state.ts';
import { iopl } from '../../../emulator/flags.ts';
import { MEMORY_POISON } from '../../../emulator/memory.ts';
import { CR0_BITS, CR4_BITS, setBits } from '../../../emulator/operands/bits.ts';
import { mappedRanges, pagingIsOn } from '../../../emulator/paging.ts';
import { SEGMENT_NAMES, type SegmentName, type SegmentRegister } from '../../../emulator/segmentation.ts';
import type { KernelImage } from '../../kernel-image/kernel-image.ts';
import { sha256 } from '../../kernel-image/sha256.ts';
import { descriptorReport, typeInWords } from '../descriptor.ts';
import { hex8, hex16, hex32 } from '../hex.ts';
import { createNames } from '../names.ts';
import { EFER_BITS, EFLAGS_BITS } from './bits.ts';
import type {
  StateBits,
  StatePlatform,
  StateRegion,
  StateReport,
  StateSegment,
  StateTable,
} from './report.ts';
import { structureReport } from './structures.ts';

/** What a hypercall's arguments are in where the platform does not say. */
const USUAL_ARGUMENTS: readonly GeneralRegister[] = ['ebx', 'ecx', 'edx', 'esi'];

/** @param image what the entry state was made from. */
export function stateReport(entry: EntryState, image: KernelImage): StateReport {
  const { control, memory, symbol } = parts(entry, image);
  const promises = promisesOf(entry);
  const segment = (register: SegmentRegister, promised: boolean): StateSegment => ({
    ...segmentReport(register),
    promised,
    selectorPromised: promised && promises.selectors,
  });
  return {
    schema: 'startup32/state@1',
    image: { name: image.name, format: image.format, size: image.size, sha256: image.sha256 },
    protocol: entry.protocol,
    knobs: { ...entry.knobs },
    ring: entry.ring,
    registers: record(GENERAL_REGISTERS, name => {
      const { value, promised, meaning } = entry.registers[name];
      return { value: hex32(value), promised, ...(meaning !== undefined && { meaning }) };
    }),
    eip: { value: hex32(entry.eip), ...(symbol !== undefined && { symbol }) },
    eflags: {
      value: hex32(entry.eflags),
      set: namesOf(entry.eflags, EFLAGS_BITS),
      promised: hex32(promises.eflags),
      iopl: iopl(entry.eflags),
    },
    segments: record(SEGMENT_NAMES, (name: SegmentName) =>
      segment(entry.segments[name], entry.segments[name].promised),
    ),
    ldtr: segment(entry.ldtr, promises.ldtr),
    tr: segment(entry.tr, promises.tr),
    gdtr: { ...table(entry.gdtr, promises.gdtr), descriptorsPromised: promises.gdt },
    idtr: table(entry.idtr, promises.idtr),
    control,
    paging: {
      mode: entry.paging.mode,
      tablePages: tablePages(entry),
      mappings: [...entry.paging.mappings]
        .sort((a, b) => a.linear - b.linear)
        .map(({ linear, physical, size, writable, user, name }) => ({
          linear: hex32(linear),
          physical: hex32(physical),
          size,
          writable,
          user,
          name,
        })),
    },
    memory,
    structures: entry.structures.map(structure => structureReport(structure, entry)),
    platform: platformReport(entry.platform),
    warnings: image.warnings.map(({ code, message }) => ({ code, message })),
  };
}

function parts(entry: EntryState, image: KernelImage) {
  const { cr0, cr2, cr3, cr4, efer } = entry.control;
  const promises = promisesOf(entry);
  return {
    control: {
      cr0: bits(cr0, promises.cr0, CR0_BITS),
      cr2: { value: hex32(cr2), set: [], promised: hex32(promises.cr2) },
      cr3: { value: hex32(cr3), set: [], promised: hex32(promises.cr3) },
      cr4: bits(cr4, promises.cr4, CR4_BITS),
      efer: bits(efer, promises.efer, EFER_BITS),
    },
    memory: {
      undefinedByte: hex8(entry.poison === true ? MEMORY_POISON : 0),
      banks: [...entry.banks]
        .sort((a, b) => a.start - b.start)
        .map(({ name, start, size, kind }) => ({ name, start: hex32(start), size, kind })),
      regions: [...entry.regions].sort((a, b) => a.start - b.start).map(regionReport),
    },
    symbol: createNames(image, entry).symbol(entry.eip),
  };
}

function record<K extends string, V>(names: readonly K[], make: (name: K) => V): Record<K, V> {
  return Object.fromEntries(names.map(name => [name, make(name)])) as Record<K, V>;
}

/** Bits with a name, and `bit N` for the others. */
const bits = (value: number, promised: number, names: Readonly<Record<number, string>>): StateBits => ({
  value: hex32(value),
  set: setBits(value, names),
  promised: hex32(promised),
});

/** Bits with a name alone: the fixed bit 1 of EFLAGS and the two of IOPL say nothing by themselves. */
const namesOf = (value: number, names: Readonly<Record<number, string>>): string[] =>
  setBits(value, names).filter(name => !name.startsWith('bit '));

const table = ({ base, limit }: TableRegister, promised: boolean): StateTable => ({
  base: hex32(base),
  limit: hex16(limit),
  promised,
});

const promisesOf = (entry: EntryState): Promises => entry.promises ?? ALL_PROMISED;

const segmentReport = ({ selector, descriptor }: SegmentRegister) => ({
  selector: hex16(selector),
  ...(descriptor && { descriptor: descriptorReport(descriptor), type: typeInWords(descriptor) }),
});

function regionReport({ name, start, size, owner, defined, guarded, contents }: MemoryRegion): StateRegion {
  return {
    name,
    start: hex32(start),
    size,
    owner,
    defined,
    guarded: guarded === true,
    ...(contents && contents.length > 0 && { contents: { size: contents.length, sha256: sha256(contents) } }),
  };
}

function tablePages(entry: EntryState): number {
  if (!pagingIsOn(entry.control)) return 0;
  return mappedRanges(entry.control, entryReader(entry)).tablePages.size;
}

function platformReport(platform: Platform): StatePlatform {
  const { hypervisor, hypercallVectors, hypercallArguments, vmcall, openVectors, cpuModel } = platform;
  const { hypercallMsr, hypercallPage, hypercallEntry, serviceEntries, instead } = platform;
  const hasHypercalls = hypercallVectors.length > 0 || vmcall === true || hypercallPage !== undefined;
  return {
    hypervisor,
    hypercallVectors: hypercallVectors.map(hex8),
    ...(hasHypercalls && { hypercallArguments: [...(hypercallArguments ?? USUAL_ARGUMENTS)] }),
    vmcall: vmcall === true,
    ...(openVectors && { openVectors: openVectors.map(hex8) }),
    ...(hypercallMsr && { hypercallMsr: hex32(hypercallMsr.index) }),
    ...(hypercallPage !== undefined && { hypercallPage: hex32(hypercallPage) }),
    ...(hypercallEntry && {
      hypercallEntry: `${hex16(hypercallEntry.selector)}:${hex32(hypercallEntry.offset)}`,
    }),
    ...(serviceEntries && {
      serviceEntries: serviceEntries.map(entry => ({
        address: hex32(entry.address),
        number: hex32(entry.number),
        arguments: [...entry.arguments],
      })),
    }),
    ...(instead && {
      instead: Object.fromEntries(Object.entries(instead).map(([rule, { by }]) => [rule, by])),
    }),
    cpuModel,
  };
}
