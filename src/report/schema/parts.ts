/** Parts of the report's JSON Schema that several files use. */
import { z } from 'zod';

export const hex = (digits: number, meaning: string) =>
  z
    .string()
    .regex(new RegExp(`^0x[0-9a-f]{${digits}}$`))
    .describe(meaning);
export const dword = (meaning: string) => hex(8, meaning);
export const word = (meaning: string) => hex(4, meaning);
export const whole = (meaning: string) => z.int().min(0).describe(meaning);
export const text = (meaning: string) => z.string().describe(meaning);
export const bytes = (meaning: string) =>
  z
    .string()
    .regex(/^([0-9a-f]{2}( [0-9a-f]{2})*)?$/)
    .describe(`${meaning}; hex bytes, separated by spaces`);

export const descriptor = z
  .strictObject({
    base: dword('base'),
    limit: dword('limit in bytes, inclusive'),
    flags: dword('high dword of the descriptor'),
    dpl: z.int().min(0).max(3),
    present: z.boolean(),
    kind: text('CS32, CS16, DS, DS16, LDT, TSS32-busy …, as QEMU spells it'),
    attributes: text('CRA or EWA with dashes; empty for a system segment'),
  })
  .describe("a segment register's hidden part");
