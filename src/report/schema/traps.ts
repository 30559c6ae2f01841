/** The published JSON Schema of all traps of a run, `startup32/traps@1`; see `stop.ts`. */
import { z } from 'zod';
import type { TrapsReport } from '../traps/report.ts';
import { operandSchema } from './operands.ts';
import { bytes, text, whole } from './parts.ts';
import { exception, KINDS, place, type Same, stopReportSchema } from './stop.ts';

const trap = z
  .strictObject({
    ordinal: z.int().min(1).describe('in the order of their first times'),
    count: z.int().min(1).describe('how often it was met there'),
    instructions: whole('instructions retired before the first time'),
    lastInstructions: whole('instructions retired before the last time'),
    kind: z.enum(KINDS),
    rule: text('the privilege rule behind it').exactOptional(),
    at: place,
    instruction: z
      .strictObject({ bytes: bytes('the instruction'), text: text('disassembly') })
      .exactOptional(),
    exception: exception.exactOptional(),
    operand: operandSchema.exactOptional(),
    wants: z.array(z.string()).describe('what it was about to do the first time, in words'),
    answer: z.strictObject({
      does: z
        .enum(['emulated', 'skipped', 'passed', 'reflected', 'killed', 'ended', 'unanswered'])
        .describe('what the host did'),
      text: text('the answer in words'),
      citation: text('where that is known from').exactOptional(),
      detail: text('what it came to the first time').exactOptional(),
    }),
  })
  .describe('a trap at one place; met again there and answered the same way, it counts');

export const trapsReportSchema = z
  .strictObject({
    schema: z.literal('startup32/traps@1'),
    host: z.enum(['skip', 'xen', 'lguest', 'monitor']).describe('who answered'),
    era: text('which lguest: a Linux version').exactOptional(),
    met: whole('traps of all entries together'),
    traps: z.array(trap),
    end: z.strictObject({
      why: z.enum(['no-answer', 'ended', 'stop', 'stuck', 'traps']).describe('why the run ended'),
      text: text('the same in words'),
    }),
    stop: stopReportSchema,
  })
  .meta({ title: 'startup32 traps report', description: 'Every trap of a run, and how it was answered' });

/** The compiler refuses this line when the schema and the type differ. */
export const SCHEMA_IS_TRAPS_REPORT: Same<z.infer<typeof trapsReportSchema>, TrapsReport> = true;
