/** JSON Schema of the hand-over to the kernel proper. */
import { z } from 'zod';
import { dword, text } from './parts.ts';

export const handOverSchema = z
  .strictObject({
    entry: dword('where the kernel proper begins'),
    linkedAt: dword('the physical address that it is linked for'),
    moved: text('the difference, with a sign').exactOptional(),
    rows: z.array(
      z.strictObject({
        what: text('ESI, CS, CR0, EFLAGS, paging …'),
        given: text('as the stub was given it'),
        promised: z.boolean().describe('whether the boot protocol promises it').exactOptional(),
        promisedBits: z.array(z.string()).describe('only these bits of it are promised').exactOptional(),
        found: text('as the kernel proper finds it'),
        same: z.boolean(),
      }),
    ),
  })
  .describe(
    '--until payload: the state at the first instruction of the kernel proper, against what the stub was given',
  );
