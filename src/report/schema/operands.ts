/** The JSON Schema of `operand`: what the instruction was about to do. */
import { z } from 'zod';
import { descriptor, dword, hex, text, whole, word } from './parts.ts';

const unreadable = z
  .enum(['null-segment', 'segment-limit', 'page-not-present', 'no-memory'])
  .describe('why memory cannot be read');
const segmentName = z.enum(['es', 'cs', 'ss', 'ds', 'fs', 'gs']);
const qword = (meaning: string) => hex(16, meaning);
const bit = z.literal([0, 1]);
const names = (meaning: string) => z.array(z.string()).describe(meaning);

const memory = z
  .strictObject({
    segment: segmentName,
    offset: dword('in the segment'),
    linear: dword('linear address'),
    size: whole('bytes'),
    unreadable: unreadable.exactOptional(),
  })
  .describe('an operand in memory');

const changes = z
  .array(z.strictObject({ bit: text('its name'), from: bit, to: bit }))
  .describe('bits that the write changes');
const access = z.enum(['read', 'write']);
const set = names('bits that are set, by name');

export const operandSchema = z
  .discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('descriptor-table'),
      register: z.enum(['gdtr', 'idtr']),
      operandSize: z.literal([16, 32]),
      memory,
      table: z
        .strictObject({
          base: dword('linear base'),
          limit: word('in bytes, inclusive'),
          entries: whole('whole entries of 8 bytes within the limit'),
          first: z
            .array(z.strictObject({ selector: word('with RPL 0'), descriptor }))
            .describe('the first entries of a GDT that are not zero')
            .exactOptional(),
          present: whole('gates of an IDT that are present').exactOptional(),
          unreadable: unreadable.exactOptional(),
        })
        .describe('the pseudo-descriptor, decoded; absent when it cannot be read')
        .exactOptional(),
    }),
    z.strictObject({
      type: z.literal('segment'),
      register: z.enum(['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr']),
      memory: memory.exactOptional(),
      selector: word('the selector to be loaded').exactOptional(),
      offset: dword('the offset of a far pointer').exactOptional(),
      descriptor: descriptor.exactOptional(),
      noDescriptor: z
        .enum([
          'null',
          'no-gdt',
          'no-ldt',
          'limit',
          'not-gdt',
          'null-segment',
          'segment-limit',
          'page-not-present',
          'no-memory',
        ])
        .describe('why there is no descriptor')
        .exactOptional(),
    }),
    z.strictObject({
      type: z.literal('control-register'),
      register: text('cr0, cr3 …'),
      access,
      current: dword('its value now'),
      memory: memory.exactOptional(),
      requested: dword('what a write asks for').exactOptional(),
      changes: changes.exactOptional(),
      set: set.exactOptional(),
      pageDirectory: z
        .strictObject({
          level: z.enum(['PD', 'PDPT']),
          physical: dword('physical address'),
          writeThrough: z.boolean(),
          cacheDisabled: z.boolean(),
        })
        .describe('what CR3 holds')
        .exactOptional(),
    }),
    z.strictObject({
      type: z.literal('debug-register'),
      number: whole('0 to 7'),
      access,
      current: dword('before, of DR6 and DR7').exactOptional(),
      requested: dword('what a write asks for').exactOptional(),
      set: set.exactOptional(),
    }),
    z.strictObject({
      type: z.literal('page'),
      linear: dword('linear address'),
      mapping: z
        .strictObject({
          physical: qword('physical address'),
          pageSize: whole('bytes'),
          writable: z.boolean(),
          user: z.boolean(),
        })
        .describe('what the tables say of it')
        .exactOptional(),
      unmapped: z.enum(['paging-off', 'page-not-present', 'null-segment']).exactOptional(),
    }),
    z.strictObject({
      type: z.literal('msr'),
      access,
      index: dword('ECX'),
      name: text('as the manual names it').exactOptional(),
      current: qword('what a read gives'),
      requested: qword('what a write asks for').exactOptional(),
      changes: changes.exactOptional(),
      set: set.exactOptional(),
    }),
    z.strictObject({
      type: z.literal('port'),
      direction: z.enum(['in', 'out']),
      number: word('the port'),
      name: text('what is there on a PC').exactOptional(),
      size: z.literal([1, 2, 4]).describe('bytes of one transfer'),
      value: dword('what goes out').exactOptional(),
      memory: memory.exactOptional(),
      count: whole('transfers, with a REP prefix').exactOptional(),
    }),
    z.strictObject({
      type: z.literal('extended-control-register'),
      index: whole('ECX'),
      requested: qword('EDX:EAX'),
      set,
    }),
    z.strictObject({
      type: z.literal('counter'),
      counter: z.enum(['time-stamp', 'performance']),
      index: whole('ECX').exactOptional(),
      value: qword('what a read gives'),
    }),
    z.strictObject({ type: z.literal('halt'), interruptsEnabled: z.boolean().describe('EFLAGS.IF') }),
    z.strictObject({
      type: z.literal('interrupt'),
      vector: hex(2, 'the vector'),
      gate: z
        .strictObject({
          kind: z.enum([
            'task gate',
            '16-bit interrupt gate',
            '16-bit trap gate',
            '32-bit interrupt gate',
            '32-bit trap gate',
            'no gate',
          ]),
          selector: word('code selector'),
          offset: dword('the handler'),
          dpl: z.int().min(0).max(3),
          present: z.boolean(),
        })
        .exactOptional(),
      noGate: z
        .enum(['hypervisor', 'limit', 'null-segment', 'segment-limit', 'page-not-present', 'no-memory'])
        .describe('why there is none')
        .exactOptional(),
    }),
    z.strictObject({
      type: z.literal('fast-call'),
      instruction: z.enum(['sysenter', 'sysexit']),
      sysenterCs: dword('IA32_SYSENTER_CS'),
      cs: word('CS after it'),
      ss: word('SS after it'),
      eip: dword('EIP after it'),
      esp: dword('ESP after it'),
    }),
  ])
  .describe('what the instruction was about to do');
