/** `startup32 inspect IMAGE`: what an image says about itself, and who can start it. */
import { PROTOCOLS } from '../../boot-protocols/index.ts';
import { inspectReport } from '../report/inspect/json.ts';
import { inspectText } from '../report/inspect/text.ts';
import { EXIT } from './exit-codes.ts';
import { type Io, jsonText } from './io.ts';
import { readKernel } from './start.ts';
import type { ImageFlags } from './start-flags.ts';

interface InspectFlags extends ImageFlags {
  readonly format: 'text' | 'json';
}

export async function inspect(path: string, flags: InspectFlags, io: Io): Promise<number> {
  const image = await readKernel(path, flags, io);
  const result = inspectReport(image, PROTOCOLS);
  io.stdout.write(flags.format === 'json' ? jsonText(result) : inspectText(result));
  return EXIT.STOPPED;
}
