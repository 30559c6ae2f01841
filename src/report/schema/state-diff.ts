/** The published JSON Schema of what differs between two entry states, `startup32/state-diff@1`; see `stop.ts`. */
import { z } from 'zod';
import type { StateDiffReport } from '../state-diff/report.ts';
import { text } from './parts.ts';
import {
  pagingMode,
  stateBank,
  stateBits,
  stateEflags,
  stateEip,
  stateField,
  stateImage,
  stateKnobs,
  stateMapping,
  statePlatform,
  stateProtocol,
  stateRegion,
  stateRegister,
  stateRing,
  stateSegment,
  stateStructure,
  stateTable,
  tablePages,
  undefinedByte,
} from './state.ts';
import type { Same } from './stop.ts';

const state = z.strictObject({ image: stateImage, protocol: stateProtocol, knobs: stateKnobs });

const differ = z
  .array(z.string())
  .min(1)
  .describe('dotted names of the values that differ; all of them where only one state has it');

function difference<P extends string, T extends z.ZodType>(part: P, value: T) {
  return z.strictObject({
    part: z.literal(part),
    name: text('which of its kind; the second of one name is `name #2`'),
    differ,
    a: value.describe('absent: the first state does not have it').exactOptional(),
    b: value.describe('absent: the second state does not have it').exactOptional(),
  });
}

export const stateDiffReportSchema = z
  .strictObject({
    schema: z.literal('startup32/state-diff@1'),
    a: state,
    b: state,
    differences: z
      .array(
        z.discriminatedUnion('part', [
          difference('ring', z.strictObject({ value: stateRing })),
          difference('register', stateRegister),
          difference('eip', stateEip),
          difference('eflags', stateEflags),
          difference('segment', stateSegment),
          difference('table', stateTable),
          difference('control', stateBits),
          difference('paging', z.strictObject({ mode: pagingMode, tablePages })),
          difference('mapping', stateMapping),
          difference('memory', z.strictObject({ undefinedByte })),
          difference('bank', stateBank),
          difference('region', stateRegion),
          difference('structure', stateStructure.omit({ fields: true, citation: true })),
          difference('field', stateField.omit({ citation: true })),
          difference('platform', statePlatform),
        ]),
      )
      .describe('in the order of the state report'),
  })
  .meta({
    title: 'startup32 state difference',
    description: 'Where two protocols start an image differently',
  });

/** The compiler refuses this line when the schema and the type differ. */
export const SCHEMA_IS_STATE_DIFF_REPORT: Same<z.infer<typeof stateDiffReportSchema>, StateDiffReport> = true;
