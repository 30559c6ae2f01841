/** Writes the published JSON Schema of the report beside the compiled code; part of `npm run build`. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { stopReportSchema } from './schema.ts';

export const stopJsonSchema = (): object => ({
  $id: 'urn:startup32:stop:1',
  ...z.toJSONSchema(stopReportSchema, { target: 'draft-7' }),
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(
    new URL('stop.schema.json', import.meta.url),
    `${JSON.stringify(stopJsonSchema(), null, 2)}\n`,
  );
}
