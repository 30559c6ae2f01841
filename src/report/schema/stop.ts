/**
 * The published JSON Schema of the report, `startup32/stop@1`, which `build.ts` writes. Everyone else uses the types of
 * `stop/report.ts`: zod is needed to build the package and not to run it.
 */
import { z } from 'zod';
import type { StopKind } from '../../../emulator/stop.ts';
import type { StopReport } from '../stop/report.ts';
import { handOverSchema } from './hand-over.ts';
import { flagSchema, observationSchema } from './observations.ts';
import { operandSchema } from './operands.ts';
import { bytes, descriptor, dword, hex, text, whole, word } from './parts.ts';

const SCHEMA_NAME = 'startup32/stop@1';

/** A record of every kind: the compiler checks that none is missing. */
export const KINDS: { readonly [K in StopKind]: K } = {
  'privileged-instruction': 'privileged-instruction',
  'iopl-sensitive-instruction': 'iopl-sensitive-instruction',
  popf: 'popf',
  iret: 'iret',
  sensitive: 'sensitive',
  'segment-load': 'segment-load',
  'segment-access': 'segment-access',
  'page-fault': 'page-fault',
  'invalid-opcode': 'invalid-opcode',
  'forced-emulation': 'forced-emulation',
  'software-interrupt': 'software-interrupt',
  hypercall: 'hypercall',
  halt: 'halt',
  shutdown: 'shutdown',
  'long-mode': 'long-mode',
  exception: 'exception',
  reached: 'reached',
  'memory-hole': 'memory-hole',
  'rom-write': 'rom-write',
  'loader-memory': 'loader-memory',
  budget: 'budget',
  timeout: 'timeout',
  interrupted: 'interrupted',
  'engine-limit': 'engine-limit',
};

export const place = z
  .strictObject({
    address: dword('linear address'),
    symbol: text('nearest symbol, e.g. startup_32+0x1').exactOptional(),
  })
  .describe('an address and its name');

export const exception = z.strictObject({
  vector: hex(2, 'exception vector'),
  mnemonic: text('e.g. #GP'),
  name: text('e.g. general protection'),
  errorCode: word('error code; absent for a vector that has none').exactOptional(),
});

const delivery = z
  .discriminatedUnion('to', [
    z.strictObject({ to: z.literal('hypervisor') }),
    z.strictObject({
      to: z.literal('gate'),
      selector: word("the gate's code selector"),
      offset: dword('the handler'),
    }),
    z.strictObject({
      to: z.literal('shutdown'),
      reason: z.enum(['idt-limit', 'gate-type', 'gate-not-present', 'gate-unreadable']),
    }),
  ])
  .describe('where the CPU would take the exception');

const codeLine = z.strictObject({
  address: dword('linear address'),
  bytes: bytes('the instruction'),
  text: text('disassembly'),
  current: z.boolean().describe('true for the instruction of the stop'),
});

const rule = z
  .strictObject({
    id: text('name of the rule'),
    class: z.enum(['privileged', 'iopl-sensitive', 'silent']),
    instruction: text('the instruction'),
    condition: text('when the rule applies'),
    when: text("the condition of the rule's table that decided here").exactOptional(),
    result: text('what came of it here'),
    reason: text('why it does'),
    citation: text("where the CPU's manual says so"),
  })
  .describe('the privilege rule behind the stop');

const segment = z
  .strictObject({ selector: word('visible part'), descriptor: descriptor.exactOptional() })
  .describe('a segment register; without a descriptor it holds the null selector');

const table = z.strictObject({ base: dword('linear base'), limit: dword('limit in bytes, inclusive') });

const cpu = z.strictObject({
  eax: dword('EAX'),
  ebx: dword('EBX'),
  ecx: dword('ECX'),
  edx: dword('EDX'),
  esi: dword('ESI'),
  edi: dword('EDI'),
  ebp: dword('EBP'),
  esp: dword('ESP'),
  eip: dword('EIP'),
  eflags: dword('EFLAGS'),
  flags: text('DOSZAPC as letters, a dash for a clear bit'),
  cpl: z.int().min(0).max(3).describe('current privilege level'),
  iopl: z.int().min(0).max(3).describe('I/O privilege level'),
  interrupts: z.boolean().describe('EFLAGS.IF'),
  segments: z.strictObject({ es: segment, cs: segment, ss: segment, ds: segment, fs: segment, gs: segment }),
  ldtr: segment,
  tr: segment,
  gdtr: table,
  idtr: table,
  cr0: dword('CR0'),
  cr2: dword('CR2'),
  cr3: dword('CR3'),
  cr4: dword('CR4'),
  efer: hex(16, 'IA32_EFER'),
});

/** Values that belong to one kind of stop, by name; addresses and register values as hex, counts as numbers. */
const facts = z
  .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
  .describe('values of this kind of stop, by name');

export const stopReportSchema = z
  .strictObject({
    schema: z.literal(SCHEMA_NAME),
    kind: z.enum(KINDS),
    headline: z.string().max(100).describe('the whole story in one line'),
    at: place.describe('where the CPU stands'),
    exception: exception.exactOptional(),
    delivery: delivery.exactOptional(),
    facts,
    eflags: z.array(flagSchema).describe('popf and iret: what becomes of the flags').exactOptional(),
    observations: z
      .array(observationSchema)
      .describe('silent instructions that ran outside ring 0, in the order of their first places'),
    operand: operandSchema.exactOptional(),
    handOver: handOverSchema.exactOptional(),
    details: z.array(z.string()).describe('what else is known, a line each: page walk, neighbours, flags'),
    instructions: whole('instructions retired before the stop'),
    counted: z.boolean().describe('false when `instructions` is a lower bound'),
    code: z.strictObject({
      syntax: z.enum(['att', 'intel']),
      lines: z.array(codeLine),
      bytes: bytes('all lines together'),
      mark: z
        .int()
        .min(-1)
        .describe("index in `bytes` of the instruction's first byte; -1 when it cannot be read"),
    }),
    why: z.strictObject({ text: text('the reason, with its values'), rule: rule.exactOptional() }),
    means: z.strictObject({
      outcome: z.enum([
        'emulates',
        'skips',
        'handles',
        'reflects',
        'kills',
        'cpu-delivers',
        'nothing',
        'unknown',
      ]),
      text: text('what the system under the kernel would do'),
      citation: text('where that is known from').exactOptional(),
    }),
    next: z.array(z.string()).describe('what to try, most useful first'),
    cpu,
    trail: z.array(place).describe('starts of the last blocks, oldest first'),
    engine: z.strictObject({ name: text('which build of Unicorn'), version: text('its version') }),
    cpuModel: text('the CPU that the kernel sees'),
    image: z.strictObject({
      name: text('as the user named the file'),
      format: z.enum(['elf', 'bzimage']),
      size: whole('bytes'),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
    protocol: text('boot protocol'),
    knobs: z.record(z.string(), z.string()).describe("the protocol's knobs as they were set"),
    command: text('the command line that repeats this run').exactOptional(),
    traceHash: z
      .string()
      .regex(/^[0-9a-f]{16}$/)
      .describe("FNV-1a, 64 bits, of the run's trace")
      .exactOptional(),
    serial: text('what the kernel printed on its serial port, byte for byte as Latin-1').exactOptional(),
    warnings: z.array(z.strictObject({ code: text('stable code'), message: text('one sentence') })),
  })
  .meta({ title: 'startup32 stop report', description: 'Why and where a kernel stopped' });

export type Same<A, B> = [A, B] extends [B, A] ? true : never;
/** The compiler refuses this line when the schema and the type differ. */
export const SCHEMA_IS_STOP_REPORT: Same<z.infer<typeof stopReportSchema>, StopReport> = true;
