/** The published JSON Schema of an entry state, `startup32/state@1`; see `stop.ts`. */
import { z } from 'zod';
import type { StateReport } from '../state/report.ts';
import { descriptor, dword, hex, text, whole, word } from './parts.ts';
import type { Same } from './stop.ts';

const register = z.enum(['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi']);
const promised = z
  .boolean()
  .describe('false: the protocol leaves it open, and it is a pattern or what is usual');
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const hexOfAnyWidth = (meaning: string) =>
  z
    .string()
    .regex(/^0x[0-9a-f]+$/)
    .describe(meaning);

export const stateRegister = z.strictObject({
  value: dword('its value'),
  promised,
  meaning: text('what the value is').exactOptional(),
});

export const stateSegment = z
  .strictObject({
    selector: word('visible part'),
    promised,
    selectorPromised: z.boolean().describe('false: the hidden part alone is promised'),
    descriptor: descriptor.exactOptional(),
    type: text('of the descriptor, in words').exactOptional(),
  })
  .describe('a segment register; without a descriptor it holds the null selector');

export const stateTable = z
  .strictObject({
    base: dword('linear base'),
    limit: word('in bytes, inclusive'),
    promised,
    descriptorsPromised: z
      .boolean()
      .describe('of GDTR: a table with descriptors of the promised selectors, wherever it is')
      .exactOptional(),
  })
  .describe('GDTR or IDTR; base and limit 0: there is no table');

const set = z.array(z.string()).describe('names of the bits that are set, lowest first');
const promisedBits = dword('the bits whose values are promised');
export const stateBits = z.strictObject({ value: dword('its value'), set, promised: promisedBits });
export const stateEip = z.strictObject({
  value: dword('linear address'),
  symbol: text('nearest symbol').exactOptional(),
});
export const stateEflags = z.strictObject({
  value: dword('its value'),
  set,
  promised: promisedBits,
  iopl: z.int().min(0).max(3).describe('I/O privilege level'),
});

export const pagingMode = z.enum(['off', '32-bit', 'pae']);
export const tablePages = whole('pages that hold the tables');
export const stateMapping = z
  .strictObject({
    linear: dword('first linear address'),
    physical: dword('first physical address'),
    size: whole('bytes'),
    writable: z.boolean(),
    user: z.boolean(),
    name: text('what is mapped'),
  })
  .describe('a run of pages');

export const undefinedByte = hex(2, 'fills memory that no region defines');
export const stateBank = z
  .strictObject({
    name: text('what it is'),
    start: dword('physical address'),
    size: whole('bytes'),
    kind: z.enum(['ram', 'rom']),
  })
  .describe('physical addresses behind which there is memory; what lies in no bank is a hole');

export const stateRegion = z
  .strictObject({
    name: text('what it is'),
    start: dword('physical address'),
    size: whole('bytes'),
    owner: z.enum(['kernel', 'boot-data', 'loader', 'firmware']),
    defined: z.boolean().describe('what is behind the contents is zero; else it is unspecified'),
    guarded: z.boolean().describe("the kernel's touch of it is a Stop"),
    contents: z
      .strictObject({ size: whole('bytes'), sha256 })
      .describe('the first bytes; absent where none are given')
      .exactOptional(),
  })
  .describe('a named range of physical memory');

export const stateField = z.strictObject({
  name: text('as its header file names it'),
  offset: hexOfAnyWidth('from the start of the structure'),
  size: whole('bytes'),
  as: z.enum(['number', 'text', 'bytes']).describe('how the bytes are read'),
  value: text('a number as hex of its width, a text up to its NUL as Latin-1, or hex bytes'),
  by: z.enum(['image', 'loader', 'zero']).describe('who wrote it; zero: no one did'),
  meaning: text('what the value means').exactOptional(),
  citation: text('where it is known from that it is set so').exactOptional(),
});

export const stateStructure = z
  .strictObject({
    name: text('as its header file names it'),
    address: dword('physical address'),
    size: whole('bytes'),
    citation: text('where its layout is known from'),
    fields: z.array(stateField).describe('in order of their offsets'),
  })
  .describe('what the kernel is handed');

export const statePlatform = z.strictObject({
  hypervisor: z.enum(['none', 'lguest', 'xen', 'generic']).describe('who owns ring 0 under the kernel'),
  hypercallVectors: z.array(hex(2, 'vector')).describe('software interrupts that are hypercalls'),
  hypercallArguments: z
    .array(register)
    .describe("registers of a hypercall's arguments; its number is in EAX")
    .exactOptional(),
  vmcall: z.boolean().describe('VMCALL is a hypercall'),
  openVectors: z.array(hex(2, 'vector')).describe('what INT3 and INTO may raise').exactOptional(),
  hypercallMsr: dword('the MSR that has a hypercall page filled').exactOptional(),
  hypercallPage: dword('linear address').exactOptional(),
  hypercallEntry: z
    .string()
    .regex(/^0x[0-9a-f]{4}:0x[0-9a-f]{8}$/)
    .describe('the far pointer that a hypercall page in ring 0 calls')
    .exactOptional(),
  serviceEntries: z
    .array(
      z.strictObject({
        address: dword('physical address of its INT n'),
        number: dword("the hypercall's number"),
        arguments: z.array(register),
      }),
    )
    .describe('hypercalls by a call of a ROM')
    .exactOptional(),
  instead: z
    .record(z.string(), z.string())
    .describe('by privilege rule: what a paravirtual kernel in ring 0 is to use in its place')
    .exactOptional(),
  cpuModel: text('the CPU that the kernel sees'),
});

export const stateImage = z.strictObject({
  name: text('as the user named the file'),
  format: z.enum(['elf', 'bzimage']),
  size: whole('bytes'),
  sha256,
});
export const stateProtocol = text('boot protocol');
export const stateKnobs = z.record(z.string(), z.string()).describe("the protocol's knobs as they were set");
export const stateRing = z.literal([0, 1, 2, 3]).describe('the ring that the kernel starts in');

export const stateReportSchema = z
  .strictObject({
    schema: z.literal('startup32/state@1'),
    image: stateImage,
    protocol: stateProtocol,
    knobs: stateKnobs,
    ring: stateRing,
    registers: z.strictObject({
      eax: stateRegister,
      ecx: stateRegister,
      edx: stateRegister,
      ebx: stateRegister,
      esp: stateRegister,
      ebp: stateRegister,
      esi: stateRegister,
      edi: stateRegister,
    }),
    eip: stateEip,
    eflags: stateEflags,
    segments: z.strictObject({
      es: stateSegment,
      cs: stateSegment,
      ss: stateSegment,
      ds: stateSegment,
      fs: stateSegment,
      gs: stateSegment,
    }),
    ldtr: stateSegment,
    tr: stateSegment,
    gdtr: stateTable,
    idtr: stateTable,
    control: z.strictObject({
      cr0: stateBits,
      cr2: stateBits,
      cr3: stateBits,
      cr4: stateBits,
      efer: stateBits,
    }),
    paging: z.strictObject({
      mode: pagingMode,
      tablePages,
      mappings: z.array(stateMapping).describe('in the order of linear addresses'),
    }),
    memory: z.strictObject({
      undefinedByte,
      banks: z.array(stateBank).describe('in address order'),
      regions: z.array(stateRegion).describe('in address order'),
    }),
    structures: z.array(stateStructure).describe('in the order in which a kernel finds them'),
    platform: statePlatform,
    warnings: z.array(z.strictObject({ code: text('stable code'), message: text('one sentence') })),
  })
  .meta({
    title: 'startup32 state report',
    description: 'Everything that is true before the first instruction',
  });

/** The compiler refuses this line when the schema and the type differ. */
export const SCHEMA_IS_STATE_REPORT: Same<z.infer<typeof stateReportSchema>, StateReport> = true;
