/**
 * EntryState: everything that is true at a kernel's first instruction. Plain data that a boot protocol makes,
 * a Machine brings to life, and anyone can print or compare.
 */
import type { ControlRegisters, CpuState, GeneralRegister, Ring, TableRegister } from './cpu-state.ts';
import type { SegmentName, SegmentRegister } from './segmentation.ts';

/**
 * What a general register holds that no one promised (see {@link RegisterEntry.promised}), ESP included: a protocol
 * that leaves no stack gets a stack pointer that no memory answers to. EIP always is promised.
 */
export const REGISTER_POISON: Readonly<Record<GeneralRegister, number>> = {
  eax: 0xdead0000,
  ecx: 0xdead0001,
  edx: 0xdead0002,
  ebx: 0xdead0003,
  esp: 0xdead0004,
  ebp: 0xdead0005,
  esi: 0xdead0006,
  edi: 0xdead0007,
};

export interface RegisterEntry {
  readonly value: number;
  /** True when the boot protocol promises this value; false when it is the poison pattern, or what is only known to be there. */
  readonly promised: boolean;
  /** What the value is, e.g. `boot_params (physical)`. */
  readonly meaning?: string;
}

export interface SegmentEntry extends SegmentRegister {
  readonly promised: boolean;
}

/**
 * Who owns a range of memory at entry, and so what a touch of it means.
 * - `kernel`: a segment of the image, or the space that its header reserves (init_size)
 * - `boot-data`: handed to the kernel: boot_params, command line, initrd, start_info ...
 * - `loader`: the loader's own GDT and page tables: the kernel may rely on them, and has no business in them
 * - `firmware`: ROM, VGA memory and the like
 */
export type RegionOwner = 'kernel' | 'boot-data' | 'loader' | 'firmware';

/** A named range of physical memory. Regions never overlap. */
export interface MemoryRegion {
  readonly name: string;
  readonly start: number;
  /** Bytes; `start + size` is at most 2^32. */
  readonly size: number;
  readonly owner: RegionOwner;
  /**
   * The first bytes; the rest of a region is zero when `defined` is true, and otherwise unspecified.
   * Never longer than `size`.
   */
  readonly contents?: Uint8Array;
  readonly defined: boolean;
  /** The guest's touch of it is a Stop (`loader-memory`). Only whole pages of the loader's can be guarded. */
  readonly guarded?: boolean;
}

/** A range of physical addresses behind which there is memory. Everything else is a hole. Page-granular. */
export interface MemoryBank {
  readonly name: string;
  readonly start: number;
  readonly size: number;
  /** `rom` ignores writes on a PC; here a write to it is a Stop. */
  readonly kind: 'ram' | 'rom';
}

/** A run of pages that the entry page tables map. All page-granular; `size` in bytes. */
export interface PageMapping {
  readonly linear: number;
  readonly physical: number;
  readonly size: number;
  readonly writable: boolean;
  readonly user: boolean;
  readonly name: string;
}

/** Who wrote a field of a structure that the kernel is handed. */
export type FieldWriter =
  /** It is as the image's own header has it. */
  | 'image'
  /** The loader or hypervisor set it. */
  | 'loader'
  /** No one did: the loader cleared the structure, and left it so. */
  | 'zero';

export interface StructureField {
  /** As its header file names it, with the structures around it: `hdr.type_of_loader`, `e820_table[0].addr`. */
  readonly name: string;
  /** Bytes from the start of the structure. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
  /** How its bytes are read: a little-endian number of up to 8 bytes, a text that ends with NUL, or bytes. */
  readonly as: 'number' | 'text' | 'bytes';
  readonly by: FieldWriter;
  /** What the value means, e.g. `kexec-tools`, `KEEP_SEGMENTS`. */
  readonly meaning?: string;
  /** Where it is known from that it is set so. */
  readonly citation?: string;
}

/** A structure that the kernel is handed: boot_params, start_info and the like. Its bytes are those of the regions. */
export interface EntryStructure {
  /** As its header file names it: `boot_params`. */
  readonly name: string;
  /** Physical address. */
  readonly address: number;
  /** Bytes. */
  readonly size: number;
  /** Where its layout is known from. */
  readonly citation: string;
  /** In order of their offsets; what is between them is reserved, or of no meaning to a kernel. */
  readonly fields: readonly StructureField[];
}

export type PagingMode = 'off' | '32-bit' | 'pae';

export interface Paging {
  readonly mode: PagingMode;
  /** In address order; empty when the mode is `off`. */
  readonly mappings: readonly PageMapping[];
}

/**
 * What a boot protocol promises of the registers that have no flag of their own. A mask has the bits whose values are
 * promised; what the others hold is only known to be there, or usual.
 */
export interface Promises {
  /** False: of a segment register or TR that is promised the hidden part alone is, and the selector is open. */
  readonly selectors: boolean;
  /** There is a GDT with the descriptors of the promised selectors, wherever it is and whatever else is in it. */
  readonly gdt: boolean;
  /** Base and limit. */
  readonly gdtr: boolean;
  /** Base and limit. */
  readonly idtr: boolean;
  readonly ldtr: boolean;
  readonly tr: boolean;
  readonly eflags: number;
  readonly cr0: number;
  readonly cr2: number;
  readonly cr3: number;
  readonly cr4: number;
  readonly efer: number;
}

/** Every bit of a register. */
export const ALL_BITS = 0xffff_ffff;

/** Of a state without {@link EntryState.promises}: all of it. */
export const ALL_PROMISED: Promises = {
  selectors: true,
  gdt: true,
  gdtr: true,
  idtr: true,
  ldtr: true,
  tr: true,
  eflags: ALL_BITS,
  cr0: ALL_BITS,
  cr2: ALL_BITS,
  cr3: ALL_BITS,
  cr4: ALL_BITS,
  efer: ALL_BITS,
};

export interface EntryState {
  /** Name of the boot protocol, e.g. `lguest`. */
  readonly protocol: string;
  /** The knobs that made it, in a fixed order, as they are written on the command line. */
  readonly knobs: Readonly<Record<string, string>>;
  readonly ring: Ring;
  readonly registers: Readonly<Record<GeneralRegister, RegisterEntry>>;
  /** Linear = CS.base + offset; CS is flat at every entry, so this is both. */
  readonly eip: number;
  readonly eflags: number;
  readonly segments: Readonly<Record<SegmentName, SegmentEntry>>;
  readonly ldtr: SegmentRegister;
  readonly tr: SegmentRegister;
  /** Limit 0 and base 0: there is no table. */
  readonly gdtr: TableRegister;
  readonly idtr: TableRegister;
  readonly control: ControlRegisters;
  /** Of what has no flag of its own: EFLAGS, the system registers, the selectors. Absent: all of it. */
  readonly promises?: Promises;
  readonly paging: Paging;
  /** In address order, not overlapping. */
  readonly banks: readonly MemoryBank[];
  /** In address order, not overlapping, each inside a bank. */
  readonly regions: readonly MemoryRegion[];
  /** What the kernel is handed, field by field, in the order in which it finds them. */
  readonly structures: readonly EntryStructure[];
  /** Ports and hypercalls that the system under the kernel answers; see `emulator/machine.ts`. */
  readonly platform: Platform;
  /**
   * Memory outside every region, and the rest of a region that is not `defined`, holds the poison byte of
   * `emulator/memory.ts` instead of zero.
   */
  readonly poison?: boolean;
}

/** An entry in a ROM that is a call of whoever owns the ROM. Its first instruction is an INT n that no one else uses. */
export interface ServiceEntry {
  /** Physical address of the INT n. */
  readonly address: number;
  /** What the Stop gives as the hypercall's number. */
  readonly number: number;
  /** Registers of the arguments, in the order of the ABI. */
  readonly arguments: readonly GeneralRegister[];
}

/** What stands around the CPU, as far as it decides what an instruction does. */
export interface Platform {
  /** A hypervisor owns ring 0: traps go to it, never to the guest's own IDT. */
  readonly hypervisor: 'none' | 'lguest' | 'xen' | 'generic';
  /** Software-interrupt vectors that are hypercalls, e.g. 0x1f or 0x82. */
  readonly hypercallVectors: readonly number[];
  /** Registers of a hypercall's arguments, in the order of the ABI. Default: EBX, ECX, EDX, ESI. The number is in EAX. */
  readonly hypercallArguments?: readonly GeneralRegister[];
  /** VMCALL is a hypercall here; everywhere else it is an invalid opcode. */
  readonly vmcall?: boolean;
  /** Vectors that the hypervisor lets the guest raise with INT3 or INTO; every other INT n is a #GP. */
  readonly openVectors?: readonly number[];
  /** An MSR of the hypervisor's: WRMSR of a page's physical address has it fill that page. */
  readonly hypercallMsr?: { readonly index: number; readonly page: Uint8Array };
  /** The hypercall page, if there is one (linear address). Entry n stands at `linear + 32 * n`. */
  readonly hypercallPage?: number;
  /** Hypercalls by a call of a ROM. */
  readonly serviceEntries?: readonly ServiceEntry[];
  /** Where the hypercall page of a kernel in ring 0 calls: a far CALL there, from that page, is a hypercall. */
  readonly hypercallEntry?: { readonly selector: number; readonly offset: number };
  /**
   * The kernel is paravirtual and in ring 0 all the same: by rule, what it is to ask the hypervisor for in place of an
   * instruction that does not fault there. Each that it runs is an observation.
   */
  readonly instead?: Readonly<Record<string, Instead>>;
  /** Of `emulator/cpu-models/`. */
  readonly cpuModel: string;
}

/** What a paravirtual kernel does in place of a privileged or IOPL-sensitive instruction. */
export interface Instead {
  /** In a few words: `hypercall set_gdt`, `evtchn_upcall_mask`. */
  readonly by: string;
  readonly sentence: string;
  readonly citation: string;
}

/** The registers of an entry state, as a CPU holds them. */
export function cpuStateOf(entry: EntryState): CpuState {
  const { registers: r, segments } = entry;
  return {
    registers: {
      eax: r.eax.value,
      ecx: r.ecx.value,
      edx: r.edx.value,
      ebx: r.ebx.value,
      esp: r.esp.value,
      ebp: r.ebp.value,
      esi: r.esi.value,
      edi: r.edi.value,
    },
    eip: entry.eip,
    eflags: entry.eflags,
    segments,
    ldtr: entry.ldtr,
    tr: entry.tr,
    gdtr: entry.gdtr,
    idtr: entry.idtr,
    control: entry.control,
    cpl: entry.ring,
  };
}
