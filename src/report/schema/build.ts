/** Writes the published JSON Schemas of the reports, dist/src/report/*.schema.json; part of `npm run build`. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { stateReportSchema } from './state.ts';
import { stateDiffReportSchema } from './state-diff.ts';
import { stopReportSchema } from './stop.ts';
import { trapsReportSchema } from './traps.ts';

export const stopJsonSchema = (): object => ({
  $id: 'urn:startup32:stop:1',
  ...z.toJSONSchema(stopReportSchema, { target: 'draft-7' }),
});

export const trapsJsonSchema = (): object => ({
  $id: 'urn:startup32:traps:1',
  ...z.toJSONSchema(trapsReportSchema, { target: 'draft-7' }),
});

export const stateJsonSchema = (): object => ({
  $id: 'urn:startup32:state:1',
  ...z.toJSONSchema(stateReportSchema, { target: 'draft-7' }),
});

export const stateDiffJsonSchema = (): object => ({
  $id: 'urn:startup32:state-diff:1',
  ...z.toJSONSchema(stateDiffReportSchema, { target: 'draft-7' }),
});

const write = (file: string, schema: object): void =>
  writeFileSync(new URL(file, import.meta.url), `${JSON.stringify(schema, null, 2)}\n`);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  write('../stop.schema.json', stopJsonSchema());
  write('../traps.schema.json', trapsJsonSchema());
  write('../state.schema.json', stateJsonSchema());
  write('../state-diff.schema.json', stateDiffJsonSchema());
}
