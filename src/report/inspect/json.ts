/** A KernelImage as JSON: everything that a loader needs to know. Addresses as hex strings, sizes as numbers. */
import type { BootProtocol } from '../../../boot-protocols/protocol.ts';
import { startersOf } from '../../../boot-protocols/who-can-start.ts';
import {
  type BzImage,
  decodeXenNotes,
  type ElfImage,
  type KernelImage,
  type Note,
  noteTypeName,
  type ProgramHeader,
  physicalEntry,
  protocolVersion,
  type SetupHeaderField,
} from '../../kernel-image/index.ts';
import { setupFlagNames } from '../../kernel-image/setup-header.ts';
import { hex32, hexBytes, hexShort } from '../hex.ts';

export interface EntryPoint {
  readonly name: string;
  readonly address: string;
  readonly space: 'physical' | 'virtual';
}

export interface InspectReport {
  readonly schema: 'startup32/inspect@1';
  readonly name: string;
  readonly format: KernelImage['format'];
  readonly size: number;
  readonly sha256: string;
  readonly entryPoints: readonly EntryPoint[];
  /** Of a kernel proper: the bzImage that it came out of, and what makes it movable. */
  readonly container?: {
    readonly protocolVersion: string;
    readonly kernelVersion?: string;
    readonly size: number;
    readonly sha256: string;
    readonly payload: string;
  };
  readonly relocations?: { readonly words: number; readonly linkedAt: string };
  readonly elf?: {
    readonly type: string;
    readonly programHeaders: readonly {
      readonly type: string;
      readonly offset: string;
      readonly virtual: string;
      readonly physical: string;
      readonly fileSize: number;
      readonly memorySize: number;
      readonly flags: string;
      readonly align: string;
    }[];
    readonly sections: readonly {
      readonly name: string;
      readonly address: string;
      readonly offset: string;
      readonly size: number;
    }[];
  };
  readonly bzimage?: {
    readonly protocolVersion: string;
    readonly kernelVersion?: string;
    readonly is64Bit: boolean;
    readonly protectedModeOffset: string;
    readonly loadAddress: string;
    readonly setupHeader: readonly {
      readonly name: string;
      readonly offset: string;
      readonly size: number;
      readonly value: string;
      readonly bits?: readonly string[];
    }[];
    readonly payload?: {
      readonly format: string;
      readonly offset: string;
      readonly length: number;
      /** `header`: by payload_offset; `magic`: by its first bytes. */
      readonly found: 'header' | 'magic';
      /** What it says that it decodes to. */
      readonly decodedSize?: number;
    };
    /** The ELF header at the start of the file. */
    readonly frontElf?: {
      readonly type: string;
      readonly entry: string;
      readonly magic: 'ELF' | 'changed';
      readonly programHeaders: NonNullable<InspectReport['elf']>['programHeaders'];
    };
  };
  readonly notes: readonly {
    readonly owner: string;
    readonly type: string;
    readonly offset: string;
    readonly value: string;
  }[];
  readonly symbols: number;
  /** `symbol table`, `System.map` or `kallsyms`; absent when there are none. */
  readonly symbolSource?: string;
  readonly protocols: readonly {
    readonly name: string;
    readonly startable: boolean;
    readonly code?: string;
    readonly reason?: string;
  }[];
  readonly warnings: readonly { readonly code: string; readonly message: string }[];
}

export function inspectReport(image: KernelImage, protocols: readonly BootProtocol[]): InspectReport {
  return {
    schema: 'startup32/inspect@1',
    name: image.name,
    format: image.format,
    size: image.size,
    sha256: image.sha256,
    entryPoints: entryPoints(image),
    ...(image.format === 'elf'
      ? { ...kernelProperReport(image), elf: elfReport(image) }
      : { bzimage: bzImageReport(image) }),
    notes: image.notes.map(note => ({
      owner: note.owner,
      type: noteTypeName(note),
      offset: hexShort(note.offset),
      value: noteValue(note),
    })),
    symbols: image.symbols.length,
    ...(image.symbolSource !== undefined && { symbolSource: image.symbolSource }),
    protocols: startersOf(image, protocols).map(({ protocol: name, answer }) =>
      answer.ok
        ? { name, startable: true }
        : { name, startable: false, code: answer.code, reason: answer.reason },
    ),
    warnings: image.warnings.map(({ code, message }) => ({ code, message })),
  };
}

function entryPoints(image: KernelImage): EntryPoint[] {
  const xen = decodeXenNotes(image.notes);
  return [
    ...(image.format === 'elf'
      ? [
          { name: 'e_entry', address: hex32(image.entry), space: 'physical' } as const,
          ...(physicalEntry(image) === image.entry
            ? []
            : [
                {
                  name: 'e_entry by p_paddr',
                  address: hex32(physicalEntry(image)),
                  space: 'physical',
                } as const,
              ]),
        ]
      : [{ name: '32-bit entry', address: hex32(physicalEntry(image)), space: 'physical' } as const]),
    ...(xen?.entry === undefined
      ? []
      : [{ name: 'XEN_ELFNOTE_ENTRY', address: hex32(xen.entry), space: 'virtual' } as const]),
    ...(xen?.phys32Entry === undefined
      ? []
      : [{ name: 'XEN_ELFNOTE_PHYS32_ENTRY', address: hex32(xen.phys32Entry), space: 'physical' } as const]),
  ];
}

/** p_flags: System V gABI ch. 5, "Segment Permissions". */
const flagLetters = (flags: number): string =>
  `${flags & 4 ? 'R' : '-'}${flags & 2 ? 'W' : '-'}${flags & 1 ? 'X' : '-'}`;

const programHeaders = (
  headers: readonly ProgramHeader[],
): NonNullable<InspectReport['elf']>['programHeaders'] =>
  headers.map(header => ({
    type: header.typeName,
    offset: hexShort(header.offset),
    virtual: hex32(header.virtual),
    physical: hex32(header.physical),
    fileSize: header.fileSize,
    memorySize: header.memorySize,
    flags: flagLetters(header.flags),
    align: hexShort(header.align),
  }));

function kernelProperReport({
  container,
  relocations,
}: ElfImage): Pick<InspectReport, 'container' | 'relocations'> {
  return {
    ...(container && {
      container: {
        protocolVersion: protocolVersion(container.setup.version),
        ...(container.setup.kernelVersion !== undefined && { kernelVersion: container.setup.kernelVersion }),
        size: container.size,
        sha256: container.sha256,
        payload: container.payload,
      },
    }),
    ...(relocations && {
      relocations: { words: relocations.words.length, linkedAt: hex32(relocations.linkedAt) },
    }),
  };
}

function elfReport(image: ElfImage): NonNullable<InspectReport['elf']> {
  return {
    type: image.type,
    programHeaders: programHeaders(image.programHeaders),
    sections: image.sections.map(({ name, address, offset, size }) => ({
      name,
      address: hex32(address),
      offset: hexShort(offset),
      size,
    })),
  };
}

function bzImageReport(image: BzImage): NonNullable<InspectReport['bzimage']> {
  const { setup, payload, frontElf } = image;
  return {
    protocolVersion: protocolVersion(setup.version),
    ...(setup.kernelVersion !== undefined && { kernelVersion: setup.kernelVersion }),
    is64Bit: image.is64Bit,
    protectedModeOffset: hexShort(image.protectedModeOffset),
    loadAddress: hex32(physicalEntry(image)),
    setupHeader: setup.fields.map(field => {
      const bits = fieldBits(field);
      return {
        name: field.name,
        offset: hexShort(field.offset),
        size: field.size,
        value: `0x${field.value.toString(16)}`,
        ...(bits.length > 0 && { bits }),
      };
    }),
    ...(payload && {
      payload: {
        format: payload.format,
        offset: hexShort(payload.offset),
        length: payload.length,
        found: payload.found,
        ...(payload.decodedSize !== undefined && { decodedSize: payload.decodedSize }),
      },
    }),
    ...(frontElf && {
      frontElf: {
        type: frontElf.type,
        entry: hex32(frontElf.entry),
        magic: frontElf.munged ? 'changed' : 'ELF',
        programHeaders: programHeaders(frontElf.programHeaders),
      },
    }),
  };
}

const fieldBits = ({ name, value }: SetupHeaderField): string[] =>
  name === 'loadflags' || name === 'xloadflags' ? setupFlagNames(name, Number(value)) : [];

/** Xen's notes by what they mean; any other by its bytes. */
function noteValue(note: Note): string {
  const { source: _, ...fields } = decodeXenNotes([note]) ?? { source: 'notes' };
  const [value] = Object.values(fields);
  if (typeof value === 'number') return hexShort(value);
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (value === undefined || value.length === 0) return hexBytes(note.description);
  return value
    .map(item =>
      typeof item === 'string'
        ? JSON.stringify(item)
        : `mask 0x${item.mask.toString(16)} value 0x${item.value.toString(16)}`,
    )
    .join(', ');
}
