/** JSON Schema of what passed silently. */
import { z } from 'zod';
import { bytes, dword, text, whole } from './parts.ts';

export const flagSchema = z
  .strictObject({
    flag: text('e.g. IF'),
    before: whole('value before the instruction'),
    requested: whole('value that the image on the stack asks for'),
    after: whole('value after the instruction'),
  })
  .describe('a flag that is asked to change, or that is not what was asked');

const sight = z.strictObject({
  text: text('in words'),
  values: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .describe('by name; addresses and register values as hex'),
});

const place = z.strictObject({
  address: dword('linear address'),
  symbol: text('nearest symbol').exactOptional(),
  bytes: bytes('the instruction'),
  text: text('disassembly'),
  instructions: whole('instructions retired before it; absent when the run was not counted').exactOptional(),
});

export const observationSchema = z
  .strictObject({
    rule: text('id of the rule, e.g. pushf'),
    count: whole('how often it ran'),
    counted: z.boolean().describe('false when `count` is a lower bound'),
    first: place.describe('where it ran first'),
    place: place
      .describe('where `saw` and `bare` are from, when that is not the first place')
      .exactOptional(),
    saw: sight.describe('what the kernel was given'),
    bare: sight.describe('the same at CPL 0, as a PC boot loader starts a kernel'),
    differs: z.boolean(),
    lost: z.array(flagSchema).describe('POPF and IRET: flags asked for and not given').exactOptional(),
    instead: z
      .strictObject({
        by: text('in a few words, e.g. hypercall set_gdt'),
        sentence: text('what a paravirtual kernel does'),
        citation: text('where that is known from'),
      })
      .describe('the instruction was a violation: what the kernel was to do in its place')
      .exactOptional(),
  })
  .describe(
    'a silent instruction that ran outside ring 0, or a privileged one of a kernel that is paravirtual in ring 0',
  );
